"""Voxels, sides, edges and corners of a pore space, counted slice by slice, and the Euler number that follows."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.bool_]
KINDS = tuple(itertools.product((0, 1), repeat=3))  # voxel, pairs along x, y, ..., blocks of 2 x 2 x 2


class CellMeter:
    """Counts, in slices `[Y, X]` given in the order of z, where 1, 2, 4 or 8 voxels that share a cell are all pore.

    Voxels that share a side are connected, so the pores are a complex of points (voxels), edges (pairs), squares and
    cubes of them. Each kind has its own number of positions in the volume, and a count over these is unbiased in a
    stationary rock, whatever the volume cuts: its faces are no wall (Ohser and Muecklich, Statistical Analysis of
    Microstructures in Materials Science (2000), chapter 4). Holds one slice.
    """

    def __init__(self) -> None:
        self._last: Plane | None = None
        self._found = dict.fromkeys(KINDS, 0)
        self._positions = dict.fromkeys(KINDS, 0)

    def add(self, plane: Plane) -> None:
        """Take the next slice, True in the pores."""
        self._count(0, plane)
        if self._last is not None:
            self._count(1, plane & self._last)
        self._last = plane.copy()

    def _count(self, along_z: int, plane: Plane) -> None:
        for along_y, along_x in itertools.product((0, 1), repeat=2):
            cells = plane[1:] & plane[:-1] if along_y else plane
            cells = cells[:, 1:] & cells[:, :-1] if along_x else cells
            self._found[along_z, along_y, along_x] += int(np.count_nonzero(cells))
            self._positions[along_z, along_y, along_x] += cells.size

    def euler_number(self) -> int:
        """Of the pores that were seen, as if all beyond were solid."""
        return sum((-1) ** sum(kind) * found for kind, found in self._found.items())

    def euler_per_voxel(self) -> float:
        """Per volume of a rock that continues beyond the faces; NaN where the volume has one voxel along an axis."""
        if not all(self._positions.values()):
            return math.nan
        return sum((-1) ** sum(kind) * found / self._positions[kind] for kind, found in self._found.items())
