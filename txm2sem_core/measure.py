"""Measure predictions: test patches, volumes, and the tables that collect them over variants and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.errors import InputError
from txm2sem_core.metrics import compare_volumes, mae, multi_otsu_thresholds, psnr, self_continuity, ssim, summarise
from txm2sem_core.metrics.image import psnr_8bit, ssim_8bit, to_8bit

FILTERS = ("linearfilt", "gammafilt")  # trained, but baselines all the same: one layer that sees 15 x 15 pixels
SCORES = ("psnr", "ssim", "mae")


@dataclass(frozen=True)
class Run:
    """One trained (or fitted) model of the comparison."""

    variant: str
    seed: int
    family: str
    generator: str
    factor: int
    models: int = 1  # more than one: their mean, an ensemble over seeds

    @property
    def kind(self) -> str:
        """`baseline` or `learned`."""
        return "baseline" if self.family == "baseline" or self.generator in FILTERS else "learned"


def measure_patches(predicted: str | Path, patches: Path, settings: MeasureSettings, output: str | Path) -> None:
    """Scores of every test patch, one row a patch.

    Columns: patch, pair, z, y, x; psnr (dB), ssim, mae over uncharged pixels in float; psnr_8bit, ssim_8bit over all
    pixels as the published comparison has them.

    Args:
        predicted: `patches.tif`, float SEM grey levels [N, Y, X].
        patches: folder of the full-resolution patch store.
        settings: the data range.
        output: CSV.
    """
    store = io.read_patch_store(patches)
    rows = store.of_split("test")
    volume = io.open_volume(predicted)
    if volume.shape[0] != len(rows):
        raise InputError(f"{predicted}: {volume.shape[0]} patches, the index has {len(rows)} of the test split.")
    full = store.data_range(settings.data_range)
    low, high = (0.0, 255.0) if store.sem_dtype == np.uint8 else (store.sem_range.low, store.sem_range.high)
    table = []
    for row, prediction in zip(rows.to_dict("records"), volume.slices(), strict=True):
        place = (row["pair"], row["y"], row["x"])
        target, mask = store.sem_patch(*place), store.mask_patch(*place)
        images_8bit = to_8bit(prediction, low, high), to_8bit(target, low, high)
        table.append(
            {
                **{key: row[key] for key in ("patch", "pair", "z", "y", "x")},
                "psnr": psnr(prediction, target, full, mask),
                "ssim": ssim(prediction, target, full, mask),
                "mae": mae(prediction, target, full, mask),
                "psnr_8bit": psnr_8bit(*images_8bit),
                "ssim_8bit": ssim_8bit(*images_8bit),
            }
        )
    io.write_csv(output, pd.DataFrame(table))


def measure_volume(
    predicted: str | Path, truth: str | Path | None, patches: Path, settings: MeasureSettings, output: str | Path
) -> None:
    """Figures of a predicted volume: against the truth where it is known, else its own continuity along z.

    Args:
        predicted: OME-Zarr or TIFF.
        truth: a volume that covers the prediction from its first voxel on, or None.
        patches: folder of the full-resolution patch store; phases are parted by thresholds of its training SEM images.
        settings: data range and number of phases.
        output: JSON.
    """
    store = io.read_patch_store(patches)
    prediction = io.open_volume(predicted)
    figures: dict[str, Any]
    if truth is None:
        figures = {"slices": float(prediction.shape[0])}
        if prediction.shape[0] > 1 and not _is_constant(prediction):
            step = _plane_step(prediction.voxel_size_nm)
            figures |= {
                f"self_continuity_{k}": v for k, v in asdict(self_continuity(prediction.slices(), step)).items()
            }
    else:
        training = store.of_split("train")["pair"].unique()
        pixels = np.concatenate([store.pairs[pair].sem[store.pairs[pair].mask > 0] for pair in training])
        thresholds = multi_otsu_thresholds(pixels, settings.phases)
        height, width = prediction.shape[1:]
        true_slices = (plane[:height, :width] for plane in io.open_volume(truth).slices())
        figures = compare_volumes(prediction.slices(), true_slices, store.data_range(settings.data_range), thresholds)
    io.write_json(output, {key: value if math.isfinite(value) else None for key, value in figures.items()})


def _is_constant(volume: io.Volume) -> bool:
    """Whether all voxels are equal, as the constant baseline predicts them: continuity says nothing of it then."""
    value = volume.read(0, 1)[0, 0, 0]
    return all((plane == value).all() for plane in volume.slices())


def _plane_step(voxel_size_nm: io.VoxelSize | None) -> int:
    """How many pixels in the plane are as far apart as two slices."""
    if voxel_size_nm is None or None in voxel_size_nm:
        return 1
    z_nm, _, x_nm = voxel_size_nm
    return max(1, round(float(z_nm or 1) / float(x_nm or 1)))


def summarise_metrics(runs: Sequence[Run], tables: Iterable[str | Path], output: Path) -> None:
    """Collect the patches' scores of all runs.

    Leaves `patches.csv` (tidy: one row a run and patch), `summary.csv` (one row a variant: mean, standard error and
    bootstrap interval over patches, of scores averaged over seeds first; and the spread over seeds), and the same as a
    table ready for a paper, `table.md` and `table.tex`.
    """
    parts = []
    for run, path in zip(runs, tables, strict=True):
        own = pd.DataFrame([{**asdict(run), "kind": run.kind}])
        parts.append(own.merge(io.read_csv(path), how="cross"))
    tidy = pd.concat(parts, ignore_index=True)
    summary = pd.DataFrame([_summary_row(group) for _, group in tidy.groupby("variant", sort=False)])
    summary = summary.sort_values("psnr_mean", ascending=False, kind="stable")
    io.write_csv(output / "patches.csv", tidy)
    io.write_csv(output / "summary.csv", summary)
    io.write_text(output / "table.md", _markdown(summary))
    io.write_text(output / "table.tex", _latex(summary))


def _summary_row(scores: pd.DataFrame) -> dict[str, Any]:
    first = scores.iloc[0]
    row: dict[str, Any] = {
        "variant": first["variant"],
        "label": str(first["variant"]).replace("_", " "),
        "kind": first["kind"],
        "family": first["family"],
        "generator": first["generator"],
        "factor": first["factor"],
        "seeds": max(scores["seed"].nunique(), first["models"]),
        "n": scores["patch"].nunique(),
    }
    for score in SCORES:
        each = summarise(scores.groupby("patch")[score].mean(), seed=0)
        row |= {f"{score}_mean": each.mean, f"{score}_stderr": each.stderr}
        row |= {f"{score}_low": each.low, f"{score}_high": each.high}
        row[f"{score}_seed_spread"] = scores.groupby("seed")[score].mean().std(ddof=1)
    return row | {f"{score}_mean": scores[score].mean() for score in ("psnr_8bit", "ssim_8bit")}


_HEADINGS = ("Variant", "Kind", "Factor", "Seeds", "n", "PSNR / dB", "SSIM", "MAE / %")


def _cells(summary: pd.DataFrame, plus_minus: str) -> list[list[str]]:
    """The table's rows as text: mean and standard error over n test patches."""
    rows = []
    for row in summary.to_dict("records"):
        counts = [str(row[key]) for key in ("kind", "factor", "seeds", "n")]
        scores = [
            f"{row[f'{score}_mean'] * scale:.{digits}f} {plus_minus} {row[f'{score}_stderr'] * scale:.{digits}f}"
            for score, scale, digits in (("psnr", 1, 2), ("ssim", 1, 4), ("mae", 100, 2))
        ]
        rows.append([str(row["label"]), *counts, *scores])
    return rows


def _markdown(summary: pd.DataFrame) -> str:
    lines = [_HEADINGS, ["---"] * len(_HEADINGS), *_cells(summary, "±")]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _latex(summary: pd.DataFrame) -> str:
    body = [" & ".join(cells).replace("%", r"\%").replace("_", r"\_") + r" \\" for cells in _cells(summary, r"$\pm$")]
    head = " & ".join(_HEADINGS).replace("%", r"\%") + r" \\"
    lines = [r"\begin{tabular}{llrrrrrr}", r"\hline", head, r"\hline", *body, r"\hline", r"\end{tabular}"]
    return "% mean and standard error over n test patches\n" + "\n".join(lines) + "\n"


def summarise_volumes(runs: Sequence[tuple[str, int | str]], files: Iterable[str | Path], output: str | Path) -> None:
    """Collect the volumes' figures: one row a run."""
    rows = [{"variant": v, "seed": s, **io.read_json(f)} for (v, s), f in zip(runs, files, strict=True)]
    io.write_csv(output, pd.DataFrame(rows))


def evaluate_files(
    prediction: Path, target: Path, mask: Path | None, full_range: float | None, output: Path
) -> dict[str, Any]:
    """Figures of a predicted image or volume against a measured one, left as JSON in `output` and returned.

    Raises:
        InputError: shapes differ, a file cannot be read, or the data range of data that is not 8-bit is not given.
    """
    predicted, measured = io.open_volume(prediction), io.open_volume(target)
    if predicted.shape != measured.shape:
        raise InputError(
            f"{prediction}: shape {predicted.shape} (Z, Y, X), but {target} has {measured.shape}. Crop one of them."
        )
    if full_range is None and measured.dtype != np.uint8:
        raise InputError(f"{target}: {measured.dtype} data has no range of its own. Give --data-range.")
    full = 255.0 if full_range is None else full_range
    masks = None if mask is None else (plane > 0 for plane in _same_shape(mask, measured).slices())
    if measured.shape[0] > 1:
        figures = compare_volumes(predicted.slices(), measured.slices(), full, masks=masks)
    else:
        images = next(predicted.slices()), next(measured.slices())
        plane_mask = None if masks is None else next(masks)
        figures = {
            name: score(*images, full, plane_mask) for name, score in (("psnr", psnr), ("ssim", ssim), ("mae", mae))
        }
    result = {"data_range": full, "shape": list(measured.shape), **figures}
    io.write_json(output, {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in result.items()})
    return result


def _same_shape(mask: Path, measured: io.Volume) -> io.Volume:
    volume = io.open_volume(mask)
    if volume.shape != measured.shape:
        raise InputError(f"{mask}: shape {volume.shape} (Z, Y, X), but {measured.source} has {measured.shape}.")
    return volume
