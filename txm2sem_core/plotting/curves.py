"""Training losses and validation scores over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from txm2sem_core.config.figures import CommonStyle, CurvesStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import (
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
LEFT_MM, BOTTOM_MM, TOP_MM, RIGHT_MM = 9.5, 8.0, 6.0, 1.5


@dataclass(frozen=True)
class History:
    """One training run.

    Attributes:
        label: the variant, in words; runs of one label are its seeds.
        seed: of the run.
        epochs: `[E]`.
        psnr: of the validation patches, dB, `[E]`.
        ssim: of the validation patches, `[E]`.
        losses: training losses by name, each `[E]`.
        place: of the variant among those of the run, from 0 on, which its colour follows (as `Line.place`).
    """

    label: str
    seed: int
    epochs: Values
    psnr: Values
    ssim: Values
    losses: Mapping[str, Values] = field(default_factory=dict)
    place: int = 0

    def series(self) -> dict[str, Values]:
        """All curves by their axis label, scores first."""
        return {"Validation PSNR / dB": self.psnr, "Validation SSIM": self.ssim, **self.losses}


def draw_curves(histories: Sequence[History], style: CurvesStyle, common: CommonStyle) -> Figure:
    """Draw a panel for each score and each loss; a line per variant, the mean of its seeds, and
    a shaded band of their range or standard error.

    Raises:
        InputError: no histories.
    """
    if not histories:
        raise InputError("there is no training history to draw; baselines have none")
    looks = {history.label: series_style(history.place) for history in histories}
    names = list(dict.fromkeys(name for history in histories for name in history.series()))
    width = common.width_mm(style.columns)
    with drawing(common):
        columns = min(len(names), 3 if style.columns == 2 else 2)
        legend_columns = max(1, min(len(looks), int(width // 58)))
        line = line_height_mm(common)
        legend_mm = (math.ceil(len(looks) / legend_columns) + 0.5) * line
        rows = math.ceil(len(names) / columns)
        figure = new_figure(width, rows * style.panel_height_mm + legend_mm)
        panel_width = width / columns
        for index, name in enumerate(names):
            row, column = divmod(index, columns)
            position = (column * panel_width + LEFT_MM, row * style.panel_height_mm + TOP_MM)
            size = (panel_width - LEFT_MM - RIGHT_MM, style.panel_height_mm - TOP_MM - BOTTOM_MM)
            axes = axes_mm(figure, *position, *size)
            _draw_panel(axes, name, histories, looks, style)
            title = (column * panel_width + LEFT_MM, row * style.panel_height_mm + 1.5)
            text_mm(figure, *title, fitted(name, size[0], common))
            if common.panel_letters:
                text_mm(figure, title[0] - 0.8 * line, title[1], letter(index), weight="bold", ha="right")
        handles = [Line2D([], [], label=label.replace("$", r"\$"), **look) for label, look in looks.items()]
        figure.legend(handles=handles, loc="lower center", ncols=legend_columns, handlelength=2.6, borderaxespad=0.3)
    return figure


def _draw_panel(
    axes: Axes, name: str, histories: Sequence[History], looks: Mapping[str, dict[str, Any]], style: CurvesStyle
) -> None:
    smallest, greatest = math.inf, -math.inf
    for label, look in looks.items():
        runs = [history for history in histories if history.label == label and name in history.series()]
        if not runs:
            continue
        epochs, values = _stacked(runs, name)
        smallest = min(smallest, float(np.nanmin(values, initial=math.inf)))
        greatest = max(greatest, float(np.nanmax(values, initial=-math.inf)))
        marker = "o" if epochs.size == 1 else None  # a single epoch gives no line
        axes.plot(epochs, values.mean(axis=0), marker=marker, markersize=3, **look)
        if len(runs) > 1:
            axes.fill_between(epochs, *_band(values, style), color=look["color"], alpha=0.18, linewidth=0)
    axes.set_xlabel("Epoch", labelpad=1.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    if style.log_loss and not name.startswith("Validation") and 0 < 10 * smallest < greatest:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if greatest < 300 * smallest else (1,)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.4)
    axes.set_axisbelow(True)


def _stacked(runs: Sequence[History], name: str) -> tuple[Values, Values]:
    """Epochs that all seeds have, and the curve of each seed over them `[seed, E]`."""
    common_epochs = runs[0].epochs
    for run in runs[1:]:
        common_epochs = np.intersect1d(common_epochs, run.epochs)
    curves = [run.series()[name][np.isin(run.epochs, common_epochs)] for run in runs]
    return np.asarray(common_epochs, dtype=np.float64), np.stack(curves).astype(np.float64)


def _band(values: Values, style: CurvesStyle) -> tuple[Values, Values]:
    if style.band == "range":
        return values.min(axis=0), values.max(axis=0)
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(len(values))
    return mean - error, mean + error
