"""Two slices brought to one pixel size, and cut to where they meet: what a search sees of a pair of any scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.bends import Bend
from txm2sem_core.geometry import FINER, Array, Crop, Matrix, covered_by, scale, warp
from txm2sem_core.intensity.measured import Slice

WINDOW_MARGIN = 0.15  # of the sides of what the moving slice covers, left about it
WINDOW_MARGIN_PX = 8

Image = NDArray[np.float32]


class Scaled:
    """A slice at any scale below 1, area-weighted, from means over blocks that are taken once."""

    def __init__(self, image: Slice) -> None:
        self.slice = image
        self._blocks: dict[int, tuple[Image, Image]] = {}
        self._made: dict[float, Slice] = {1.0: image}

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) at scale 1."""
        return self.slice.shape

    def at(self, factor: float) -> Slice:
        """The slice on pixels 1 / `factor` times as wide; from pixel to pixel by `shrinking`."""
        if factor not in self._made:
            count = 2 ** max(0, int(np.floor(np.log2(0.5 / factor))))
            image, mask = self._means(count)
            shape = tuple(max(1, int(n * factor)) for n in self.shape)
            matrix = shrinking(factor * count)
            small, known = (warp(each, matrix, shape, order=1) for each in (image, mask))  # type: ignore[arg-type]
            self._made[factor] = Slice(small, known >= 0.5)
        return self._made[factor]

    def _means(self, count: int) -> tuple[Image, Image]:
        if count not in self._blocks:
            full = self.slice.filled.astype(np.float32), self.slice.mask.astype(np.float32)
            shape = tuple(n // count for n in self.shape)
            one, two = (warp(e, shrinking(1 / count), shape, order=1) if count > 1 else e for e in full)  # type: ignore[arg-type]
            self._blocks[count] = one, two
        return self._blocks[count]


def placed_on(sem: Slice, matrix: Matrix, shape: tuple[int, int], bend: Bend | None = None) -> Array:
    """A slice on the fixed grid. Where it was not measured, by nearest neighbour: it mixes with nothing."""
    if sem.mask.all():
        return warp(sem.image, matrix, shape, bend=bend)
    within = covered_by(sem.mask, matrix, shape, bend)
    as_it_is = warp(sem.image, matrix, shape, order=0, bend=bend)
    return np.where(within, warp(sem.filled, matrix, shape, bend=bend), as_it_is)


def shrinking(factor: float) -> Matrix:
    """From pixels to pixels 1 / `factor` times as wide; the outer corner stays where it is."""
    shift = (factor - 1) / 2
    return np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]], dtype=np.float64)


def mirroring(width: int) -> Matrix:
    """From a pixel to that of the image mirrored left to right."""
    return np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], dtype=np.float64)


@dataclass(frozen=True)
class Frame:
    """A pair as a search sees it: not mirrored, about one pixel size, and of the fixed slice no more than is needed."""

    fixed: Slice
    moving: Slice
    of_fixed: Matrix  # pixel of the whole fixed slice to pixel of `fixed`
    of_moving: Matrix

    def inward(self, matrix: Matrix) -> Matrix:
        """The matrix between the frame's slices, from that between the whole ones."""
        return np.asarray(self.of_fixed @ matrix @ np.linalg.inv(self.of_moving))

    def outward(self, matrix: Matrix) -> Matrix:
        """The matrix between the whole slices, from that between the frame's."""
        return np.asarray(np.linalg.inv(self.of_fixed) @ matrix @ self.of_moving)


def frame_of(fixed: Scaled, moving: Scaled, matrix: Matrix, step: float, *, exact: bool) -> Frame:
    """The pair about where `matrix` lays the moving slice, on pixels `step` times as wide as those of the fixed slice.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        matrix: moving pixel to fixed pixel.
        step: at least 1.
        exact: the moving slice is brought to the very scale, for a search that cannot change it; otherwise only where
            its pixels are finer.
    """
    factor = abs(scale(matrix)) / step
    factor = min(factor, 1.0) if exact or factor * FINER < 1 else 1.0
    small = moving.at(round(factor, 6))
    of_moving = shrinking(round(factor, 6))
    if scale(matrix) < 0:
        small = Slice(np.ascontiguousarray(small.image[:, ::-1]), np.ascontiguousarray(small.mask[:, ::-1]))
        of_moving = mirroring(small.shape[1]) @ of_moving
    still = fixed.at(1 / step)
    of_fixed = shrinking(1 / step)
    window = _window(of_fixed @ matrix, moving.shape, still.shape)
    cut = Slice(window.of(still.image), window.of(still.mask))
    corner = np.array([[1, 0, -window.x0], [0, 1, -window.y0], [0, 0, 1]], dtype=np.float64)
    return Frame(cut, small, corner @ of_fixed, of_moving)


def _window(matrix: Matrix, moving_shape: tuple[int, int], fixed_shape: tuple[int, int]) -> Crop:
    """The part of the fixed slice about the moving one, with a margin; all of it where they do not meet."""
    y, x = moving_shape[0] - 1, moving_shape[1] - 1
    landed = (matrix @ np.array([[0, 0, 1], [x, 0, 1], [0, y, 1], [x, y, 1]], dtype=np.float64).T)[:2]
    low, high = landed.min(axis=1), landed.max(axis=1)
    margin = WINDOW_MARGIN * (high - low) + WINDOW_MARGIN_PX
    (x0, y0), (x1, y1) = np.floor(low - margin).astype(int), np.ceil(high + margin).astype(int) + 1
    crop = Crop(max(0, y0), min(fixed_shape[0], y1), max(0, x0), min(fixed_shape[1], x1))
    empty = crop.y1 <= crop.y0 or crop.x1 <= crop.x0
    return Crop(0, fixed_shape[0], 0, fixed_shape[1]) if empty else crop
