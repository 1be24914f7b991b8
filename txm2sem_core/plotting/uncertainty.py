"""A prediction beside its stated uncertainty and its true error, and whether the one covers the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from txm2sem_core.config.figures import CommonStyle, UncertaintyStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import (
    LINE_STYLES,
    MUTED,
    PALETTE,
    axes_mm,
    drawing,
    letter,
    line_height_mm,
    new_figure,
    text_mm,
    text_width_mm,
)
from txm2sem_core.plotting.images import Image, add_scale_bar, grey_range, physical_size, show_image

Values = NDArray[np.float64]
NOMINAL = ((0.6827, "68.3 %"), (0.9545, "95.4 %"))  # of Gaussian errors, within one and two standard deviations
GAP_MM, IMAGE_GAP_MM, BAR_MM, BAR_LABEL_MM = 2.0, 3.0, 2.2, 11.0
LEFT_MM, BOTTOM_MM, TOP_MM = 9.5, 9.0, 5.5


@dataclass(frozen=True)
class StatedCoverage:
    """How one stated standard deviation compares with the error of one kind of image.

    Attributes:
        of: what the error is of, in words.
        stated: what is stated, in words; one colour each.
        bin_stated: root mean square of what is stated in each bin, grey levels, `[N]`.
        bin_error: root mean squared error in the same bins, `[N]`.
        within: shares of pixels whose error is at most one and two of the stated standard deviations.
    """

    of: str
    stated: str
    bin_stated: Values
    bin_error: Values
    within: tuple[float, float]


@dataclass(frozen=True)
class UncertaintyView:
    """Images `[Y, X]` in grey levels; `target` gives the grey scale and the error.

    Attributes:
        prediction: the mean.
        uncertainty: its stated standard deviation.
        target: what was measured, or the truth.
        target_name: which of both, in words.
        pixel_size_nm: along Y, X; None where it is not known.
        coverages: of the charts.
    """

    prediction: Image
    uncertainty: Image
    target: Image
    target_name: str
    pixel_size_nm: tuple[float, float] | None
    coverages: Sequence[StatedCoverage]


def draw_uncertainty(view: UncertaintyView, style: UncertaintyStyle, common: CommonStyle) -> Figure:
    """Draw prediction, uncertainty and error above, the reliability curve and the coverage below.

    Uncertainty and error share one colour scale. Points of the reliability curve below the dashed diagonal state more
    than the error is, those above it less.

    Raises:
        InputError: images of different shapes, or no coverage.
    """
    shapes = {image.shape for image in (view.prediction, view.uncertainty, view.target)}
    if len(shapes) > 1 or not view.coverages:
        raise InputError(f"prediction, uncertainty and target of one shape and a coverage are needed, not {shapes}")
    height_nm, width_nm = physical_size(view.prediction.shape, view.pixel_size_nm)
    width = common.width_mm(2)
    with drawing(common):
        line = line_height_mm(common)
        top, below = line + 0.6, IMAGE_GAP_MM + style.chart_height_mm
        image_width = (width - 2 * GAP_MM - BAR_LABEL_MM) / 3
        image_height = min(image_width * height_nm / width_nm, common.max_height_mm - top - below)
        image_width = image_height * width_nm / height_nm
        figure = new_figure(width, top + image_height + below)
        corners = [index * (image_width + GAP_MM) for index in range(3)]
        shown = _draw_images(figure, view, [(left, top, image_width, image_height) for left in corners], style, common)
        bar = axes_mm(figure, corners[2] + image_width + 1.2, top, BAR_MM, image_height)
        figure.colorbar(shown, cax=bar, extend="max").outline.set_linewidth(0.5)
        bar.yaxis.set_major_locator(MaxNLocator(6))
        names = ["Prediction", "Stated uncertainty (one s.d.)", f"True error, against {view.target_name}"]
        for index, (left, name) in enumerate(zip(corners, names, strict=True)):
            _title(figure, left, line * 0.85, index, name, common)
        _draw_charts(figure, view.coverages, top + image_height + IMAGE_GAP_MM, style, common)
    return figure


def _title(figure: Figure, left: float, baseline: float, index: int, text: str, common: CommonStyle) -> None:
    if common.panel_letters:
        text_mm(figure, left, baseline, letter(index), va="baseline", weight="bold")
        left += line_height_mm(common)
    text_mm(figure, left, baseline, text, va="baseline")


def _draw_images(
    figure: Figure,
    view: UncertaintyView,
    positions: Sequence[tuple[float, float, float, float]],
    style: UncertaintyStyle,
    common: CommonStyle,
) -> AxesImage:
    """Three images; returns the last one, whose colours the bar explains."""
    size = physical_size(view.prediction.shape, view.pixel_size_nm)
    error = np.abs(view.prediction.astype(np.float64) - view.target.astype(np.float64))
    _, greatest = grey_range([view.uncertainty, error], (0.0, style.percentile))
    panels = [axes_mm(figure, *position) for position in positions]
    show_image(panels[0], view.prediction, size, grey_range([view.target], style.grey_percentiles))
    if view.pixel_size_nm is not None:
        add_scale_bar(panels[0], size, style.scale_bar_fraction, common)
    show_image(panels[1], view.uncertainty, size, (0.0, greatest), style.colours)
    return show_image(panels[2], error, size, (0.0, greatest), style.colours)


def _draw_charts(
    figure: Figure, coverages: Sequence[StatedCoverage], top: float, style: UncertaintyStyle, common: CommonStyle
) -> None:
    width, height = common.width_mm(2), style.chart_height_mm - TOP_MM - BOTTOM_MM
    half = (width - GAP_MM) / 2
    labels = [f"{own.of}, {own.stated}" for own in coverages]
    label_mm = max(text_width_mm(label, common) for label in labels) + 3.0
    curves = axes_mm(figure, LEFT_MM, top + TOP_MM, half - LEFT_MM - 4.0, height)
    shares = axes_mm(figure, half + GAP_MM + label_mm, top + TOP_MM, half - label_mm - 5.0, height)
    _title(figure, 0.0, top + TOP_MM - 2.0, 3, "Reliability", common)
    _title(figure, half + GAP_MM, top + TOP_MM - 2.0, 4, "Share of pixels whose error is covered", common)
    stated = list(dict.fromkeys(own.stated for own in coverages))
    kinds = list(dict.fromkeys(own.of for own in coverages))
    _draw_curves(curves, coverages, stated, kinds)
    _draw_shares(shares, coverages, stated, labels)


def _draw_curves(axes: Axes, coverages: Sequence[StatedCoverage], stated: Sequence[str], kinds: Sequence[str]) -> None:
    for own in coverages:
        axes.plot(
            own.bin_stated,
            own.bin_error,
            color=PALETTE[stated.index(own.stated)],
            linestyle=LINE_STYLES[kinds.index(own.of) % len(LINE_STYLES)],
            marker=".",
            markersize=3.5,
            label=f"{own.of}, {own.stated}",
        )
    greatest = max(float(max(own.bin_stated.max(), own.bin_error.max())) for own in coverages) * 1.05
    axes.plot([0, greatest], [0, greatest], ":", color=MUTED, linewidth=0.7, zorder=1)
    axes.set_xlim(0, greatest)
    axes.set_ylim(0, greatest)
    axes.set_xlabel("Stated standard deviation / grey levels", labelpad=1.5)
    axes.set_ylabel("Rms error / grey levels", labelpad=1.5)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="lower right", handlelength=2.4, borderaxespad=0.1, labelspacing=0.25)


def _draw_shares(axes: Axes, coverages: Sequence[StatedCoverage], stated: Sequence[str], labels: Sequence[str]) -> None:
    for share, name in NOMINAL:
        axes.axvline(share, color=MUTED, linestyle=":", linewidth=0.7, zorder=1)
        axes.text(share, 1.02, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom", color=MUTED)
    for position, own in enumerate(coverages):
        colour = PALETTE[stated.index(own.stated)]
        axes.plot(own.within, [position, position], color=colour, linewidth=0.6, zorder=2)
        axes.plot(own.within[0], position, "o", color=colour, markersize=3.6, zorder=3)
        axes.plot(own.within[1], position, "s", color=colour, markersize=3.6, markerfacecolor="white", zorder=3)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(coverages) - 0.5, -0.5)
    axes.set_yticks(range(len(coverages)), labels)
    axes.tick_params(axis="y", length=0, pad=3)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.4)
    axes.set_xlabel("Share within one (●) and two (□) stated s.d.", labelpad=1.5)
