"""Style of the figures: what `config/figures.yaml` holds. Nothing here changes a number.

Every figure is drawn from its own group and `common` alone, so a changed group redraws one figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from txm2sem_core.config import Settings, validated

Millimetres = Annotated[float, Field(gt=0, le=1000)]
Percentile = Annotated[float, Field(ge=0, le=100)]
ImageFormat = Literal["png", "pdf", "svg"]
# matplotlib's maps that keep their order in grey print and for the colour-blind; the last three have two arms
ColourMap = Literal["viridis", "cividis", "magma", "inferno", "gray", "PuOr", "RdBu", "BrBG"]


class CommonStyle(Settings):
    """What all figures share."""

    one_column_mm: Millimetres = 85.0  # width of a figure with `columns: 1`
    two_columns_mm: Millimetres = 178.0  # width of a figure with `columns: 2`
    max_height_mm: Millimetres = 230.0  # no figure of images is taller
    font_family: str = "DejaVu Sans"  # a font that matplotlib finds; DejaVu Sans comes with it
    font_size_pt: Annotated[float, Field(ge=4, le=20)] = 7.0
    line_width_pt: Annotated[float, Field(gt=0, le=5)] = 0.9
    dpi: Annotated[int, Field(ge=50, le=1200)] = 300  # of PNG, and of images within PDF and SVG
    panel_letters: bool = True  # a, b, c at the panels' upper left corners
    formats: Annotated[tuple[ImageFormat, ...], Field(min_length=1)] = ("png", "pdf")  # png is needed by the report

    @model_validator(mode="after")
    def _png_for_the_report(self) -> CommonStyle:
        if "png" not in self.formats:
            raise ValueError("formats must name png, which the report shows")
        return self

    def width_mm(self, columns: Literal[1, 2]) -> float:
        """Width of a figure over so many columns of the journal, in mm."""
        return self.one_column_mm if columns == 1 else self.two_columns_mm


class GreyStyle(Settings):
    """The grey scale of images: black and white at percentiles of the measured image, shared by what is compared."""

    grey_percentiles: tuple[Percentile, Percentile] = (0.5, 99.5)

    @model_validator(mode="after")
    def _ordered(self) -> GreyStyle:
        low, high = self.grey_percentiles
        if low >= high:
            raise ValueError(f"grey_percentiles must be low < high, not {low}, {high}")
        return self


class MontageStyle(GreyStyle):
    """Rows of TXM, prediction, FIB-SEM and error, one a variant."""

    columns: Literal[1, 2] = 2
    patches: Annotated[int, Field(ge=1, le=20)] = 2  # test patches shown, evenly over the split; a montage for each
    error: Literal["signed", "absolute"] = "signed"  # prediction minus FIB-SEM, or its magnitude
    error_colours: ColourMap = "PuOr"  # two arms for `signed`, one (magma, viridis, cividis) for `absolute`
    error_percentile: Percentile = 99.0  # of all rows' error, where the colours end
    scale_bar_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.3  # greatest length, as a share of the image's width

    @model_validator(mode="after")
    def _arms(self) -> MontageStyle:
        if (self.error == "signed") != (self.error_colours in TWO_ARMED):
            arms = ", ".join(TWO_ARMED if self.error == "signed" else ONE_ARMED)
            raise ValueError(f"error_colours must be one of {arms} for error {self.error}, not {self.error_colours}")
        return self


TWO_ARMED = ("PuOr", "RdBu", "BrBG")
ONE_ARMED = ("viridis", "cividis", "magma", "inferno", "gray")


class SectionsStyle(GreyStyle):
    """Sections through the volumes in all three planes."""

    columns: Literal[1, 2] = 2
    show_planes: bool = True  # lines where the other two sections cut
    least_depth: Annotated[float, Field(gt=0, le=1)] = 0.1  # a volume flatter than this, to its width, is cropped
    scale_bar_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.3


class UncertaintyStyle(GreyStyle):
    """A prediction, its stated uncertainty and its true error, and whether the one covers the other."""

    colours: Literal["viridis", "cividis", "magma", "inferno", "gray"] = "magma"  # of uncertainty and error
    percentile: Percentile = 99.0  # of uncertainty and error together, where the colours end
    chart_height_mm: Millimetres = 52.0
    scale_bar_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.3


class CurvesStyle(Settings):
    """Losses and validation scores an epoch."""

    columns: Literal[1, 2] = 2
    panel_height_mm: Millimetres = 42.0
    log_loss: bool = True  # logarithmic axis for a positive loss that spans more than a factor of ten
    band: Literal["range", "stderr"] = "range"  # around the mean of several seeds


class ChartStyle(Settings):
    """Charts of lines: spectra, two-point functions, distributions."""

    columns: Literal[1, 2] = 2
    panel_height_mm: Millimetres = 48.0


class PhasesStyle(Settings):
    """Maps of the phases that prediction and truth are separated into."""

    columns: Literal[1, 2] = 2
    scale_bar_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.3


class PoreSpaceStyle(Settings):
    """The pore space in three dimensions, and the view of planes that were found in a volume."""

    columns: Literal[1, 2] = 2
    side_px: Annotated[int, Field(ge=16, le=256)] = 96  # greatest side of what is shown, in voxels as drawn
    elevation_deg: Annotated[float, Field(ge=-90, le=90)] = 22.0  # of the view
    azimuth_deg: Annotated[float, Field(ge=-360, le=360)] = -56.0
    colour: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")] = "#D9A441"  # of the pores' walls


class ComparisonStyle(Settings):
    """PSNR and SSIM of every variant and baseline."""

    columns: Literal[1, 2] = 2
    row_height_mm: Millimetres = 5.0
    sort_by: Literal["psnr", "ssim"] = "psnr"
    show_seeds: bool = True  # a small point for every seed


class RegistrationStyle(Settings):
    """Checkerboards of TXM and FIB-SEM before and after registration."""

    columns: Literal[1, 2] = 2
    slices: Annotated[int, Field(ge=1, le=20)] = 3  # shown: the worst, the best, and evenly between
    tiles: Annotated[int, Field(ge=2, le=40)] = 8  # of the checkerboard along the longer side
    percentiles: tuple[Percentile, Percentile] = (1.0, 99.0)  # of each image, black and white: contrasts differ
    scale_bar_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.25

    @model_validator(mode="after")
    def _ordered(self) -> RegistrationStyle:
        if self.percentiles[0] >= self.percentiles[1]:
            raise ValueError(f"percentiles must be low < high, not {self.percentiles[0]}, {self.percentiles[1]}")
        return self


class FigureSettings(Settings):
    """The whole of `config/figures.yaml`."""

    common: CommonStyle = CommonStyle()
    montage: MontageStyle = MontageStyle()
    sections: SectionsStyle = SectionsStyle()
    uncertainty: UncertaintyStyle = UncertaintyStyle()
    curves: CurvesStyle = CurvesStyle()
    comparison: ComparisonStyle = ComparisonStyle()
    registration: RegistrationStyle = RegistrationStyle()
    spectra: ChartStyle = ChartStyle()
    distributions: ChartStyle = ChartStyle()
    phases: PhasesStyle = PhasesStyle()
    pore_space: PoreSpaceStyle = PoreSpaceStyle()


def load_figure_settings(values: Mapping[str, Any], where: str = "config/figures.yaml") -> FigureSettings:
    """Check the parsed figure settings and return them complete.

    Raises:
        ConfigError: names the first wrong key, its value, the rule, and for an unknown key the nearest known one.
    """
    return validated(FigureSettings, values, "", where)
