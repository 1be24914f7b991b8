"""The tables of `metrics/` that the report shows, in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from txm2sem_core import io
from txm2sem_core.metrics.gaps import NOT_MEASURED
from txm2sem_core.report.page import PairedTest, TableEntry

LONGEST = 300  # rows; of a longer table the first are shown
# one row a patch; the comparison, which has its own place, also beside published figures; curves, which are drawn
HIDDEN = (
    "patches.csv",
    "summary.csv",
    "table.csv",
    "spectra.csv",
    "volume_spectra.csv",
    "resolution.csv",
    "rock_distributions.csv",
)
PAIRED_COLUMNS = ("first", "second", "score", "difference", "low", "high", "unit", "slices")


@dataclass(frozen=True)
class Table:
    """How a table is shown; without `columns` all of it is.

    Attributes:
        title: its heading.
        note: what the reader must know of it.
        columns: those shown, where they are there.
        label: columns that name a row and are joined into one.
    """

    title: str
    note: str = ""
    columns: tuple[str, ...] = ()
    label: tuple[str, ...] = ("variant",)
    headings: Mapping[str, str] = field(default_factory=dict)


MEASURED = ("measured_share", "box_z_px", "box_y_px", "box_x_px")  # where a part of a volume was not

TABLES: dict[str, Table] = {
    "pairs.csv": Table(
        "Paired tests",
        "First minus second on the same test patches: mean over slices, Student's 95 % interval over slices (each with "
        "one mean), and p of the paired t test, corrected for the number of pairs of a score (Holm). They know of "
        "slices only, not of other trainings or samples. Of a single slice there are neither.",
        columns=("score", "first", "second", "difference", "low", "high", "p_holm", "better", "n", "slices"),
        label=(),
        headings={"low": "95 % from", "high": "95 % to", "p": "p", "p_holm": "p, corrected", "n": "Patches"},
    ),
    "volumes.csv": Table(
        "Volumes",
        "PSNR, SSIM and MAE against the true volume where it is known. Change along z: 1 is as much change from slice "
        "to slice as the truth has; above, slices jitter; below, they are smeared. Without truth, change along z is "
        "compared with change within the plane. Where a part was not measured, it counts nowhere; neighbours, jitter "
        "and change within the plane are of the largest box that was measured wholly.",
        columns=(
            "seed",
            "slices",
            "psnr",
            "ssim",
            "mae",
            "continuity_ratio",
            "continuity_explained",
            "continuity_error",
            "neighbour_ssim_z",
            "neighbour_ssim_z_truth",
            "jitter_z",
            "jitter_z_truth",
            "fraction_0",
            "fraction_0_truth",
            "self_continuity_ratio",
            "self_continuity_correlation_z",
            *MEASURED,
            NOT_MEASURED,
        ),
    ),
    "rock.csv": Table(
        "Rock",
        "Pores are the darkest phase, by one segmentation for all. Connected: joins the two faces along the axis. Pore "
        "sizes and flow are of a block from the middle; a formation factor is ∞ where no path leads through the pores. "
        "Thin volumes read too connected, noise shifts the Euler number, round pores read a voxel too small, and "
        "surfaces too small where pores are hardly wider than a voxel's longest edge. Where a part was not measured, "
        "porosity is of the rest, and all other figures of the largest box that was measured wholly.",
        columns=(
            "seed",
            "porosity",
            "porosity_connected_z",
            "porosity_connected_y",
            "porosity_connected_x",
            "specific_surface_per_um",
            "euler_per_um3",
            "mean_chord_z_nm",
            "mean_chord_x_nm",
            "pore_diameter_nm_median",
            "diffusivity_z_relative",
            "diffusivity_x_relative",
            "formation_factor_z",
            "formation_factor_x",
            "permeability_z_nd",
            "permeability_y_nd",
            "permeability_x_nd",
            *MEASURED,
            NOT_MEASURED,
        ),
    ),
    "rock_intervals.csv": Table(
        "Rock, over the seeds",
        "Each figure over n trainings of a variant that differ by their seed, each one's own volume measured: mean, "
        "standard deviation, Student's 95 % interval of the mean over the seeds, least and greatest. They know of "
        "trainings only: not of other rock, nor of what no training can tell. Tortuosity and formation factor are of "
        "the mean conductance, to which a volume without a path through its pores adds 0.",
        headings={"low": "95 % from", "high": "95 % to", "n": "Seeds", "without_path": "Of them without a path"},
    ),
    "uncertainty.csv": Table(
        "Uncertainty",
        "Share of pixels whose true error is covered by the stated uncertainty; in brackets that of Gaussian errors.",
        columns=(
            "of",
            "stated",
            "pixels",
            "within_1",
            "within_2",
            "rms_error",
            "rms_stated",
            "correlation",
            "nll",
            NOT_MEASURED,
        ),
        label=("variant", "run"),
    ),
    "repair.csv": Table("Repair, under the damage", "Mean and standard error over the test slices."),
    "segmentation.csv": Table("Segmentation"),
}

HEADINGS = {
    "neighbour_ssim_z": "SSIM of neighbours along z",
    "neighbour_ssim_z_truth": "SSIM of neighbours, truth",
    "jitter_z": "Jitter along z",
    "jitter_z_truth": "Jitter along z, truth",
    "porosity": "Porosity",
    "porosity_connected_z": "Connected, z",
    "porosity_connected_y": "Connected, y",
    "porosity_connected_x": "Connected, x",
    "specific_surface_per_um": "Surface / µm⁻¹",
    "euler_per_um3": "Euler number / µm⁻³",
    "mean_chord_z_nm": "Mean chord z / nm",
    "mean_chord_x_nm": "Mean chord x / nm",
    "pore_diameter_nm_median": "Median pore / nm",
    "diffusivity_z_relative": "Diffusivity z, relative",
    "diffusivity_x_relative": "Diffusivity x, relative",
    "formation_factor_z": "Formation factor z",
    "formation_factor_x": "Formation factor x",
    "permeability_z_nd": "Permeability z / nD",
    "permeability_y_nd": "Permeability y / nD",
    "permeability_x_nd": "Permeability x / nD",
    "measured_share": "Share measured",
    "box_z_px": "Box z / voxels",
    "box_y_px": "Box y / voxels",
    "box_x_px": "Box x / voxels",
    "label": "Variant",
    "seed": "Seed",
    "slices": "Slices",
    "psnr": "PSNR / dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "mae": "MAE / range",
    "continuity_ratio": "Change along z / truth's",
    "continuity_explained": "True change along z that is right",
    "continuity_error": "Error of change along z",
    "self_continuity_ratio": "Change along z / in plane",
    "self_continuity_correlation_z": "Correlation of neighbours along z",
    "damaged": "Share damaged",
    "psnr_mean": "PSNR / dB",
    "ssim_mean": "SSIM",
    "psnr_interpolated_mean": "PSNR of interpolation / dB",
    "ssim_interpolated_mean": "SSIM of interpolation",
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
    NOT_MEASURED: "Not measured, and why",
}
DIGITS = {"psnr": 2, "psnr_mean": 2, "psnr_interpolated_mean": 2}


def read_tables(folder: Path, names: Sequence[str]) -> list[TableEntry]:
    """The tables among `names` that lie in `folder`: those of `TABLES` in its order, then others.

    Args:
        folder: `metrics/` of a sample.
        names: files of this run; others in the folder may be left from an earlier one.
    """
    order = [name for name in TABLES if name in names]
    order += sorted(name for name in names if name not in TABLES and name not in HIDDEN)
    return [_entry(folder / name) for name in order if (folder / name).exists()]


def read_paired(folder: Path, names: Sequence[str]) -> list[PairedTest]:
    """The paired tests of `pairs.csv`, for the answer; none where there is no such table or it has other columns."""
    path = folder / "pairs.csv"
    if path.name not in names or not path.exists():
        return []
    table = io.read_csv(path)
    if not set(PAIRED_COLUMNS) <= set(table.columns):
        return []
    return rows_of(table[list(PAIRED_COLUMNS)])  # type: ignore[return-value]


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows, each column's name to its value; what is missing in a column of words is None."""
    words = {str(key) for key in table.columns if not pd.api.types.is_numeric_dtype(table[key])}
    return [
        {str(key): None if key in words and pd.isna(value) else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]


def _entry(path: Path) -> TableEntry:
    look = TABLES.get(path.name, Table(path.stem.replace("_", " ").capitalize()))
    table = io.read_csv(path)
    note = look.note
    if len(table) > LONGEST:
        note = f"{note} The first {LONGEST} of {len(table)} rows; all of them are in {path}.".strip()
        table = table.head(LONGEST)
    rows = rows_of(table)
    label = [key for key in look.label if key in table]
    shown = [key for key in look.columns if key in table] or [str(k) for k in table.columns if k not in label]
    for row in rows:
        row["label"] = ", ".join(str(row[key]) for key in label).replace("_", " ")
    shown = [key for key in shown if not (key.endswith("_stderr") and f"{key.removesuffix('_stderr')}_mean" in shown)]
    keys = ["label"] * bool(label) + [key for key in shown if not table[key].isna().all()]
    columns = [
        (key, _heading(key, look), 0 if key != "label" and _is_whole(table[key]) else DIGITS.get(key, 3))
        for key in keys
    ]
    return {"key": path.stem, "title": look.title, "note": note, "columns": columns, "rows": rows}


def _is_whole(column: pd.Series) -> bool:
    """Whether all numbers of a column are whole, as counts are, though a missing one made them floats."""
    known = column.dropna()
    return pd.api.types.is_numeric_dtype(known) and bool((known % 1 == 0).all())


def _heading(key: str, look: Table) -> str:
    return look.headings.get(key) or HEADINGS.get(key) or key.replace("_", " ").strip().capitalize()
