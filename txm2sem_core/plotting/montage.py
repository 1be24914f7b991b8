"""TXM, prediction, FIB-SEM and error, one row a variant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from txm2sem_core.config.figures import CommonStyle, MontageStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import (
    MUTED,
    axes_mm,
    drawing,
    fitted,
    letter,
    line_height_mm,
    new_figure,
    text_mm,
    text_width_mm,
)
from txm2sem_core.plotting.images import Image, add_scale_bar, grey_range, physical_size, show_image

TITLES = ("TXM", "Prediction", "FIB-SEM", "Error")
GAP_MM = 0.8
BLOCK_GAP_MM = 4.0
HEADING_TOP_MM = 0.6


@dataclass(frozen=True)
class MontageRow:
    """One variant on one patch.

    Attributes:
        label: the variant, in words.
        txm: what it was given, `[Y, X]`; coarser than the target for super-resolution.
        prediction: `[Y, X]`, in the target's grey levels.
        target: FIB-SEM, `[Y, X]`.
        pixel_size_nm: of the target, (Y, X); None where it is not known, and then no scale bar is drawn.
        note: scores or the like, at the row's right end.
    """

    label: str
    txm: Image
    prediction: Image
    target: Image
    pixel_size_nm: tuple[float, float] | None
    note: str = ""

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the patch in nm, or in pixels of unknown size."""
        return physical_size(self.target.shape, self.pixel_size_nm)

    @property
    def error(self) -> Image:
        """Prediction minus target."""
        return self.prediction.astype(np.float64) - self.target.astype(np.float64)


@dataclass(frozen=True)
class _Layout:
    """Places in mm."""

    blocks: int
    rows_a_block: int
    image_width: float
    image_height: float
    line: float

    @property
    def block_width(self) -> float:
        return 4 * self.image_width + 3 * GAP_MM

    @property
    def row_height(self) -> float:
        return self.line + self.image_height + GAP_MM

    @property
    def height(self) -> float:
        """Titles, rows, and the colour bar with its label."""
        return self.line + self.rows_a_block * self.row_height + 3.2 * self.line


def draw_montage(rows: Sequence[MontageRow], style: MontageStyle, common: CommonStyle) -> Figure:
    """Draw TXM, prediction, FIB-SEM and error of every row; rows fill a second or third block where one is too tall.

    Predictions and FIB-SEM of all rows share one grey scale, their errors one colour scale, and TXM images of one
    shape their own grey scale. The scale bar holds for the whole figure.

    Raises:
        InputError: no rows, rows of patches of different physical size, or a prediction that does not fit its target.
    """
    _check(rows)
    with drawing(common):
        layout = _layout(rows, style, common)
        figure = new_figure(common.width_mm(style.columns), layout.height)
        sem_limits = grey_range([row.target for row in rows], style.grey_percentiles)
        txm_limits = grey_range([row.txm for row in rows], style.grey_percentiles)
        error_limits = _error_limits(rows, style)
        shown: AxesImage | None = None
        for index, row in enumerate(rows):
            block, row_in_block = divmod(index, layout.rows_a_block)
            left = block * (layout.block_width + BLOCK_GAP_MM)
            top = layout.line + row_in_block * layout.row_height
            _write_labels(figure, row, index, (left, top), layout, common)
            error = np.abs(row.error) if style.error == "absolute" else row.error
            images = (row.txm, row.prediction, row.target, error)
            limits = (txm_limits, sem_limits, sem_limits, error_limits)
            for column, (image, image_limits) in enumerate(zip(images, limits, strict=True)):
                x = left + column * (layout.image_width + GAP_MM)
                axes = axes_mm(figure, x, top + layout.line, layout.image_width, layout.image_height)
                colours = style.error_colours if column == 3 else "gray"
                shown = show_image(axes, image, row.size, image_limits, colours)
                if row_in_block == 0:
                    text_mm(figure, x + layout.image_width / 2, HEADING_TOP_MM, TITLES[column], ha="center")
                    if column == 0 and row.pixel_size_nm is not None:
                        add_scale_bar(axes, row.size, style.scale_bar_fraction, common)
        assert shown is not None
        _add_colour_bar(figure, shown, layout, style, common)
    return figure


def _check(rows: Sequence[MontageRow]) -> None:
    if not rows:
        raise InputError("a montage needs at least one row")
    for row in rows:
        if row.prediction.shape != row.target.shape:
            raise InputError(
                f"montage row {row.label}: the prediction is {row.prediction.shape}, the FIB-SEM {row.target.shape}"
            )
    for first, second in pairwise(rows):
        if not np.allclose(first.size, second.size):
            raise InputError(f"montage rows {first.label} and {second.label} show patches of different size")


def _layout(rows: Sequence[MontageRow], style: MontageStyle, common: CommonStyle) -> _Layout:
    """As few blocks side by side as keep the figure below its greatest height."""
    width, line = common.width_mm(style.columns), line_height_mm(common)
    height_nm, width_nm = rows[0].size
    for blocks in range(1, len(rows) + 1):
        image_width = ((width - (blocks - 1) * BLOCK_GAP_MM) / blocks - 3 * GAP_MM) / 4
        layout = _Layout(blocks, math.ceil(len(rows) / blocks), image_width, image_width * height_nm / width_nm, line)
        if layout.height <= common.max_height_mm or layout.rows_a_block == 1:
            return layout
    raise AssertionError("a single row a block always returns")


def _error_limits(rows: Sequence[MontageRow], style: MontageStyle) -> tuple[float, float]:
    magnitudes = np.concatenate([np.abs(row.error).ravel() for row in rows])
    greatest = float(np.percentile(magnitudes[np.isfinite(magnitudes)], style.error_percentile)) or 1.0
    return (0.0 if style.error == "absolute" else -greatest, greatest)


def _write_labels(
    figure: Figure, row: MontageRow, index: int, row_in_block: tuple[float, float], layout: _Layout, common: CommonStyle
) -> None:
    left, top = row_in_block
    baseline = top + layout.line * 0.8
    indent = 0.0
    if common.panel_letters:
        text_mm(figure, left, baseline, letter(index), va="baseline", weight="bold")
        indent = layout.line * (1.0 if index < 26 else 1.5)
    room = layout.block_width - indent - (text_width_mm(row.note, common) + 2.0 if row.note else 0.0)
    text_mm(figure, left + indent, baseline, fitted(row.label, room, common), va="baseline")
    if row.note:
        right = left + layout.block_width
        text_mm(figure, right, baseline, row.note, va="baseline", ha="right", color=MUTED)


def _add_colour_bar(
    figure: Figure, shown: AxesImage, layout: _Layout, style: MontageStyle, common: CommonStyle
) -> None:
    """Below the figure's lower right corner, as wide as two images where its name leaves room for that."""
    name = "Prediction − FIB-SEM" if style.error == "signed" else "|Prediction − FIB-SEM|"
    name += " / grey levels"
    figure_width = common.width_mm(style.columns)
    width = min(2 * layout.image_width + GAP_MM, figure_width - text_width_mm(name, common) - 3.0)
    left = figure_width - width
    top = layout.line + layout.rows_a_block * layout.row_height + layout.line * 0.3
    axes = axes_mm(figure, left, top, width, layout.line * 0.55)
    bar = figure.colorbar(
        shown, cax=axes, orientation="horizontal", extend="both" if style.error == "signed" else "max"
    )
    bar.outline.set_linewidth(0.4)
    text_mm(figure, left - 1.5, top + layout.line * 0.28, name, ha="right", va="center")
