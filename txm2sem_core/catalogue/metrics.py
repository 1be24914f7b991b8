"""Every metric in one list: tables, tests between variants, the table for a paper and the report follow from its entry.

How a metric is computed stands in `metrics/`; what computes it names it as here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperColumn:
    """How the table for a paper shows a metric: as it is, or in per cent."""

    title: str
    decimals: int
    percent: bool = False


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: its column in tables and its key in JSON.
        title: its name in the report.
        unit: as the report writes it.
        meaning: what it is, in the table that `txm2sem evaluate` prints.
        decimals: in the report.
        lower_is_better: as of an error.
        of_patches: it is taken of every test patch, and `summary.csv` has its mean over slices.
        decides: the report's verdict, whether the best learned variant beats the best baseline, rests on it.
        paper: its column in the table for a paper. Differences of these between variants are tested.
    """

    name: str
    title: str = ""
    unit: str = ""
    meaning: str = ""
    decimals: int = 3
    lower_is_better: bool = False
    of_patches: bool = False
    decides: bool = False
    paper: PaperColumn | None = None

    @property
    def heading(self) -> str:
        """Of its column in the report."""
        return f"{self.title} / {self.unit}" if self.unit else self.title


_PHASES = ("Darkest phase", "Second phase", "Third phase", "Fourth phase", "Fifth phase")
_METRICS = (
    # of test patches
    Metric(
        "psnr",
        "PSNR",
        "dB",
        meaning="peak signal-to-noise ratio, dB",
        decimals=2,
        of_patches=True,
        decides=True,
        paper=PaperColumn("PSNR / dB", 2),
    ),
    Metric(
        "ssim",
        "SSIM",
        meaning="structural similarity, 1 at best",
        of_patches=True,
        decides=True,
        paper=PaperColumn("SSIM", 4),
    ),
    Metric(
        "mae",
        "MAE",
        "range",
        meaning="mean absolute error, share of the data range",
        lower_is_better=True,
        of_patches=True,
    ),
    Metric(
        "ms_ssim",
        "MS-SSIM",
        meaning="the same at several scales, 1 at best",
        of_patches=True,
        paper=PaperColumn("MS-SSIM", 4),
    ),
    Metric(
        "structure",
        "Structure",
        meaning="local correlation whatever brightness and contrast, 1 at best",
        of_patches=True,
        paper=PaperColumn("Structure", 4),
    ),
    Metric(
        "gmsd",
        "GMSD",
        meaning="deviation of gradient similarity, 0 at best",
        lower_is_better=True,
        of_patches=True,
    ),
    Metric(
        "histogram_distance",
        "Histogram distance",
        meaning="earth mover's distance of grey levels, share of the data range",
        lower_is_better=True,
        of_patches=True,
        paper=PaperColumn("Histogram / %", 2, percent=True),
    ),
    # of volumes
    Metric("resolution_nm", meaning="size down to which both agree (Fourier correlation above 1/7), nm"),
    Metric("resolution_half_bit_nm", meaning="the same by the half-bit threshold, nm"),
    Metric(
        "continuity_ratio",
        "Change along z",
        "truth's",
        meaning="change along z over the truth's: 1 as the truth, above it jitter",
    ),
    Metric(
        "continuity_error",
        "Error of change along z",
        meaning="mean error of the change along z, share of the data range",
    ),
    Metric(
        "continuity_explained",
        "True change along z that is right",
        meaning="share of the true change along z that is right, 1 at best",
    ),
    Metric(
        "self_continuity_ratio",
        "Change along z",
        "in plane",
        meaning="change along z over that in the plane: 1 if isotropic",
    ),
    Metric("self_continuity_correlation_z", "Correlation of neighbours along z"),
    Metric(
        "neighbour_ssim_z",
        "SSIM of neighbours along z",
        meaning="similarity of neighbouring slices, by lines",
    ),
    Metric("neighbour_ssim_z_truth", "SSIM of neighbours, truth"),
    Metric("neighbour_ssim_plane", meaning="the same in the plane"),
    Metric("jitter_z", "Jitter along z", meaning="roughness along z: 0 smooth, 1 independent slices"),
    Metric("jitter_plane", meaning="the same in the plane"),
    Metric("brightness_jitter", meaning="roughness of the slices' brightness: 0 smooth, 1 independent"),
    Metric("shift_jitter_px", meaning="shifts between neighbours, pixels"),
    Metric("spectrum_high_z", meaning="share of high frequencies along z: 1/2 of independent slices"),
    Metric("spectrum_high_plane", meaning="the same in the plane"),
    Metric("spectrum_high_ratio", meaning="the one over the other: 1 if isotropic"),
    Metric(
        "txm_residual_rms",
        "Residual of the TXM",
        "noise",
        meaning="root mean square of measured less expected TXM, in units of its noise",
        decimals=2,
        lower_is_better=True,
    ),
    Metric(
        "txm_residual_beyond_3",
        "Share beyond 3",
        meaning="share of the voxels whose residual is beyond 3 units",
        decimals=4,
        lower_is_better=True,
    ),
    Metric("txm_residual_judged_share", "Share judged", meaning="share of the voxels that could be judged"),
    # of the rock
    Metric("porosity", "Porosity", meaning="share of the darkest phase"),
    *(Metric(f"porosity_connected_{axis}", f"Connected, {axis}") for axis in "zyx"),
    Metric("specific_surface_per_um", "Surface", "µm⁻¹", meaning="wall of the pores per volume, 1/um"),
    Metric(
        "euler_per_um3",
        "Euler number",
        "µm⁻³",
        meaning="Euler number of the pores per volume, 1/um^3; noise shifts it",
    ),
    *(Metric(f"mean_chord_{axis}_nm", f"Mean chord {axis}", "nm") for axis in "zyx"),
    Metric("block_porosity", meaning="porosity of the block for pore sizes and flow"),
    Metric(
        "pore_diameter_nm_median",
        "Median pore",
        "nm",
        meaning="of the local thickness, nm; round pores a voxel too small",
    ),
    *(Metric(f"diffusivity_{axis}_relative", f"Diffusivity {axis}, relative") for axis in "zyx"),
    *(Metric(f"tortuosity_{axis}", f"Tortuosity {axis}") for axis in "zyx"),
    *(Metric(f"formation_factor_{axis}", f"Formation factor {axis}") for axis in "zyx"),
    *(Metric(f"permeability_{axis}_nd", f"Permeability {axis}", "nD") for axis in "zyx"),
    *(Metric(f"fraction_{phase}", title) for phase, title in enumerate(_PHASES)),
    # of the uncertainty
    Metric("within_1", "Covered by 1 s.d. (0.683)"),
    Metric("within_2", "Covered by 2 s.d. (0.954)"),
    Metric("rms_error", "Rms error"),
    Metric("rms_stated", "Rms stated"),
    Metric("nll", "−log likelihood"),
    # of side tasks
    Metric("psnr_interpolated", "PSNR of interpolation", "dB", decimals=2),
    Metric("ssim_interpolated", "SSIM of interpolation"),
    Metric("dice_background", "Dice, background"),
    Metric("dice_low_density", "Dice, low density"),
    Metric("dice_high_density", "Dice, high density"),
    Metric("mean_iou", "Mean IoU"),
    Metric("accuracy", "Accuracy"),
    Metric("accuracy_floor", "Accuracy of one class alone"),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _METRICS}
OF_PATCHES = tuple(metric.name for metric in _METRICS if metric.of_patches)
PAPER: Mapping[str, PaperColumn] = {metric.name: metric.paper for metric in _METRICS if metric.paper is not None}

# What metrics mean that come for each phase or axis: by the start of their names.
MEANING_BY_START = {
    "fraction_": "share of a phase, from the darkest",
    "dice_": "agreement on a phase, 1 at best",
    "porosity_connected_": "pores that join the two faces of an axis",
    "mean_chord_": "mean chord in the pores, nm",
    "block_": "block for pore sizes and flow, voxels",
    "box_": "box that was measured wholly, of which all figures are that need one, voxels",
    "diffusivity_": "effective over free diffusivity",
    "tortuosity_": "porosity over that",
    "formation_factor_": "1 over the effective over the free diffusivity",
    "permeability_": "Stokes flow through the pores",
}


def metric_of(column: str) -> Metric | None:
    """The metric that a column of a table holds: itself, its mean, or that of the truth."""
    if column in METRICS:
        return METRICS[column]
    if (mean := METRICS.get(column.removesuffix("_mean"))) is not None:
        return mean
    truth = METRICS.get(column.removesuffix("_truth"))
    return None if truth is None else Metric(column, f"{truth.title}, truth", truth.unit, decimals=truth.decimals)


def meaning_of(name: str) -> str:
    """What a metric is, in a few words; empty where it has none of its own."""
    own = METRICS[name].meaning if name in METRICS else ""
    return own or next((meaning for start, meaning in MEANING_BY_START.items() if name.startswith(start)), "")
