"""Maps of the segmented phases of predictions and truth, and where they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from txm2sem_core.config.figures import CommonStyle, PhasesStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import axes_mm, drawing, fitted, letter, line_height_mm, new_figure, text_mm
from txm2sem_core.plotting.images import add_scale_bar, physical_size

GAP_MM = 2.0
GREATEST_A_ROW = 4
# dark to light as in the images, and distinguishable with all kinds of colour vision
OUTSIDE_COLOUR = "white"  # no phase has it
PHASE_COLOURS = ("#1A1A2E", "#0072B2", "#BFBFBF", "#F0E442", "#D55E00")


@dataclass(frozen=True)
class PhaseMap:
    """Phase numbers `[Y, X]` of one section, its name, what is noted beside it; where it was measured, None: all."""

    label: str
    phases: NDArray[np.uint8]
    note: str = ""
    measured: NDArray[np.bool_] | None = None


def draw_phases(
    maps: Sequence[PhaseMap],
    names: Sequence[str],
    pixel_size_nm: tuple[float, float] | None,
    style: PhasesStyle,
    common: CommonStyle,
) -> Figure:
    """Draw the maps side by side, in rows of up to four, with one legend.

    Args:
        maps: of one section.
        names: of the phases, from number 0 on; at most five.
        pixel_size_nm: along Y, X.
        style: of this figure.
        common: of all figures.

    Raises:
        InputError: no maps, maps of different shapes, or a phase without name.
    """
    if not maps or len({each.phases.shape for each in maps}) > 1:
        raise InputError("maps of phases need one section, and at least one map")
    if len(names) > len(PHASE_COLOURS) or max(int(each.phases.max()) for each in maps) >= len(names):
        raise InputError(f"maps of phases have numbers up to {len(names) - 1}, at most {len(PHASE_COLOURS)} phases")
    size_nm = physical_size(maps[0].phases.shape, pixel_size_nm)
    width = common.width_mm(style.columns)
    columns = min(len(maps), GREATEST_A_ROW if style.columns == 2 else 2)
    rows = math.ceil(len(maps) / columns)
    with drawing(common):
        line = line_height_mm(common)
        side = (width - (columns - 1) * GAP_MM) / columns
        height = side * size_nm[0] / size_nm[1]
        block = height + line + 1.0
        figure = new_figure(width, rows * block + 2.0 * line)
        for index, each in enumerate(maps):
            row, column = divmod(index, columns)
            left, top = column * (side + GAP_MM), row * block
            axes = axes_mm(figure, left, top + line, side, height)
            axes.imshow(
                each.phases if each.measured is None else np.ma.masked_array(each.phases, ~each.measured),
                cmap=ListedColormap(PHASE_COLOURS[: len(names)]).with_extremes(bad=OUTSIDE_COLOUR),
                vmin=-0.5,
                vmax=len(names) - 0.5,
                interpolation="nearest",
                extent=(0.0, size_nm[1], size_nm[0], 0.0),
                aspect="auto",
            )
            axes.set_axis_off()
            if index == 0:
                add_scale_bar(axes, size_nm, style.scale_bar_fraction, common)
            indent = line if common.panel_letters else 0.0
            if common.panel_letters:
                text_mm(figure, left, top + line * 0.8, letter(index), va="baseline", weight="bold")
            text_mm(figure, left + indent, top + line * 0.8, fitted(each.label, side / 2, common), va="baseline")
            text_mm(figure, left + side, top + line * 0.8, each.note, va="baseline", ha="right", color="#5A5A5A")
        handles = [
            Patch(facecolor=colour, edgecolor="#5A5A5A", linewidth=0.4, label=name)
            for colour, name in zip(PHASE_COLOURS, names, strict=False)
        ]
        if any(each.measured is not None for each in maps):
            handles.append(Patch(facecolor=OUTSIDE_COLOUR, edgecolor="#5A5A5A", linewidth=0.4, label="not measured"))
        figure.legend(handles=handles, loc="lower center", ncols=len(handles), borderaxespad=0.2, handlelength=1.2)
    return figure
