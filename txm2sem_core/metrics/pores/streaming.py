"""The shape of a pore space from slices that come one after the other, as `pore_space` measures whole volumes.

What is held does not grow with the number of slices: `SLAB` slices and those that the longest step of the surface spans
(2 in cubic voxels), and, for the two-point probability, the longest distance in slices, at one byte a voxel; 9 bytes a
pixel of one slice for the chords along z; one row a pore that meets the last slice; and while a slab is looked at its
labels and neighbourhoods, together about 21 bytes a voxel of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.cells import CellMeter
from txm2sem_core.metrics.pores.chords import Chords, ChordsAlongZ, chord_lengths
from txm2sem_core.metrics.pores.connectivity import check_pore, voxel_size_zyx
from txm2sem_core.metrics.pores.crossings import FURTHEST_VOXELS, count_crossings, wall_steps
from txm2sem_core.metrics.pores.geometry import SLAB
from txm2sem_core.metrics.pores.two_point import TwoPointMeter

Plane = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class PoreShape:
    """What `PoreMeter` found of all slices.

    Attributes:
        voxels: of the volume.
        pore_voxels: those of the pores.
        connected: share of the volume in pores that join the two faces of z, of y and of x. Depends on the volume: a
            thinner one is joined by more.
        euler: Euler number of the pores that were seen, 6-connected, as if all beyond were solid.
        euler_per_voxel: the same per volume of a rock that goes on beyond, see `CellMeter`.
        mean_chords: of the pores in voxels, along z, y and x: porosity over the chords that begin per length. Cut ones
            count as they should. NaN where no chord ends.
        chords: see `Chords`.
        specific_surface: area of the wall per volume, 1/m, as `pore_space.specific_surface`; NaN where no pair fits, or
            without a voxel size.
        two_point: S2 `[3, lags]` along z, y, x, see `TwoPointMeter`; NaN where no pair fits.
    """

    voxels: int
    pore_voxels: int
    connected: tuple[float, float, float]
    euler: int
    euler_per_voxel: float
    mean_chords: tuple[float, float, float]
    chords: tuple[Chords, Chords, Chords]
    specific_surface: float
    two_point: NDArray[np.float64]

    @property
    def porosity(self) -> float:
        """Share of the pores."""
        return self.pore_voxels / self.voxels


class PoreMeter:
    """Takes the slices `[Y, X]` of a pore space in the order of z, True in the pores.

    Args:
        longest_lag_px: of the two-point probability; less where a slice is smaller.
        voxel_size_nm: along z, y, x, for the surface; None leaves it out.
        slices: how many will come, if they may be fewer than 7: the surface's steps must fit.
        slab: slices that are looked at together.
        chords: whether their lengths are gathered; without, means of the chords alone.
    """

    def __init__(
        self,
        longest_lag_px: int,
        voxel_size_nm: float | Sequence[float] | None = None,
        *,
        slices: int | None = None,
        slab: int = SLAB,
        chords: bool = True,
    ) -> None:
        self._longest_lag, self._slab, self._expected = longest_lag_px, slab, slices
        self._edges = None if voxel_size_nm is None else voxel_size_zyx(voxel_size_nm)
        self._waiting: list[Plane] = []  # the first `_old` of them were counted before
        self._slices = self._pores = self._old = 0
        self._cells = CellMeter()
        self._with_chords = chords
        self._in_plane: list[Chords] = []

    def add(self, plane: Plane) -> None:
        """Take the next slice; raises what `tasks` does."""
        for task in self.tasks([plane]):
            task()

    def tasks(self, planes: Sequence[Plane]) -> list[Callable[[], None]]:
        """What is to be done with the next slices: tasks that may run at the same time.

        All must have ended before the next slices are given.

        Raises:
            InputError: not a boolean `[Y, X]`, or of another shape than the first.
        """
        for plane in planes:
            if not self._slices:
                self._start(plane)
            if plane.dtype != np.bool_ or plane.shape != self._shape:
                raise InputError(
                    f"slice {self._slices} is {plane.dtype} {plane.shape}, but the first is boolean {self._shape}"
                )
            self._slices += 1
            self._pores += int(np.count_nonzero(plane))
            self._waiting.append(plane.copy())
        kept = self._waiting[-len(planes) :]
        adds = [] if self._two_point is None else [self._two_point.add]
        adds += [self._add_chords, self._chords_z.add] if self._with_chords else []
        own = [partial(_each, add, kept) for add in (*adds, self._cells.add)]
        return own + (self._slab_tasks() if len(self._waiting) >= self._old + self._slab else [])

    def _add_chords(self, plane: Plane) -> None:
        for axis in (0, 1):
            self._in_plane[axis] += chord_lengths(plane[None], axis + 1)

    def result(self) -> PoreShape:
        """Of all slices so far; takes no more after that.

        Raises:
            InputError: there was no slice.
        """
        if not self._slices:
            raise InputError("the volume to measure holds no slice")
        self._take_slab()
        crossings = np.divide(
            self._differing, self._pairs, out=np.full(len(self._pairs), np.nan), where=self._pairs > 0
        )
        two_point = np.full((3, 1), np.nan) if self._two_point is None else self._two_point.result()
        voxels = self._slices * math.prod(self._shape)
        # half of the crossings are beginnings
        z, y, x = (2 * self._pores / voxels / share if share > 0 else math.nan for share in crossings[:3].tolist())
        return PoreShape(
            voxels,
            self._pores,
            self._connected.result(),
            self._cells.euler_number(),
            self._cells.euler_per_voxel(),
            (z, y, x),
            (self._chords_z.result(), self._in_plane[0], self._in_plane[1]),
            float(self._weights @ crossings[3:]) * 1e9 if self._weights.size else math.nan,
            two_point,
        )

    def _start(self, plane: Plane) -> None:
        check_pore(plane[None])
        self._shape: tuple[int, ...] = plane.shape
        lag = min(self._longest_lag, min(plane.shape) - 1)
        self._two_point = TwoPointMeter(lag) if lag > 0 else None
        self._chords_z = ChordsAlongZ(plane.shape)
        self._connected = ConnectedMeter()
        empty = np.zeros(1, np.int64)
        self._in_plane = [Chords(empty, empty)] * 2
        self._steps, self._weights = np.eye(3, dtype=np.int64), np.empty(0)
        if self._edges is not None:
            slices = self._expected or FURTHEST_VOXELS + 1
            steps, self._weights = wall_steps(self._edges, (slices, plane.shape[0], plane.shape[1]))
            self._steps = np.concatenate([self._steps, steps])
        self._pairs, self._differing = np.zeros((2, len(self._steps)), np.int64)

    def _take_slab(self) -> None:
        for task in self._slab_tasks():
            task()

    def _slab_tasks(self) -> list[Callable[[], None]]:
        """Crossings and connections of the slices that wait; those that later steps reach back to go on waiting."""
        if len(self._waiting) == self._old:
            return []
        block, old = np.stack(self._waiting), self._old
        self._waiting = self._waiting[-int(self._steps[:, 0].max()) :]
        self._old = len(self._waiting)
        return [partial(self._connected.add, block[old:]), partial(self._count, block, old)]

    def _count(self, block: NDArray[np.bool_], old: int) -> None:
        for number, step in enumerate(self._steps):
            pairs, differing = count_crossings(block, step, old)
            self._pairs[number] += pairs
            self._differing[number] += differing


def _each(add: Callable[[Plane], None], planes: Sequence[Plane]) -> None:
    for plane in planes:
        add(plane)


class ConnectedMeter:
    """Porosity that connects opposite faces, exactly, from slabs `[Z, Y, X]` in the order of z; see `percolating`.

    Each slab is labelled alone; pores that meet across its first face are one. Of a pore that does not reach the last
    slice so far nothing can change any more: it is counted and forgotten. Held: the labels of
    the last slice and a row for each pore that meets it; while a slab is taken, 12 bytes a voxel of it.
    """

    def __init__(self) -> None:
        self.slices = 0
        self._voxels = 0
        self._sizes = np.zeros(0, np.int64)
        self._touches = np.zeros((0, 5), np.bool_)  # the faces z = 0, y = 0, y = end, x = 0, x = end
        self._face: NDArray[np.int64] | None = None  # labels of the last slice: row + 1 of the tables
        self._through = np.zeros(3, np.int64)

    def add(self, slab: NDArray[np.bool_]) -> None:
        """Take the next slices.

        Raises:
            InputError: not a boolean volume.
        """
        from scipy import ndimage, sparse
        from scipy.sparse import csgraph

        check_pore(slab)
        labels, found = ndimage.label(slab)
        known = len(self._sizes)
        sizes = np.concatenate([self._sizes, np.bincount(labels[slab], minlength=found + 1)[1:]])
        touches = np.concatenate([self._touches, self._touching(labels, found)])
        pores = np.arange(known + found)
        if self._face is not None:
            meet = (self._face > 0) & (labels[0] > 0)
            links = self._face[meet] - 1, labels[0][meet] - 1 + known
            graph = sparse.coo_array((np.ones(len(links[0]), np.bool_), links), shape=(known + found,) * 2)
            pores = csgraph.connected_components(graph, directed=False)[1]
        count = int(pores.max(initial=-1)) + 1
        self._sizes = np.zeros(count, np.int64)
        np.add.at(self._sizes, pores, sizes)
        self._touches = np.zeros((count, 5), np.bool_)
        np.logical_or.at(self._touches, pores, touches)
        self._close(np.concatenate([[0], pores[known:] + 1])[labels[-1]])
        self._voxels += slab.size
        self.slices += len(slab)

    def result(self) -> tuple[float, float, float]:
        """Shares of the volume in pores that join the two faces of z, of y and of x."""
        z, y, x = (self._through + self._counted(ends=True)) / max(self._voxels, 1)
        return float(z), float(y), float(x)

    def _touching(self, labels: NDArray[np.int32], found: int) -> NDArray[np.bool_]:
        faces = [labels[:1] if not self.slices else labels[:0]]
        faces += [labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]]
        touching = np.zeros((found + 1, 5), np.bool_)
        for column, face in enumerate(faces):
            touching[face.ravel(), column] = True
        return touching[1:]

    def _close(self, face: NDArray[np.int64]) -> None:
        """Count and drop the pores that do not reach the last slice; renumber the others."""
        sizes, touches = self._sizes, self._touches
        alive, renumbered = np.unique(face, return_inverse=True)
        alive = alive[alive > 0]
        open_ = np.zeros(len(sizes), np.bool_)
        open_[alive - 1] = True
        self._sizes, self._touches = sizes[~open_], touches[~open_]
        self._through += self._counted(ends=False)
        self._sizes, self._touches = sizes[open_], touches[open_]
        self._face = renumbered.reshape(face.shape) + (0 if (face == 0).any() else 1)

    def _counted(self, *, ends: bool) -> Counts:
        """Voxels of the pores in the table that join z, y, x; along z only those that meet the last slice do."""
        touches = self._touches
        joins = np.stack([touches[:, 0] & ends, touches[:, 1] & touches[:, 2], touches[:, 3] & touches[:, 4]])
        return np.asarray(joins @ self._sizes, np.int64)
