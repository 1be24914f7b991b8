"""Gather what the report shows from the results of all samples."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import __version__, io
from txm2sem_core.viewer import (
    FigureEntry,
    ReportData,
    SampleReport,
    ViewerData,
    ViewerSlice,
    VolumeEntry,
    write_report,
)

_VIEWER_SLICES = 24  # at most so many slices are embedded, evenly over the volume
_VIEWER_SIDE_PX = 512  # and their longer side is at most so many pixels
_PERCENTILES = (0.5, 99.5)  # of the middle slice of each modality: black and white in the viewer
_PACKAGES = ("torch", "numpy", "scikit-image", "SimpleITK", "zarr", "snakemake")
SOURCES = {
    "phantom": "Synthetic phantom: rock, TXM and FIB-SEM are computed, and the truth is known",
    "pairs": "Pairs of slices given by the user",
    "reference": "Pairs of slices in the layout of the published code",
}
VOLUME_COLUMNS = (
    "slices",
    "psnr",
    "ssim",
    "mae",
    "continuity_ratio",
    "continuity_explained",
    "continuity_error",
    "fraction_0",
    "fraction_0_truth",
    "self_continuity_ratio",
    "self_continuity_correlation_z",
)
UNCERTAINTY_COLUMNS = (
    "of",
    "stated",
    "pixels",
    "within_1",
    "within_2",
    "rms_error",
    "rms_stated",
    "correlation",
    "nll",
)
Row = dict[str, Any]


@dataclass(frozen=True)
class SampleResults:
    """Where one sample's results lie."""

    name: str
    source: str
    folder: Path
    figures: Sequence[FigureEntry]
    volumes: Sequence[VolumeEntry]
    txm_volume: Path | None
    truth: Path | None
    uncertainty: Path | None  # table of coverages
    side_tasks: bool  # whether there are variants that repair or segment


# title and caption of each figure, by the start of its name
CAPTIONS = {
    "comparison": (
        "Comparison",
        "Mean PSNR and SSIM over the test patches with their standard errors, learned variants and baselines apart. "
        "The dashed line stands at the best baseline.",
    ),
    "montage": (
        "Test patch",
        "One test patch: TXM, prediction, FIB-SEM and error of every variant. Predictions and FIB-SEM share one grey "
        "scale, errors one colour scale.",
    ),
    "sections": (
        "Sections",
        "Sections through the middle of the volumes in all three planes, at one physical scale. Lines show where the "
        "other planes cut. A volume much flatter than wide is shown around its middle only.",
    ),
    "uncertainty": (
        "Uncertainty",
        "A prediction, its stated uncertainty and its true error on one colour scale; below, the error against what is "
        "stated (on the dotted diagonal both agree), and the share of pixels whose error is covered, before and after "
        "the calibration on the validation patches; the dotted lines are the shares of Gaussian errors.",
    ),
    "repair": (
        "Repair",
        "Test patches of a repair: TXM, the FIB-SEM with damage laid over it (white, as the network sees it), the "
        "repair, what linear interpolation makes of the pixels around, and the FIB-SEM as it was.",
    ),
    "segmentation": (
        "Segmentation",
        "Test patches: TXM, FIB-SEM, the predicted classes and the true ones.",
    ),
    "curves": (
        "Training",
        "Scores on the validation patches and training losses over the epochs; several seeds as mean and range.",
    ),
    "registration": (
        "Registration",
        "Checkerboards of TXM and FIB-SEM slices as acquired and registered. The worst pair comes first.",
    ),
}


def parse_samples(text: str) -> list[SampleResults]:
    """Samples from JSON, as the workflow passes them."""
    return [
        SampleResults(
            name=sample["name"],
            source=sample["source"],
            folder=Path(sample["folder"]),
            figures=[_figure_entry(path, Path(sample["folder"])) for path in sample["figures"]],
            volumes=sample["volumes"],
            txm_volume=Path(sample["txm_volume"]) if sample["txm_volume"] else None,
            truth=Path(sample["truth"]) if sample["truth"] else None,
            uncertainty=Path(sample["uncertainty"]) if sample["uncertainty"] else None,
            side_tasks=bool(sample.get("side_tasks")),
        )
        for sample in json.loads(text)
    ]


def _figure_entry(path: str, folder: Path) -> FigureEntry:
    name = Path(path).relative_to(folder / "figures").with_suffix("").as_posix()
    kind, _, rest = name.replace("/", "_").partition("_")
    title, caption = CAPTIONS[kind]
    return {"title": f"{title} {rest.replace('_', ' ')}".strip(), "caption": caption, "path": path}


def report_results(title: str, samples: Sequence[SampleResults], settings_yaml: str, output: Path) -> None:
    """Write the report of a whole run as one HTML file."""
    data: ReportData = {
        "title": title,
        "created_by": f"TXM2SEM {__version__}",
        "samples": [_sample(sample) for sample in samples],
        "settings_yaml": settings_yaml,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES if _installed(name)},
    }
    write_report(output, data)


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _sample(sample: SampleResults) -> SampleReport:
    quality = io.read_csv(sample.folder / "registered" / "quality.csv")
    store = io.read_json(sample.folder / "patches" / "store.json")
    index = io.read_csv(sample.folder / "patches" / "index.csv")
    refused = quality[~quality["accepted"].astype(bool)]
    summary = _rows(io.read_csv(sample.folder / "metrics" / "summary.csv"))
    counts = ", ".join(
        f"{split} {own['pair'].nunique()} pairs, {len(own)} patches"
        for split, own in ((name, index[index["split"] == name]) for name in index["split"].unique())
    )
    size = store["size_px"]
    return {
        "name": sample.name,
        "source": sample.source,
        "description": f"{SOURCES[sample.source]}. Patches of {size} x {size} pixels: {counts}.",
        "voxel_size_nm": tuple(store["voxel_size_nm"]),
        "pairs_total": len(quality),
        "pairs_refused": [{"pair": row["pair"], "reasons": [row["reasons"]]} for row in refused.to_dict("records")],
        "table": summary,  # type: ignore[typeddict-item]
        "volume_table": _volume_table(sample),
        "uncertainty_table": _uncertainty_table(sample),
        "repair_table": _side_table(sample, "repair"),
        "segmentation_table": _side_table(sample, "segmentation"),
        "figures": sample.figures,
        "volumes": sample.volumes,
        "warnings": _warnings(summary),
        "viewer": _viewer(sample, summary, store["voxel_size_nm"]),
    }


def _rows(table: pd.DataFrame) -> list[Row]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _volume_table(sample: SampleResults) -> list[Row]:
    path = sample.folder / "metrics" / "volumes.csv"
    if not path.exists():
        return []
    table = io.read_csv(path)
    shown = [column for column in VOLUME_COLUMNS if column in table]
    rows = _rows(table[["variant", "seed", *shown]])
    labels = [str(row["variant"]).replace("_", " ") for row in rows]
    return [{"label": label, **row, "slices": int(row["slices"])} for label, row in zip(labels, rows, strict=True)]


def _uncertainty_table(sample: SampleResults) -> list[Row]:
    if sample.uncertainty is None:
        return []
    table = io.read_csv(sample.uncertainty)
    labels = [
        f"{variant}, {run}".replace("_", " ") for variant, run in zip(table["variant"], table["run"], strict=True)
    ]
    rows = _rows(table[list(UNCERTAINTY_COLUMNS)])
    return [{"label": label, **row} for label, row in zip(labels, rows, strict=True)]


def _side_table(sample: SampleResults, task: str) -> list[Row]:
    path = sample.folder / "metrics" / f"{task}.csv"
    if not sample.side_tasks or not path.exists():
        return []
    table = io.read_csv(path)
    labels = [str(variant).replace("_", " ") for variant in table["variant"]]
    rows = _rows(table.drop(columns="variant"))
    return [{"label": label, **row} for label, row in zip(labels, rows, strict=True)]


def _warnings(summary: list[Row]) -> list[str]:
    if summary and summary[0]["n"] < 10:
        return [f"The scores are of {summary[0]['n']} test patches only: their standard errors are rough."]
    return []


def _viewer(sample: SampleResults, summary: list[Row], voxel_size_nm: Sequence[float | None]) -> ViewerData | None:
    """TXM, the best learned variant's volume, and the truth where known, at some slices."""
    learned = [row["variant"] for row in summary if row["kind"] == "learned"]
    best = next((v for name in learned for v in sample.volumes if v["variant"] == name), None)
    if best is None or sample.txm_volume is None:
        return None
    sources = {"TXM": sample.txm_volume, f"Prediction: {best['variant'].replace('_', ' ')}": Path(best["path"])}
    if sample.truth is not None:
        sources["Truth"] = sample.truth
    volumes = {name: io.open_volume(path) for name, path in sources.items()}
    depth, height, width = (min(volume.shape[axis] for volume in volumes.values()) for axis in range(3))
    step = -(-max(height, width) // _VIEWER_SIDE_PX)
    height, width = height // step * step, width // step * step
    limits = {
        name: np.percentile(volume.read(depth // 2, depth // 2 + 1), _PERCENTILES) for name, volume in volumes.items()
    }
    if "Truth" in limits:
        limits |= {name: limits["Truth"] for name in limits if name.startswith("Prediction")}
    slices: list[ViewerSlice] = []
    for z in np.unique(np.linspace(0, depth - 1, min(depth, _VIEWER_SLICES)).round().astype(int)).tolist():
        planes = {name: volume.read(z, z + 1)[0, :height, :width] for name, volume in volumes.items()}
        slices.append({"z": z, "images": {name: _shown(plane, step, *limits[name]) for name, plane in planes.items()}})
    pixel_nm = voxel_size_nm[1]
    return {
        "axis": "z",
        "slices": slices,
        "names": list(sources),
        "pixel_nm": None if pixel_nm is None else pixel_nm * step,
    }


def _shown(plane: np.ndarray, step: int, low: float, high: float) -> np.ndarray:
    """A plane [Y, X] as 8-bit grey between two levels, its pixels averaged in blocks of step x step."""
    height, width = plane.shape
    small = plane.astype(np.float32).reshape(height // step, step, width // step, step).mean(axis=(1, 3))
    return np.clip((small - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
