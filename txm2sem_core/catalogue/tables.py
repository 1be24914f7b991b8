"""Every table of a sample's `metrics/` in one list: targets, report and `results/README.md` follow from its entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from txm2sem_core.catalogue.metrics import METRICS
from txm2sem_core.metrics.gaps import NOT_MEASURED
from txm2sem_core.samples.files import SampleFiles

if TYPE_CHECKING:  # plans read this module, and need no table
    import pandas as pd


def _always(here: SampleFiles) -> bool:
    return True


def _with_volume(here: SampleFiles) -> bool:
    return here.has_volume


def _all_rows(table: pd.DataFrame) -> pd.DataFrame:
    return table


def _one_each(table: pd.DataFrame) -> pd.DataFrame:
    """Of `rock.csv`: of a variant with several volumes the row of their means alone."""
    if "seed" not in table:
        return table
    averaged = table.loc[table["seed"].astype(str) == "all", "variant"]
    return table[~table["variant"].isin(averaged) | (table["seed"].astype(str) == "all")]


def _of_several(table: pd.DataFrame) -> pd.DataFrame:
    """Of `rock_intervals.csv`: the truth and the variants with several volumes, metric by metric as they are listed."""
    if "n" not in table:
        return table
    several = table[(table["n"] > 1) | (table["variant"] == "truth")]
    several = several[several["metric"] != "fraction_0"]  # it is the porosity
    order = {metric: place for place, metric in enumerate(METRICS)}
    return several.sort_values("metric", key=lambda names: names.map(order), kind="stable")


@dataclass(frozen=True)
class Table:
    """A table of `metrics/`. One without `title` has no place of its own in the report.

    Attributes:
        name: of its file, without a suffix.
        what: what stands in it, for `results/README.md`.
        title: its heading in the report.
        note: what the report's reader must know of it.
        columns: those that the report shows, where they are there; without, all.
        label: columns that name a row and are joined into one.
        headings: of columns that mean something else here than in other tables.
        rows: those that the report shows.
        significant: digits of each number that the report shows; 0 for those after the point that its metric has.
        made: whether a sample has it.
        forms: suffixes of its files.
        asked: whether a run is asked for it, and the report shows it; else it is only left beside others.
    """

    name: str
    what: str
    title: str = ""
    note: str = ""
    columns: tuple[str, ...] = ()
    label: tuple[str, ...] = ("variant",)
    headings: Mapping[str, str] = field(default_factory=dict)
    rows: Callable[[pd.DataFrame], pd.DataFrame] = _all_rows
    significant: int = 0
    made: Callable[[SampleFiles], bool] = _always
    forms: tuple[str, ...] = (".csv",)
    asked: bool = True


MEASURED = ("measured_share", "box_z_px", "box_y_px", "box_x_px")  # where a part of a volume was not
_INTERVAL = {"low": "95 % from", "high": "95 % to"}

TABLES = (
    Table(
        "patches",
        "one row a model and test patch: PSNR, SSIM, MAE, MS-SSIM, structure, GMSD, histogram distance, the 8-bit "
        "scores of the published code, and `not_measured`: which of them failed, and why; so also in `volumes.csv`, "
        "`rock.csv` and `uncertainty.csv`",
    ),
    Table(
        "summary",
        "one row a variant: n different patches, slices; of each score mean, standard error and Student's 95 % "
        "interval over slices, and the spread over seeds",
    ),
    Table(
        "pairs",
        "one row a score and two variants: mean difference, Student's 95 % interval and p over `slices` (each with one "
        "mean), Holm's p, and which is `better`, empty where it may be noise, `too few slices to tell` of a single one",
        title="Paired tests",
        note="First minus second on the same test patches: mean over slices, Student's 95 % interval over slices (each "
        "with one mean), and p of the paired t test, corrected for the number of pairs of a score (Holm). They know of "
        "slices only, not of other trainings or samples. Of a single slice there are neither.",
        columns=("score", "first", "second", "difference", "low", "high", "p_holm", "better", "n", "slices"),
        label=(),
        headings={**_INTERVAL, "p": "p", "p_holm": "p, corrected", "n": "Patches"},
    ),
    Table(
        "table",
        "mean and standard error over slices as a table for a paper, with the published number marked as such",
        forms=(".md", ".tex", ".csv"),
    ),
    Table(
        "spectra",
        "radially averaged power of the test patches: `variant`, `seed`, `source` (`prediction`; `sem` and `txm` once, "
        "without a variant), `frequency_per_px`, `frequency_per_nm`, `power` (squared grey levels of the source times "
        "squared pixels)",
    ),
    Table(
        "resolution",
        "Fourier ring correlation with the measured SEM: `variant`, `seed`, `source` (`prediction`; `txm` once), the "
        "frequencies, `correlation`, `half_bit` (threshold), and for each curve `resolution_nm` (at 1/7) and "
        "`resolution_half_bit_nm`",
    ),
    Table(
        "volumes",
        "one row a volume, where the sample has a TXM volume",
        title="Volumes",
        note="PSNR, SSIM and MAE against the true volume where it is known. Change along z: 1 is as much change from "
        "slice to slice as the truth has; above, slices jitter; below, they are smeared. Without truth, change along z "
        "is compared with change within the plane. Where a part was not measured, it counts nowhere; neighbours, "
        "jitter and change within the plane are of the largest box that was measured wholly.",
        columns=(
            "seed",
            "psnr",
            "ssim",
            "mae",
            "continuity_ratio",
            "continuity_explained",
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
        made=_with_volume,
    ),
    Table(
        "volume_spectra",
        "power along each axis: `variant`, `seed`, `source` (`prediction`; `truth` once), `axis`, the frequencies, "
        "`power` (squared grey levels a voxel)",
        made=_with_volume,
    ),
    Table(
        "consistency",
        "one row a volume, the truth first: how far the measured TXM is from what the volume should show, in units of "
        "its noise ([`docs/method/measures.md`](../docs/method/measures.md)); `metrics/forward_model.json` is what was "
        "learnt for it",
        title="Does it explain the TXM?",
        note="What the TXM shows of FIB-SEM grey levels was learnt from the training pairs. 1 is a residual as large "
        "as the TXM's noise with what that model leaves open. A volume far above the truth's, or above 1 where none is "
        "known, cannot be right; one near it can still be wrong in all that the TXM blurs. Voxels near the volume's "
        "faces are not judged.",
        columns=(
            "seed",
            "txm_residual_rms",
            "txm_residual_beyond_3",
            "txm_residual_judged_share",
            NOT_MEASURED,
        ),
        made=_with_volume,
    ),
    Table(
        "suggestions",
        "where one more FIB-SEM slice would help most, three slices in the order of their worth: z, slices to the "
        "nearest pair, novelty of the TXM there, and the expected fall of the mean squared error as a share of it with "
        "its 90 % interval ([`docs/method/measures.md`](../docs/method/measures.md#where-the-next-slice-would-help))",
        title="Where to mill next",
        note="Slices of the volume whose TXM is least like that of the training slices; the second knows the first. "
        "Novelty: 1 is as new as the training slices are to one another. Gain: by how much the mean squared error of "
        "the variant with the highest PSNR should fall, as a share of it, with its 90 % interval; where that holds 0, "
        "slices at even distances are as good a choice. `txm2sem suggest` also weighs where samples or trainings "
        "disagree.",
        columns=("z", "nearest_pair", "novelty", "gain", "variant", NOT_MEASURED),
        label=(),
        headings={
            "z": "Slice",
            "nearest_pair": "Slices to the nearest pair",
            "novelty": "Novelty",
            "gain": "Gain",
            "variant": "Errors of",
        },
        significant=2,
        made=_with_volume,
    ),
    Table(
        "rock",
        "one row a volume, the truth first, and where a variant has several (seeds, samples) one of their means "
        "(`seed` is "
        "`all`) with the 90 % interval of each metric (`..._low`, `..._high`): metrics of the rock, units in the "
        "names, "
        "`inf` where no path leads through the pores, empty where nothing is known "
        "([`docs/method/measures.md`](../docs/method/measures.md)); "
        "`metrics/{variant}/seed{seed}/rock.json` and `metrics/truth/rock.json` are its parts",
        title="Rock",
        note="Of a variant with several volumes the mean, with its 90 % interval where it is known. Pores are the "
        "darkest "
        "phase, by one segmentation for all. Connected: joins the two faces along the axis. "
        "Pore sizes and flow are of blocks spread over the volume; a formation factor is ∞ where no path leads through "
        "the pores. Thin volumes read too connected, noise shifts the Euler number, round pores read a voxel too "
        "small, "
        "and surfaces too small where pores are hardly wider than a voxel's longest edge. Where a part was not "
        "measured, porosity is of the rest, and all other metrics of the largest box that was measured wholly.",
        columns=(
            "porosity",
            "porosity_connected_z",
            "porosity_connected_y",
            "porosity_connected_x",
            "specific_surface_per_um",
            "euler_per_um3",
            "mean_chord_z_nm",
            "mean_chord_x_nm",
            "pore_diameter_nm_median",
            "formation_factor_z",
            "formation_factor_y",
            "formation_factor_x",
            "permeability_z_nd",
            "permeability_y_nd",
            "permeability_x_nd",
            *MEASURED,
            NOT_MEASURED,
        ),
        rows=_one_each,
        significant=3,
        made=_with_volume,
    ),
    Table(
        "rock_distributions",
        "two-point probability, shares of chord lengths along z, y, x and of pore diameters: variant, seed, what, "
        "axis, `x_nm`, value",
        made=_with_volume,
        asked=False,
    ),
    Table(
        "rock_intervals",
        "of each variant and metric of the rock over n volumes (seeds, and samples where it draws them), each "
        "measured by itself: mean, std, 90 % interval of what another training would find in the volume (`low`, "
        "`high`) and of the rock that the volume is a piece of (`rock_low`, `rock_high`), the standard deviations that "
        "they are made of (`trainings`, `samples`, `finite_size`), least and greatest; `without_path` of them have no "
        "path through their pores, and count with conductance 0; the truth where it is known, and whether the first "
        "interval holds it",
        title="The rock as intervals",
        note="Means over the volumes of a variant, one for each seed and sample: a mean of volumes is smooth, and is "
        "no rock. Another training: 90 % interval of what one more training would find in this volume; the errors that "
        "all trainings share are not in it, so that it held the truth of phantoms in a third of the cases. This rock: "
        "of the rock that the volume is a piece of, as if it were alike everywhere. Each interval needs two seeds at "
        "least; the truth has no trainings. Trainings, samples, size: the standard deviations that they are made of; "
        "the greatest dominates. No interval knows what no training saw. Tortuosity and formation factor are of the "
        "mean conductance, to which a volume without a path through its pores adds 0.",
        columns=(
            "n",
            "mean",
            "low",
            "high",
            "rock_low",
            "rock_high",
            "trainings",
            "samples",
            "finite_size",
            "truth",
            "holds",
        ),
        label=("metric", "variant"),
        headings={
            "n": "Volumes",
            "low": "Another training, from",
            "high": "to",
            "rock_low": "This rock, from",
            "rock_high": "to",
            "trainings": "Trainings",
            "samples": "Samples",
            "finite_size": "Size",
            "truth": "Truth",
            "holds": "Training's holds it",
            "label": "Metric, variant",
        },
        rows=_of_several,
        significant=3,
        made=_with_volume,
    ),
    Table(
        "rock_sizes",
        "the representative volume: of each volume and metric (`of` is `blocks`) mean and std over `blocks` blocks of "
        "`block_z_px`, `block_y_px`, `block_x_px` voxels, in two sizes, or those in which pore sizes and flow are "
        "taken; and "
        "(`of` is `volume`) the estimated std of the whole volume's metric about the rock's, with its `degrees` of "
        "freedom",
        made=_with_volume,
        asked=False,
    ),
    Table(
        "uncertainty",
        "whether the stated uncertainty covers the error, where one is stated",
        title="Uncertainty",
        note="Share of pixels whose true error is covered by the stated uncertainty; in brackets that of Gaussian "
        "errors.",
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
        made=lambda here: bool(here.runs.uncertain),
    ),
    Table(
        "repair",
        "one row a model that repairs, if there are any; errors are over slices",
        title="Repair, under the damage",
        note="Mean and standard error over the test slices.",
        made=lambda here: "repair" in here.runs.tasks,
    ),
    Table(
        "segmentation",
        "one row a model that segments, if there are any",
        title="Segmentation",
        made=lambda here: "segmentation" in here.runs.tasks,
    ),
)


def table_files(here: SampleFiles) -> list[str]:
    """The tables of a sample that a run is asked for."""
    made = [table for table in TABLES if table.asked and table.made(here)]
    return [here.metrics(f"{table.name}{form}") for table in made for form in table.forms]
