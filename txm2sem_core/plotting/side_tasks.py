"""Repaired patches and maps of classes, one row a test patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from txm2sem_core.config.figures import CommonStyle, MontageStyle
from txm2sem_core.plotting.canvas import axes_mm, drawing, line_height_mm, new_figure, text_mm, text_width_mm
from txm2sem_core.plotting.images import Image, add_scale_bar, grey_range, physical_size, show_image

GAP_MM, TOP_MM = 0.8, 0.6


@dataclass(frozen=True)
class Column:
    """One kind of image.

    Attributes:
        title: above it.
        images: `[Y, X]`, one a row.
        scale: columns of one scale share black and white; empty for classes, from 0 to `classes` - 1.
    """

    title: str
    images: Sequence[Image]
    scale: str = "sem"


def draw_side_task(
    columns: Sequence[Column],
    pixel_size_nm: tuple[float, float] | None,
    classes: Sequence[str],
    style: MontageStyle,
    common: CommonStyle,
) -> Figure:
    """Draw the columns side by side, with a legend of the classes where there are any."""
    with drawing(common):
        width = common.width_mm(style.columns)
        line = line_height_mm(common)
        size = physical_size(columns[0].images[0].shape, pixel_size_nm)
        image_width = (width - (len(columns) - 1) * GAP_MM) / len(columns)
        image_height = image_width * size[0] / size[1]
        rows = len(columns[0].images)
        has_classes = any(not column.scale for column in columns)
        height = TOP_MM + line + rows * (image_height + GAP_MM) + (line + GAP_MM) * has_classes
        figure = new_figure(width, height)
        limits = {
            scale: grey_range([i for c in columns if c.scale == scale for i in c.images], style.grey_percentiles)
            for scale in {column.scale for column in columns} - {""}
        }
        limits[""] = (0.0, float(max(len(classes) - 1, 1)))
        for number, column in enumerate(columns):
            left = number * (image_width + GAP_MM)
            text_mm(figure, left, TOP_MM, column.title)
            for row, image in enumerate(column.images):
                top = TOP_MM + line + row * (image_height + GAP_MM)
                axes = axes_mm(figure, left, top, image_width, image_height)
                show_image(axes, image, size, limits[column.scale], "gray" if column.scale else "cividis")
                if number == row == 0 and pixel_size_nm is not None:
                    add_scale_bar(axes, size, style.scale_bar_fraction, common)
        if has_classes:
            _legend(figure, classes, height - line, line, common)
        return figure


def _legend(figure: Figure, classes: Sequence[str], top: float, line: float, common: CommonStyle) -> None:
    left = 0.0
    for number, name in enumerate(classes):
        axes = axes_mm(figure, left, top + 0.1 * line, 0.8 * line, 0.7 * line)
        show_image(axes, _swatch(number), (1.0, 1.0), (0.0, float(len(classes) - 1)), "cividis")
        axes.set_aspect("auto")
        text_mm(figure, left + line, top, name)
        left += line + text_width_mm(name, common) + 3.0


def _swatch(value: int) -> Image:
    return np.full((2, 2), value)
