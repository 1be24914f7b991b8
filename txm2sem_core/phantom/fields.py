"""Smooth random fields: seeded, stationary, Gaussian, and read one plane at a time, so that no volume is held."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_MEAN_SQUARE_WEIGHT = 151.0 / 315.0  # mean over a cell of the sum of squared cubic B-spline weights


def spline_weights(fraction: NDArray[Any]) -> Floats:
    """Weights `[4, ...]` of a cubic B-spline at `fraction` in [0, 1) of a cell (they sum to one)."""
    t = np.asarray(fraction, dtype=np.float64)
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3])
    return (weights / 6.0).astype(np.float32)


def interpolate_axis(nodes: Floats, positions: NDArray[Any], axis: int) -> Floats:
    """Cubic B-spline through `nodes` along `axis` at `positions`, in cells; node 1 stands at position 0."""
    cell = np.floor(positions).astype(np.int64)
    weights = spline_weights(positions - cell)
    shape = [1] * nodes.ndim
    shape[axis] = -1
    result = np.take(nodes, cell, axis=axis) * weights[0].reshape(shape)
    for tap in range(1, 4):
        result += np.take(nodes, cell + tap, axis=axis) * weights[tap].reshape(shape)
    return result


class SplineField:
    """A field `[Z, Y, X]` given by B-spline nodes, `cells` voxels apart along each axis, starting `origin` cells in."""

    def __init__(
        self, nodes: Floats, shape: tuple[int, int, int], cells: tuple[float, float, float], origin: NDArray[Any]
    ) -> None:
        self.nodes = nodes
        self.cells = cells
        self.origin = origin
        self.positions_y, self.positions_x = (origin[axis] + np.arange(shape[axis]) / cells[axis] for axis in (1, 2))

    def plane(self, z: float) -> Floats:
        """The field's values `[Y, X]` at slice `z`."""
        coarse = interpolate_axis(self.nodes, np.array([self.origin[0] + z / self.cells[0]]), axis=0)[0]
        return interpolate_axis(interpolate_axis(coarse, self.positions_y, axis=0), self.positions_x, axis=1)

    def row(self, z: float, y: float) -> Floats:
        """The field's values `[X]` along one line."""
        coarse = interpolate_axis(self.nodes, np.array([self.origin[0] + z / self.cells[0]]), axis=0)[0]
        line = interpolate_axis(coarse, np.array([self.origin[1] + y / self.cells[1]]), axis=0)
        return interpolate_axis(line, self.positions_x, axis=1)[0]


def node_counts(shape: tuple[int, int, int], cells: tuple[float, float, float]) -> tuple[int, ...]:
    """Nodes needed along each axis so that every voxel has its four, wherever in a cell the field starts."""
    return tuple(int(np.ceil(size / cell)) + 5 for size, cell in zip(shape, cells, strict=True))


def random_field(
    rng: np.random.Generator, shape: tuple[int, int, int], cells: tuple[float, float, float]
) -> SplineField:
    """A Gaussian field of mean 0 and variance 1 over `shape`; its features are about two `cells` (voxels) wide."""
    cells = (max(cells[0], 1.0), max(cells[1], 1.0), max(cells[2], 1.0))
    nodes = rng.standard_normal(node_counts(shape, cells), dtype=np.float32)
    nodes *= np.float32(_MEAN_SQUARE_WEIGHT**-1.5)
    return SplineField(nodes, shape, cells, rng.uniform(0.0, 1.0, 3))
