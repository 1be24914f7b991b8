"""Checkerboards of TXM and FIB-SEM before and after registration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from txm2sem_core.config.figures import CommonStyle, RegistrationStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import MUTED, axes_mm, drawing, letter, line_height_mm, new_figure, text_mm
from txm2sem_core.plotting.images import Image, add_scale_bar, grey_range, physical_size, show_image

GAP_MM = 0.8
HEADING_TOP_MM = 0.6
TITLES = ("TXM", "TXM / FIB-SEM, as acquired", "TXM / FIB-SEM, registered")


@dataclass(frozen=True)
class RegistrationView:
    """One pair of slices before and after.

    Attributes:
        label: the pair.
        fixed: TXM, `[Y, X]`; NaN where it was not measured.
        before: FIB-SEM on the TXM's pixels by its place in the file alone, `[Y, X]`; NaN where it does not reach, or
            was not measured.
        after: FIB-SEM brought into register, `[Y, X]`; NaN likewise.
        pixel_size_nm: of the TXM, (Y, X); None where it is not known, and then no scale bar is drawn.
        quality: in words and numbers, shown at the row's right end.
    """

    label: str
    fixed: Image
    before: Image
    after: Image
    pixel_size_nm: tuple[float, float] | None
    quality: str

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the TXM slice in nm, or in pixels of unknown size."""
        return physical_size(self.fixed.shape, self.pixel_size_nm)


def checkerboard(first: Image, second: Image, tiles: int) -> NDArray[np.float64]:
    """Square tiles of two `[Y, X]` images by turns, `tiles` along the longer side; the upper left is of the first."""
    side = math.ceil(max(first.shape) / tiles)
    y, x = np.indices(first.shape) // side
    return np.where((y + x) % 2 == 0, first, second).astype(np.float64)


def draw_registration(views: Sequence[RegistrationView], style: RegistrationStyle, common: CommonStyle) -> Figure:
    """Draw the TXM slice and the checkerboards before and after, a row a pair.

    Every image is stretched between its own percentiles, since the two contrasts differ. Blue is where the
    FIB-SEM slice does not reach, and what was not measured.

    Raises:
        InputError: no pairs, or images of a pair that differ in shape.
    """
    if not views:
        raise InputError("there is no registered pair to draw")
    for view in views:
        if not view.fixed.shape == view.before.shape == view.after.shape:
            raise InputError(f"pair {view.label}: TXM and FIB-SEM must be on the same pixels to be drawn together")
    width, line = common.width_mm(style.columns), line_height_mm(common)
    # The row with the tallest image decides, so that all fit below the greatest height
    image_width = (width - 2 * GAP_MM) / 3
    room = common.max_height_mm - line - len(views) * (line + GAP_MM)
    shrink = min(1.0, room / (image_width * sum(v.size[0] / v.size[1] for v in views)))
    image_width *= shrink
    heights = [image_width * view.size[0] / view.size[1] for view in views]
    with drawing(common):
        figure = new_figure(width, line + sum(heights) + len(views) * (line + GAP_MM))
        top = line
        for column, title in enumerate(TITLES):
            text_mm(figure, column * (image_width + GAP_MM) + image_width / 2, HEADING_TOP_MM, title, ha="center")
        for index, (view, height) in enumerate(zip(views, heights, strict=True)):
            _draw_row(figure, view, index, top, (image_width, height), style, common)
            top += height + line + GAP_MM
    return figure


def _draw_row(
    figure: Figure,
    view: RegistrationView,
    index: int,
    top: float,
    image_mm: tuple[float, float],
    style: RegistrationStyle,
    common: CommonStyle,
) -> None:
    line = line_height_mm(common)
    baseline = top + line * 0.8
    if common.panel_letters:
        text_mm(figure, 0, baseline, letter(index), va="baseline", weight="bold")
    text_mm(figure, line if common.panel_letters else 0, baseline, view.label, va="baseline")
    right = 3 * image_mm[0] + 2 * GAP_MM
    text_mm(figure, right, baseline, view.quality, va="baseline", ha="right", color=MUTED)
    fixed, before, after = (_stretched(image, style) for image in (view.fixed, view.before, view.after))
    images = (fixed, checkerboard(fixed, before, style.tiles), checkerboard(fixed, after, style.tiles))
    for column, image in enumerate(images):
        axes = axes_mm(figure, column * (image_mm[0] + GAP_MM), top + line, *image_mm)
        show_image(axes, image, view.size, (0.0, 1.0))
        if column == 0 and view.pixel_size_nm is not None:
            add_scale_bar(axes, view.size, style.scale_bar_fraction, common)


def _stretched(image: Image, style: RegistrationStyle) -> NDArray[np.float64]:
    """Map the image's own percentiles to 0 and 1."""
    low, high = grey_range([image], style.percentiles)
    return np.clip((image.astype(np.float64) - low) / (high - low), 0, 1)
