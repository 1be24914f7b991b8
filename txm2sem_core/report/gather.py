"""Gather what the report shows from the results of all samples."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from txm2sem_core import __version__, io
from txm2sem_core.catalogue.figures import caption_of
from txm2sem_core.report.answer import answer_of, best_of
from txm2sem_core.report.failures import messages_in
from txm2sem_core.report.page import (
    Answer,
    FigureEntry,
    ReportData,
    SampleReport,
    ViewerData,
    VolumeEntry,
    write_report,
)
from txm2sem_core.report.picture import pictures_of
from txm2sem_core.report.stated import made_otherwise
from txm2sem_core.report.tables import read_paired, read_tables, rows_of
from txm2sem_core.report.volumes import Source, choose_sources, embed_volumes
from txm2sem_core.report.warnings import gaps_of, of_one_phase, warn_of

VIEWER_BYTES = 11_000_000  # of each sample's slices
KEPT = ".viewer.npz"  # of each sample: its compressed slices
_PACKAGES = ("torch", "numpy", "scikit-image", "SimpleITK", "zarr", "snakemake")
SOURCES = {
    "phantom": ("synthetic", "Synthetic phantom: rock, TXM and FIB-SEM are computed, and the truth is known"),
    "pairs": ("real data", "Pairs of slices given by the user"),
    "reference": ("real data", "Pairs of slices in the layout of the published code"),
}
Row = dict[str, Any]
Expected = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class SampleResults:
    """Where one sample's results lie."""

    name: str
    source: str
    folder: Path
    figures: Sequence[FigureEntry]
    volumes: Sequence[VolumeEntry]
    txm_volume: Source | None
    truth: Path | None
    tables: Sequence[str]  # names of files in `metrics/`
    finer: int = 1  # pixels of the results along y and x that show one of the TXM
    left_out: Sequence[str] = ()  # variants that the run was made without
    sampling: Sequence[str] = ()  # variants that draw samples
    flow_axis: str = "x"


def parse_samples(text: str) -> list[SampleResults]:
    """Samples from JSON, as the workflow passes them."""
    return [
        SampleResults(
            name=sample["name"],
            source=sample["source"],
            folder=Path(sample["folder"]),
            figures=[_figure(path, Path(sample["folder"])) for path in sample["figures"]],
            volumes=sample["volumes"],
            txm_volume=_txm_source(sample) if sample["txm_volume"] else None,
            truth=Path(sample["truth"]) if sample["truth"] else None,
            tables=sample["tables"],
            finer=sample.get("finer", 1),
            left_out=sample.get("left_out", ()),
            sampling=sample.get("sampling", ()),
            flow_axis=sample.get("flow_axis", "x"),
        )
        for sample in json.loads(text)
    ]


def _figure(path: str, folder: Path) -> FigureEntry:
    caption = caption_of(Path(path).relative_to(folder / "figures").with_suffix("").as_posix())
    return {"title": caption.title, "caption": caption.text, "path": path}


def _txm_source(sample: Row) -> Source:
    mask = sample.get("txm_volume_measured")
    return Source("TXM", "txm", Path(sample["txm_volume"]), measured=Path(mask) if mask else None)


def report_results(
    title: str,
    samples: Sequence[SampleResults],
    settings_yaml: str,
    output: Path,
    expected: Expected = MappingProxyType({}),
) -> None:
    """Write the report of a whole run: one HTML file or, of several samples, an index and a page each.

    Args:
        title: of the page.
        samples: what is shown.
        settings_yaml: the configuration, to be shown.
        output: HTML; of several samples the index, and each has a page (see `page.page_of`).
        expected: what the records of results must say if they were made with these settings (see `stated`).
    """
    data: ReportData = {
        "title": title,
        "created_by": f"TXM2SEM {__version__}",
        "samples": [_sample(sample, expected) for sample in samples],
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


def _sample(sample: SampleResults, expected: Expected) -> SampleReport:
    quality = io.read_csv(sample.folder / "registered" / "quality.csv")
    store = io.read_json(sample.folder / "patches" / "store.json")
    index = io.read_csv(sample.folder / "patches" / "index.csv")
    metrics = sample.folder / "metrics"
    summary = rows_of(io.read_csv(metrics / "summary.csv"))
    refused = quality[~quality["accepted"].astype(bool)]
    kind, description = SOURCES[sample.source]
    viewer = _viewer(sample, summary, store)
    return {
        "name": sample.name,
        "source": kind,
        "real": sample.source != "phantom",
        "description": description + _on_finer_grid(sample.finer) + _of_scans(store),
        "voxel_size_nm": tuple(store["voxel_size_nm"]),
        "pairs_total": len(quality),
        "pairs_refused": [{"pair": row["pair"], "reasons": [row["reasons"]]} for row in refused.to_dict("records")],
        "patches": _patches(index, store["size_px"]),
        "table": summary,  # type: ignore[typeddict-item]
        "paired": read_paired(metrics, sample.tables),
        "beyond": _beyond(summary, metrics / "volumes.csv" if "volumes.csv" in sample.tables else None),
        "tables": read_tables(metrics, sample.tables),
        "figures": sample.figures,
        "volumes": sample.volumes,
        "warnings": list(
            dict.fromkeys(
                [
                    *_left_out(sample),
                    *made_otherwise(sample.folder, expected),
                    *gaps_of(metrics, sample.tables),
                    *of_one_phase(metrics, sample.tables, summary),
                    *store.get("warnings", []),
                    *_warnings(sample, summary, quality, index, store),
                ]
            )
        ),
        "answer": _answer(sample, summary, viewer),
        "viewer": viewer,
    }


def _on_finer_grid(finer: int) -> str:
    """Which kind of super-resolution the results are, where their pixels are finer than the TXM's."""
    if finer == 1:
        return ""
    return (
        f". Pixels of the results are {finer} times finer than the TXM's along y and x: variants of factor {finer} go "
        "from the TXM as it was measured to the FIB-SEM (native super-resolution); for all others each TXM pixel is "
        f"shown as {finer} x {finer}"
    )


def _of_scans(store: Row) -> str:
    """That networks see several scans of the rock, where they do, by the description of the patch store."""
    further = store.get("further_ranges", [])
    if not further:
        return ""
    return (
        f". Learned variants see {1 + len(further)} TXM scans of the rock; baselines, and what is called the TXM here, "
        "are of the first"
    )


def _answer(sample: SampleResults, summary: Sequence[Row], viewer: ViewerData | None) -> Answer:
    answer = answer_of(sample.folder / "metrics", sample.tables, summary, sample.sampling, sample.flow_axis)
    pictures, caption = pictures_of(viewer, answer["variant"])
    return {**answer, "pictures": pictures, "caption": caption}


def _left_out(sample: SampleResults) -> list[str]:
    """Variants that the configuration names and the run was made without, with what stopped their training."""
    texts = []
    for name in sample.left_out:
        logs = sorted((sample.folder.parent / "logs" / sample.name / "train_model").glob(f"{name}_seed*.log"))
        messages = [message for log in logs for message in messages_in(log)]
        why = f" Its training failed: {messages[-1]}" if messages else ""
        texts.append(f"The variant {name} is left out (leave_out), and stands in no table or figure.{why}")
    return texts


def _warnings(
    sample: SampleResults, summary: Sequence[Row], quality: pd.DataFrame, index: pd.DataFrame, store: Row
) -> list[str]:
    spectra = io.read_csv(sample.folder / "metrics" / "spectra.csv")
    return warn_of(summary, quality, index, sample.volumes, spectra, store["voxel_size_nm"])


def _patches(index: pd.DataFrame, size_px: int) -> str:
    counts = ", ".join(
        f"{split} {own['pair'].nunique()} pairs, {len(own)} patches"
        for split, own in ((name, index[index["split"] == name]) for name in index["split"].unique())
    )
    return f"{size_px} × {size_px} pixels: {counts}"


def _beyond(summary: Sequence[Row], volumes: Path | None) -> list[str]:
    """What the verdict does not cover, with the metrics of the best learned variant's volume."""
    best = next((row for row in summary if row["kind"] == "learned"), None)
    rows = [] if volumes is None or not volumes.exists() else rows_of(io.read_csv(volumes))
    own = next((row for row in rows if best is not None and row["variant"] == best["variant"]), {})
    label = "" if best is None else str(best["label"])
    return [_of_continuity(label, own), _of_rock(label, own)]


def _of_continuity(label: str, row: Mapping[str, Any]) -> str:
    ratio, explained = (_finite(row, f"continuity_{key}") for key in ("ratio", "explained"))
    if ratio is not None:
        right = "" if explained is None else f", and {explained:.0%} of the true change is right"
        return f"Continuity along z: from slice to slice {label} changes {ratio:.2f} times as much as the truth{right}."
    ratio = _finite(row, "self_continuity_ratio")
    if ratio is not None:
        return (
            f"Continuity along z: from slice to slice {label} changes {ratio:.2f} times as much as within the plane; "
            "the truth is not known."
        )
    return "Continuity along z: nothing was measured of it."


def _of_rock(label: str, row: Mapping[str, Any]) -> str:
    own, truth = _finite(row, "fraction_0"), _finite(row, "fraction_0_truth")
    if own is None or truth is None:
        return "Rock: whether pores and minerals are where and as many as they should be is not in these scores."
    return (
        f"Rock: the darkest phase (pores and organic matter) is {own:.1%} of {label}'s volume, {truth:.1%} of the true "
        "one. Porosity, tortuosity and permeability need more than scores of patches."
    )


def _finite(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _viewer(sample: SampleResults, summary: Sequence[Row], store: Row) -> ViewerData | None:
    speaker, _ = best_of(summary, sample.sampling)
    first = "" if speaker is None else str(speaker["variant"])
    residual = _residual_map(sample, first)
    sources = choose_sources(summary, sample.volumes, sample.txm_volume, sample.truth, first, residual)
    levels = store["sem_range"]["low"], store["sem_range"]["high"]
    return embed_volumes(sources, levels, store["voxel_size_nm"], VIEWER_BYTES, sample.folder / KEPT)


def _residual_map(sample: SampleResults, variant: str) -> Path | None:
    """The map of where the measured TXM is not what a variant's volume would show, where it was measured."""
    runs = [Path(volume["path"]).parent.name for volume in sample.volumes if volume["variant"] == variant]
    if "consistency.csv" not in sample.tables or not runs:
        return None
    file = sample.folder / "metrics" / variant / runs[0] / "txm_residual.ome.zarr"
    return file if file.exists() else None
