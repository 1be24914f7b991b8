"""Charts of lines in a grid of panels with one legend: spectra, two-point functions, distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from txm2sem_core.config.figures import ChartStyle, CommonStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import (
    MUTED,
    axes_mm,
    drawing,
    fitted,
    letter,
    line_height_mm,
    new_figure,
    series_style,
    text_mm,
)

Values = NDArray[np.float64]
Scale = Literal["linear", "log"]
LEFT_MM, BOTTOM_MM, TOP_MM, RIGHT_MM = 12.5, 8.5, 6.0, 1.5
PANELS_A_ROW = {1: 1, 2: 3}


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        label: in words; one look in all panels.
        x: `[N]`.
        y: `[runs, N]`, a row a seed; drawn is their mean, with the range as a band.
        role: `truth` is black, `input` (the TXM) grey, the others have a colour each.
        place: of a variant among those of the run, from 0 on, which its colour follows: it is the same in all figures.
    """

    label: str
    x: Values
    y: Values
    role: Literal["truth", "input", "variant"] = "variant"
    place: int = 0


@dataclass(frozen=True)
class Panel:
    """One chart: its heading, what its axes measure with units, and its lines."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    guides: Sequence[tuple[float, str]] = ()  # horizontal levels and their names


def draw_charts(panels: Sequence[Panel], style: ChartStyle, common: CommonStyle) -> Figure:
    """Draw the panels in rows, with one legend below.

    Raises:
        InputError: no panels, or one without lines.
    """
    if not panels or not all(panel.lines for panel in panels):
        raise InputError("there is nothing to draw a chart of")
    width = common.width_mm(style.columns)
    looks = _looks(panels)
    with drawing(common):
        columns = min(len(panels), PANELS_A_ROW[style.columns])
        rows = math.ceil(len(panels) / columns)
        line = line_height_mm(common)
        legend_columns = max(1, min(len(looks), int(width // 44)))
        legend_mm = (math.ceil(len(looks) / legend_columns) + 0.5) * line
        figure = new_figure(width, rows * style.panel_height_mm + legend_mm)
        panel_width = width / columns
        for index, panel in enumerate(panels):
            row, column = divmod(index, columns)
            left, top = column * panel_width + LEFT_MM, row * style.panel_height_mm
            size = panel_width - LEFT_MM - RIGHT_MM, style.panel_height_mm - TOP_MM - BOTTOM_MM
            _draw_panel(axes_mm(figure, left, top + TOP_MM, *size), panel, looks)
            text_mm(figure, left, top + 1.5, fitted(panel.title, size[0], common))
            if common.panel_letters:
                text_mm(figure, left - 0.8 * line, top + 1.5, letter(index), weight="bold", ha="right")
        handles = [Line2D([], [], label=label.replace("$", r"\$"), **look) for label, look in looks.items()]
        figure.legend(handles=handles, loc="lower center", ncols=legend_columns, handlelength=2.6, borderaxespad=0.3)
    return figure


def _looks(panels: Sequence[Panel]) -> dict[str, dict[str, Any]]:
    """Colour and dash of every label, the same in all panels."""
    return {line.label: _look(line) for panel in panels for line in panel.lines}


def _look(line: Line) -> dict[str, Any]:
    if line.role == "truth":
        return {"color": "#000000", "linestyle": "-", "linewidth": 1.4, "zorder": 3}
    if line.role == "input":
        return {"color": MUTED, "linestyle": (0, (1, 1.2))}
    return series_style(line.place)


def _draw_panel(axes: Axes, panel: Panel, looks: dict[str, dict[str, Any]]) -> None:
    axes.set_xscale(panel.x_scale)
    axes.set_yscale(panel.y_scale)
    for line in panel.lines:
        look = looks[line.label]
        x, y = np.asarray(line.x, dtype=np.float64), np.atleast_2d(np.asarray(line.y, dtype=np.float64))
        drawn = _drawable(x, panel.x_scale) & _drawable(y, panel.y_scale).all(axis=0)
        x, y = x[drawn], y[:, drawn]
        if not x.size:
            continue
        axes.plot(x, y.mean(axis=0), marker="o" if x.size == 1 else None, markersize=3, **look)
        if len(y) > 1:
            axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=look["color"], alpha=0.18, linewidth=0)
    for level, name in panel.guides:
        axes.axhline(level, color=MUTED, linewidth=0.5, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(
            name, (1, level), xycoords=("axes fraction", "data"), xytext=(-1, 1.5), textcoords="offset points",
            ha="right", va="bottom", color=MUTED, fontsize="small", parse_math=False,
        )  # fmt: skip
    axes.set_xlabel(panel.x_label, labelpad=1.5)
    axes.set_ylabel(panel.y_label, labelpad=2.0)
    for axis, scale in ((axes.xaxis, panel.x_scale), (axes.yaxis, panel.y_scale)):
        if scale == "log":
            axis.set_major_locator(LogLocator(numticks=5))
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_locator(MaxNLocator(5))


def _drawable(values: Values, scale: Scale) -> NDArray[np.bool_]:
    finite: NDArray[np.bool_] = np.isfinite(values)
    return finite & (values > 0) if scale == "log" else finite
