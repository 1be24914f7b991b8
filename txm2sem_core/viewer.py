"""The report: one HTML file that holds everything it shows and opens offline."""

from __future__ import annotations

import base64
import io
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from txm2sem_core.errors import InputError
from txm2sem_core.io import atomic_path

GREATEST_FIGURE_BYTES = 1_000_000  # a larger PNG is embedded as JPEG
GREATEST_FIGURE_PX = 2400
JPEG_QUALITY = 88

HEADINGS = {
    "label": "Variant",
    "seed": "Seed",
    "slices": "Slices",
    "psnr": "PSNR / dB",
    "ssim": "SSIM",
    "mae": "MAE / range",
    "continuity_ratio": "Change along z / truth's",
    "continuity_explained": "True change along z that is right",
    "continuity_error": "Error of change along z",
    "damaged": "Share damaged",
    "psnr_mean": "PSNR / dB",
    "psnr_stderr": "± stderr",
    "ssim_mean": "SSIM",
    "ssim_stderr": "± stderr",
    "psnr_interpolated_mean": "PSNR of interpolation / dB",
    "psnr_interpolated_stderr": "± stderr",
    "ssim_interpolated_mean": "SSIM of interpolation",
    "ssim_interpolated_stderr": "± stderr",
    "dice_background": "Dice, background",
    "dice_low_density": "Dice, low density",
    "dice_high_density": "Dice, high density",
    "mean_iou": "Mean IoU",
    "accuracy": "Accuracy",
    "accuracy_floor": "Accuracy of one class alone",
    "fraction_0": "Darkest phase",
    "fraction_0_truth": "Darkest phase, truth",
    "of": "Error of",
    "within_1": "Covered by 1 s.d. (0.683)",
    "within_2": "Covered by 2 s.d. (0.954)",
    "rms_error": "Rms error",
    "rms_stated": "Rms stated",
    "nll": "−log likelihood",
}


class TableRow(TypedDict):
    """Scores of one variant over the test patches. NaN where a standard error is not defined."""

    variant: str
    label: str
    kind: Literal["learned", "baseline"]
    factor: int
    seeds: int
    n: int
    psnr_mean: float
    psnr_stderr: float
    ssim_mean: float
    ssim_stderr: float
    mae_mean: float


class RefusedPair(TypedDict):
    """A pair that registration refused, and why."""

    pair: str
    reasons: Sequence[str]


class FigureEntry(TypedDict):
    """A figure's PNG and its words."""

    title: str
    caption: str
    path: str | Path


class ViewerSlice(TypedDict):
    """Images `[Y, X]`, uint8, of one slice, by name."""

    z: int
    images: Mapping[str, NDArray[np.uint8]]


class ViewerData(TypedDict):
    """Slices to look through; `pixel_nm` is the size of a pixel of the images given here, None if it is not known."""

    axis: str
    slices: Sequence[ViewerSlice]
    names: Sequence[str]
    pixel_nm: float | None


class VolumeEntry(TypedDict):
    """Where a predicted volume lies."""

    variant: str
    path: str


class SampleReport(TypedDict):
    """All that is said of one sample. `volume_table` has any figures, one row a variant; so has `uncertainty_table`."""

    name: str
    source: str
    description: str
    voxel_size_nm: Sequence[float | None]  # Z, Y, X; None where it is not recorded
    pairs_total: int
    pairs_refused: Sequence[RefusedPair]
    table: Sequence[TableRow]
    volume_table: Sequence[Mapping[str, Any]]
    uncertainty_table: NotRequired[Sequence[Mapping[str, Any]]]
    repair_table: NotRequired[Sequence[Mapping[str, Any]]]
    segmentation_table: NotRequired[Sequence[Mapping[str, Any]]]
    figures: Sequence[FigureEntry]
    volumes: Sequence[VolumeEntry]
    warnings: Sequence[str]
    viewer: NotRequired[ViewerData | None]


class ReportData(TypedDict):
    """The whole report. `created_by` names program and version."""

    title: str
    created_by: str
    samples: Sequence[SampleReport]
    settings_yaml: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """Whether the best learned variant beat every baseline, in one sentence.

    Attributes:
        factor: super-resolution factor that it holds for.
        status: `yes` in PSNR and SSIM, `partly` in one of them, `no`, or `open` where there is nothing to compare.
        sentence: the answer, with numbers.
    """

    factor: int
    status: Literal["yes", "partly", "no", "open"]
    sentence: str


def write_report(output: Path, report: ReportData) -> None:
    """Write the report as one HTML file without any reference to the outside; the same input gives the same bytes.

    Raises:
        InputError: there is no sample, a figure is missing or no image, slices of the viewer differ in size, or the
            folder cannot be written.
    """
    if not report["samples"]:
        raise InputError("the report has no sample to show")
    environment = Environment(
        loader=PackageLoader("txm2sem_core"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "plus_minus": _plus_minus, "voxels": _voxels}
    samples = [_prepared(sample) for sample in report["samples"]]
    html = environment.get_template("report.html.j2").render(**{**report, "samples": samples})
    with atomic_path(output) as temporary:
        temporary.write_text(html, encoding="utf-8")


def verdicts(table: Sequence[TableRow]) -> list[Verdict]:
    """Answer for every super-resolution factor whether the learned variant of highest PSNR beat every baseline."""
    return [
        _verdict(factor, [row for row in table if row["factor"] == factor])
        for factor in sorted({row["factor"] for row in table})
    ]


def _verdict(factor: int, rows: Sequence[TableRow]) -> Verdict:
    learned = [row for row in rows if row["kind"] == "learned"]
    baselines = [row for row in rows if row["kind"] == "baseline"]
    if not learned:
        return Verdict(factor, "open", "No learned variant was measured.")
    best = max(learned, key=lambda row: row["psnr_mean"])
    about = f"{best['label']} ({_scores(best)})"
    if not baselines:
        return Verdict(factor, "open", f"{about} is best, but there is no baseline to compare it with.")
    psnr_rival = max(baselines, key=lambda row: row["psnr_mean"])
    ssim_rival = max(baselines, key=lambda row: row["ssim_mean"])
    wins_psnr, wins_ssim = best["psnr_mean"] > psnr_rival["psnr_mean"], best["ssim_mean"] > ssim_rival["ssim_mean"]
    rivals = (
        f"the best baselines reach {_number(float(psnr_rival['psnr_mean']), 2)} dB ({psnr_rival['label']}) "
        f"and SSIM {_number(float(ssim_rival['ssim_mean']), 3)} ({ssim_rival['label']})"
    )
    within = _within_error(best, psnr_rival, ssim_rival)
    if wins_psnr and wins_ssim:
        return Verdict(factor, "yes", f"{about} beats every baseline in PSNR and SSIM; {rivals}{within}.")
    if wins_psnr or wins_ssim:
        won, lost = ("PSNR", "SSIM") if wins_psnr else ("SSIM", "PSNR")
        return Verdict(factor, "partly", f"{about} beats every baseline in {won} but not in {lost}; {rivals}{within}.")
    return Verdict(factor, "no", f"{about}, the best learned variant, does not beat the baselines; {rivals}{within}.")


def _within_error(best: TableRow, psnr_rival: TableRow, ssim_rival: TableRow) -> str:
    """Say which difference is no larger than its standard error; nothing where both are."""
    close = []
    if abs(best["psnr_mean"] - psnr_rival["psnr_mean"]) <= math.hypot(best["psnr_stderr"], psnr_rival["psnr_stderr"]):
        close.append("PSNR")
    if abs(best["ssim_mean"] - ssim_rival["ssim_mean"]) <= math.hypot(best["ssim_stderr"], ssim_rival["ssim_stderr"]):
        close.append("SSIM")
    return f". The difference in {' and in '.join(close)} is within its standard error" if close else ""


def _scores(row: TableRow) -> str:
    seeds = f", {row['seeds']} seeds" if row["seeds"] > 1 else ""
    return (
        f"{_plus_minus(row['psnr_mean'], row['psnr_stderr'], 2)} dB, "
        f"SSIM {_plus_minus(row['ssim_mean'], row['ssim_stderr'], 3)}, {row['n']} test patches{seeds}"
    )


def _prepared(sample: SampleReport) -> dict[str, Any]:
    """Give what the template needs beside the sample's own entries."""
    table = sorted(sample["table"], key=lambda row: (row["factor"], row["kind"] == "baseline", -row["psnr_mean"]))
    tables = {
        "Volumes": sample["volume_table"],
        "Uncertainty": sample.get("uncertainty_table", []),
        "Repair, under the damage": sample.get("repair_table", []),
        "Segmentation": sample.get("segmentation_table", []),
    }
    viewer = sample.get("viewer")
    return {
        **sample,
        "table": table,
        "best": {factor: _best(table, factor) for factor in {row["factor"] for row in table}},
        "verdicts": verdicts(sample["table"]),
        "further_tables": [(title, _columns(rows), rows) for title, rows in tables.items() if rows],
        "figures": [{**figure, "data": _figure_data(Path(figure["path"]))} for figure in sample["figures"]],
        "viewer": _viewer_data(viewer) if viewer and viewer["slices"] else None,
    }


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Key and heading of each column of a table."""
    keys = dict.fromkeys(key for row in rows for key in row if key != "variant")
    return [(key, HEADINGS.get(key, key.replace("_", " ").capitalize())) for key in keys]


def _best(table: Sequence[TableRow], factor: int) -> dict[str, float]:
    """Best value of each score among the variants of a factor."""
    rows = [row for row in table if row["factor"] == factor]
    return {
        "psnr": max(row["psnr_mean"] for row in rows),
        "ssim": max(row["ssim_mean"] for row in rows),
        "mae": min(row["mae_mean"] for row in rows),
    }


def _figure_data(path: Path) -> dict[str, Any]:
    """Data address, width and height of a figure; a large one as JPEG of at most 2400 pixels width."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            kind = "png"
            if len(content) > GREATEST_FIGURE_BYTES:
                image.thumbnail((GREATEST_FIGURE_PX, 10 * GREATEST_FIGURE_PX))
                content, kind = _jpeg(image.convert("RGB")), "jpeg"
            width, height = image.size
    except OSError as error:
        raise InputError(
            f"{path}: this figure of the report cannot be read as a PNG ({error}). Draw it again."
        ) from error
    return {"address": _data_address(content, kind), "width": width, "height": height}


def _viewer_data(viewer: ViewerData) -> dict[str, Any]:
    """Give slices as JPEG data addresses, for the page's script."""
    names, slices = list(viewer["names"]), viewer["slices"]
    for one in slices:
        missing = [name for name in names if name not in one["images"]]
        if missing:
            raise InputError(f"slice {one['z']} of the report's viewer has no image {missing[0]!r}")
    height, width = slices[0]["images"][names[0]].shape
    for one in slices:
        for name in names:
            image = one["images"][name]
            if image.dtype != np.uint8 or image.shape != (height, width):
                raise InputError(
                    f"slice {one['z']}, {name}: the report's viewer needs uint8 images of one shape, "
                    f"{(height, width)}, not {image.dtype} of {image.shape}"
                )
    images = [[_data_address(_jpeg(Image.fromarray(one["images"][name])), "jpeg") for name in names] for one in slices]
    return {
        "axis": viewer["axis"],
        "names": names,
        "positions": [int(one["z"]) for one in slices],
        "images": images,
        "width": width,
        "height": height,
        "pixel_nm": None if viewer["pixel_nm"] is None else float(viewer["pixel_nm"]),
    }


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def _data_address(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _number(value: Any, digits: int = 4) -> str:
    """A number as text: whole numbers whole, others with so many digits after the point, a dash for nothing."""
    if value is None or isinstance(value, str):
        return value or "–"
    if isinstance(value, numbers.Integral):
        return str(value)
    real = float(value)
    if math.isnan(real):
        return "–"
    size = "∞" if math.isinf(real) else f"{abs(real):.{digits}f}"
    return f"−{size}" if real < 0 else size


def _plus_minus(mean: float, stderr: float, digits: int) -> str:
    """Mean ± standard error; the mean alone where there is no error."""
    size = _number(float(mean), digits)
    return f"{size} ± {_number(float(stderr), digits)}" if math.isfinite(stderr) else size


def _voxels(size_nm: Sequence[float | None]) -> str:
    """Voxel size in words."""
    if all(side is None for side in size_nm):
        return "not recorded"
    return " × ".join("?" if side is None else f"{side:g}" for side in size_nm) + " nm (Z × Y × X)"
