"""Title and caption of each figure."""

from __future__ import annotations

from pathlib import Path

from txm2sem_core.report.page import FigureEntry

# by the name of the figure's file or folder in `figures/`, without a number or variant after it
CAPTIONS = {
    "comparison": (
        "Comparison",
        "Mean PSNR and SSIM over the test slices with their standard errors over slices, none of a single one; learned "
        "variants and baselines apart. "
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
        "other planes cut. A volume much flatter than wide is shown around its middle only. What was not "
        "measured is blue.",
    ),
    "phases": (
        "Phases",
        "The middle slice of every volume, parted by one segmentation for all (measure.segmentation); Dice "
        "coefficients of the darkest phase are against the truth. Thresholds know grey levels, not minerals. What was "
        "not measured is white.",
    ),
    "pore_space": (
        "Pore space",
        "Walls of the darkest phase in a block from the middle of the volumes, from one point of view; z runs into the "
        "depth. Where a part was not measured, the block is from the largest box that was.",
    ),
    "distributions": (
        "Pores in numbers",
        "Probability that two points so far apart both lie in the pores, along each axis; share of chords through "
        "pores that are no longer (below 1: the rest is longer than the volume shows); share of the pores' volume that "
        "no wider ball fits into, which is about a voxel too small for round pores. Bands: the range over seeds.",
    ),
    "spectra": (
        "Spectra and resolution",
        "Power against spatial frequency, of test patches and of volumes along z; and the correlation of each ring of "
        "frequencies with the measured FIB-SEM, whose own noise bounds it. Bands: the range over seeds.",
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
        "Checkerboards of TXM and FIB-SEM slices as acquired and registered. The worst pair comes first. Blue is where "
        "the FIB-SEM slice does not reach, and what was not measured.",
    ),
}


def figure_entry(path: str, folder: Path) -> FigureEntry:
    """Title and caption of a figure of the sample whose results lie in `folder`."""
    parts = Path(path).relative_to(folder / "figures").with_suffix("").parts
    first = parts[0]
    kind = max((key for key in CAPTIONS if first == key or first.startswith(f"{key}_")), key=len, default=None)
    if kind is None:
        title = " ".join(parts).replace("_", " ").capitalize()
        return {"title": title, "caption": f"The figure {parts[0]}, which has no caption of its own yet.", "path": path}
    title, caption = CAPTIONS[kind]
    rest = " ".join([first[len(kind) + 1 :], *parts[1:]]).replace("_", " ").strip()
    named = f"{title} {rest}" if rest.isdigit() else f"{title}: {rest}" if rest else title
    return {"title": named, "caption": caption, "path": path}
