"""What a volume of finite size cannot know of its rock: how far its metrics lie from those of the whole rock.

Two estimates from the volume itself. A phase's share: by its two-point function, whose integral is the variance of the
mean (Lu and Torquato, J. Chem. Phys. 93 (1990) 3452; ImageRep uses it so for micrographs). Any other metric: by how
fast its spread from block to block falls with the size of the blocks, the representative-volume curve.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.metrics.pores.streaming import PoreMeter, PoreShape

MOST_CELLS = 100_000
LEAST_SIDE_PX = 4  # of a block; in smaller ones nothing can be measured
LARGE_BLOCKS = 8  # about; each is cut into 8 small ones
CORRELATED = 0.05  # of the variance: a covariance below it is noise
_ROUNDS = 10

Field = NDArray[np.float64]
Grid = tuple[int, int, int]


class PhaseCells:
    """Gathers the share of each phase in cells of a few voxels, from slices `[Y, X]` of phase numbers."""

    def __init__(self, shape: Sequence[int], phases: int) -> None:
        self._phases = phases
        side = math.ceil((math.prod(shape) / MOST_CELLS) ** (1 / 3) - 1e-9)
        self.cell = max(1, min(side, *shape))
        self._layers: list[Field] = []
        self._sum: Field | None = None
        self._slices = 0

    def add(self, labels: NDArray[np.uint8]) -> None:
        """Take the next slice; an incomplete last layer, row or column of cells is left out."""
        side = self.cell
        height, width = (n // side * side for n in labels.shape)
        whole = labels[:height, :width]
        shares = np.stack([_in_cells(whole == phase, side) for phase in range(self._phases)])
        self._sum = shares if self._sum is None else self._sum + shares
        self._slices += 1
        if self._slices % side == 0:
            self._layers.append(self._sum / side)
            self._sum = None

    def add_all(self, labels: Sequence[NDArray[np.uint8]]) -> None:
        """Take the next slices."""
        for own in labels:
            self.add(own)

    def result(self) -> Field:
        """Shares `[phases, Z, Y, X]`."""
        return np.stack(self._layers, axis=1)


def _in_cells(voxels: NDArray[np.bool_], side: int) -> Field:
    """Share of True in squares of `side` pixels, which fit into the image."""
    height, width = voxels.shape
    rows = voxels.reshape(height // side, side, width).sum(axis=1, dtype=np.int32)
    shares: Field = rows.reshape(len(rows), width // side, side).sum(axis=2) / side**2
    return shares


@dataclass(frozen=True)
class Doubt:
    """An estimated standard deviation about the rock's value, and its degrees of freedom."""

    std: float
    degrees: float


def doubt_of_share(field: Field) -> Doubt:
    """Of the mean of a share `[Z, Y, X]` in the cells of a volume, about that of the rock.

    The variance is the covariance between two cells, averaged over all pairs. Far apart, where the two-point function
    is flat, covariances are noise, so pairs count within an ellipsoid whose axes end where the covariance along them is
    below `CORRELATED` of the variance. Covariances about the volume's own mean are too small by the variance sought,
    which is corrected. Degrees of freedom: as many independent pieces as give that variance, less one.
    """
    mean, size = float(field.mean()), field.size
    if not 0 < mean < 1:
        return Doubt(math.nan, math.nan)
    sums = _products(field - mean)
    along = [_axis(sums, axis)[:n] / (size / n * np.arange(n, 0, -1)) for axis, n in enumerate(field.shape)]
    variance = 0.0
    for _ in range(_ROUNDS):
        reach = [_reach(line + variance) for line in along]
        near, share = _within(sums, field.shape, reach)
        found = max(near / size**2 / max(1 - share / size**2, 0.1), 0.0)
        if math.isclose(found, variance, rel_tol=1e-3):
            break
        variance = found
    if not variance:
        return Doubt(math.nan, math.nan)
    return Doubt(math.sqrt(variance), max(mean * (1 - mean) / variance - 1, 1.0))


def _products(deviation: Field) -> NDArray[np.float32]:
    """Sums of the products of two cells at each distance, padded; negative distances are at the ends of the axes."""
    from scipy import fft

    padded = [fft.next_fast_len(2 * n - 1, real=True) for n in deviation.shape]
    waves = fft.rfftn(deviation.astype(np.float32), padded)
    power = waves.real**2 + waves.imag**2
    return np.asarray(fft.irfftn(power, padded, overwrite_x=True), np.float32)


def _axis(sums: NDArray[np.float32], axis: int) -> Field:
    """Those at distances along one axis."""
    place: list[int | slice] = [0, 0, 0]
    place[axis] = slice(None)
    return sums[tuple(place)].astype(float)


def _within(sums: NDArray[np.float32], shape: Sequence[int], reach: Sequence[int]) -> tuple[float, float]:
    """Of all pairs of cells within an ellipsoid of distances: the sum of their products, and their number."""
    lags = [np.arange(-far + 1, far) for far in reach]
    z, y, x = np.ix_(*lags)
    near = (z / reach[0]) ** 2 + (y / reach[1]) ** 2 + (x / reach[2]) ** 2 <= 1
    pairs = (shape[0] - abs(z)) * (shape[1] - abs(y)) * (shape[2] - abs(x))
    return float(sums[z, y, x][near].sum(dtype=float)), float(pairs[near].sum())


def _reach(line: Field) -> int:
    """The first distance at which a covariance is noise, at least one cell."""
    below = np.flatnonzero(line <= CORRELATED * line[0])
    return max(int(below[0]) if below.size else line.size, 1)


def block_grids(shape: Sequence[int], edges: Sequence[float] | None) -> list[Grid]:
    """How many blocks along z, y, x: some `LARGE_BLOCKS` of about equal edges, and 8 times as many small ones.

    Empty where the volume is too small to be cut so.
    """
    lengths = [n * edge for n, edge in zip(shape, edges or (1.0, 1.0, 1.0), strict=True)]
    side = (math.prod(lengths) / LARGE_BLOCKS) ** (1 / 3)
    z, y, x = (max(1, round(length / side)) for length in lengths)
    fits = all(n // (2 * number) >= LEAST_SIDE_PX for n, number in zip(shape, (z, y, x), strict=True))
    return [(z, y, x), (2 * z, 2 * y, 2 * x)] if fits and z * y * x > 1 else []


class BlockMeter:
    """Measures the pores of every block of a grid on its own, from slices `[Y, X]` of the volume, True in the pores.

    Held are the slices that a `PoreMeter` holds, once more for each grid.
    """

    def __init__(self, shape: Sequence[int], grid: Grid, edges: Sequence[float] | None) -> None:
        ends, *cuts = ([n * k // parts for k in range(parts + 1)] for n, parts in zip(shape, grid, strict=True))
        places = itertools.product(*(itertools.pairwise(own) for own in cuts))
        self._columns = [_Column(slice(*y), slice(*x), ends, edges) for y, x in places]
        self.block_px = tuple(n / parts for n, parts in zip(shape, grid, strict=True))

    def tasks(self, pores: Sequence[NDArray[np.bool_]]) -> list[Callable[[], None]]:
        """What is to be done with the next slices: tasks that may run at the same time."""
        return [partial(column.add, pores) for column in self._columns]

    @property
    def found(self) -> list[PoreShape]:
        """Of all blocks that are complete, in the order of z, y and x."""
        return [shape for layer in zip(*(column.found for column in self._columns), strict=True) for shape in layer]


class _Column:
    """The blocks above each other."""

    def __init__(self, y: slice, x: slice, ends: Sequence[int], edges: Sequence[float] | None) -> None:
        self._place, self._ends, self._edges = (y, x), list(ends), edges
        self._slices = 0
        self._meter = self._next()
        self.found: list[PoreShape] = []

    def _next(self) -> PoreMeter:
        depth = self._ends[1] - self._ends[0]
        return PoreMeter(0, self._edges, slices=depth, chords=False)

    def add(self, pores: Sequence[NDArray[np.bool_]]) -> None:
        for pore in pores:
            self._meter.add(pore[self._place])
            self._slices += 1
            if self._slices == self._ends[1]:
                self.found.append(self._meter.result())
                self._ends.pop(0)
                if len(self._ends) > 1:
                    self._meter = self._next()


def doubt_of_volume(large: Sequence[float], small: Sequence[float]) -> Doubt:
    """Of a metric of a whole volume, by its values in large blocks, and in small ones of an eighth of their size.

    Each eightfold volume multiplies the standard deviation by as much as from the small blocks to the large ones: by
    1 / sqrt(8) where blocks are independent, by more where they are correlated or the metric hardly averages, such as
    the connected porosity near its threshold. Not less than the former, nor more than 1.
    """
    wide, narrow = (np.array([value for value in values if math.isfinite(value)]) for values in (large, small))
    if wide.size < 3 or narrow.size < 8:
        return Doubt(math.nan, math.nan)
    spread, before = float(wide.std(ddof=1)), float(narrow.std(ddof=1))
    factor = min(max(spread / before, 1 / math.sqrt(8)), 1.0) if before else 1 / math.sqrt(8)
    return Doubt(spread * factor ** (math.log(wide.size) / math.log(8)), wide.size - 1.0)
