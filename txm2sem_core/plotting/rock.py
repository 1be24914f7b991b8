"""Metrics of the rock by variant, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from txm2sem_core.config.figures import CommonStyle, ComparisonStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import (
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

A_ROW = {1: 1, 2: 3}
BOTTOM_MM, GAP_MM = 8.5, 4.0
Interval = tuple[float, float]
UNKNOWN: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class Measured:
    """A metric of one variant.

    Attributes:
        mean: over its volumes.
        values: of each of them.
        volume: interval of another training; NaN where it is not known.
        rock: interval of the rock that it is a piece of.
    """

    mean: float
    values: Sequence[float] = field(default_factory=tuple)
    volume: Interval = UNKNOWN
    rock: Interval = UNKNOWN


@dataclass(frozen=True)
class RockPanel:
    """A metric of all variants, and of the truth where it is known."""

    heading: str
    measured: Sequence[Measured]
    truth: Measured | None = None


def draw_rock(
    labels: Sequence[str], panels: Sequence[RockPanel], style: ComparisonStyle, common: CommonStyle
) -> Figure:
    """Draw a panel a metric: a line a variant, and the truth as a line with the band of its rock.

    Args:
        labels: of the variants.
        panels: each with as many metrics as there are labels.
        style: of this figure.
        common: of all figures.

    Raises:
        InputError: no panel, or one with other variants than the labels name.
    """
    if not panels or any(len(panel.measured) != len(labels) for panel in panels):
        raise InputError("there is no rock to draw, or not of all variants")
    columns = min(len(panels), A_ROW[style.columns])
    with drawing(common):
        width = common.width_mm(style.columns)
        label_mm = min(0.4 * width, max(text_width_mm(label, common) for label in labels) + 3.0)
        panel_mm = (width - label_mm - GAP_MM * (columns - 1) - 2.0) / columns
        chart_mm = max(len(labels) * style.row_height_mm, 12.0)
        top = line_height_mm(common) if common.panel_letters else 1.0
        rows = -(-len(panels) // columns)
        figure = new_figure(width, rows * (top + chart_mm + BOTTOM_MM) + 1.5 * line_height_mm(common))
        for number, panel in enumerate(panels):
            row, column = divmod(number, columns)
            left, upper = label_mm + column * (panel_mm + GAP_MM), row * (top + chart_mm + BOTTOM_MM) + top
            axes = axes_mm(figure, left, upper, panel_mm, chart_mm)
            _draw_panel(axes, panel)
            axes.set_xlabel(panel.heading, labelpad=1.5)
            axes.xaxis.set_major_locator(MaxNLocator(max(2, int(panel_mm // 15)), steps=[1, 2, 5, 10]))
            axes.set_yticks(range(len(labels)), labels if column == 0 else [""] * len(labels), parse_math=False)
            if common.panel_letters:
                text_mm(figure, left, upper - top + 0.3, letter(number), weight="bold")
        handles = _handles(panels)
        figure.legend(handles=handles, loc="lower center", ncols=len(handles), borderaxespad=0.2, columnspacing=1.4)
    return figure


def _draw_panel(axes: Axes, panel: RockPanel) -> None:
    colour, truth = PALETTE[0], panel.truth
    if truth is not None and math.isfinite(truth.mean):
        axes.axvline(truth.mean, color="black", linewidth=0.8, zorder=1)
        if math.isfinite(truth.rock[0]):
            axes.axvspan(*truth.rock, color="#DDDDDD", linewidth=0, zorder=0)
    for at, own in enumerate(panel.measured):
        for ends, thick in ((own.rock, 0.8), (own.volume, 2.4)):
            if math.isfinite(ends[0]):
                axes.plot(ends, [at, at], color=colour, linewidth=thick, solid_capstyle="butt", zorder=2)
        values = [value for value in own.values if math.isfinite(value)]
        if len(values) > 1:
            axes.plot(values, [at + 0.25] * len(values), ".", color=MUTED, markersize=2.5, zorder=3)
        if math.isfinite(own.mean):
            axes.plot(own.mean, at, "o", color=colour, markersize=3.6, zorder=4)
    axes.set_ylim(len(panel.measured) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.tick_params(axis="y", length=0, pad=3)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.4)
    axes.set_axisbelow(True)


def _handles(panels: Sequence[RockPanel]) -> list[Line2D | Patch]:
    """The legend, of what there is."""
    shown = [own for panel in panels for own in panel.measured]
    truths = [panel.truth for panel in panels if panel.truth is not None]
    colour = PALETTE[0]
    found: list[Line2D | Patch] = [Line2D([], [], color=colour, marker="o", markersize=3.6, linestyle="", label="mean")]
    if any(len(own.values) > 1 for own in shown):
        found.append(Line2D([], [], color=MUTED, marker=".", markersize=2.5, linestyle="", label="one volume"))
    if any(math.isfinite(own.volume[0]) for own in shown):
        found.append(Line2D([], [], color=colour, linewidth=2.4, label="another training, 90 %"))
    if any(math.isfinite(own.rock[0]) for own in shown):
        found.append(Line2D([], [], color=colour, linewidth=0.8, label="this rock, 90 %"))
    if truths:
        found.append(Line2D([], [], color="black", linewidth=0.8, label="truth"))
    if any(math.isfinite(own.rock[0]) for own in truths):
        found.append(Patch(color="#DDDDDD", label="its rock, 90 %"))
    return found
