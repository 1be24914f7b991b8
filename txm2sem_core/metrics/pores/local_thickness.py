"""Local thickness of a pore space: of the balls that fit between the walls, the largest that covers each voxel.

Hildebrand and Rueegsegger, J. Microsc. 185 (1997) 67-75. Where distances are those of voxel centres and balls are
centred on voxels, as in PoreSpy's `local_thickness`, a crack of one voxel reads as two, one of two as two, one of three
as four. Here the wall lies halfway between a pore's voxel and a solid one, and balls are centred on voxels and halfway
between them, so that cracks along the axes of any whole width are exact, also in voxels whose edges differ.

Distances are found by shifted minima (`_nearest`): `scipy.ndimage.distance_transform_edt` takes ten times the memory
for the same half steps (383 bytes a voxel against 33). Balls of one size are painted by the same shifts, which end at
their radius; times stand in docs/method/measures.md.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Edges = tuple[float, float, float]

FINEST = 0.25  # of the shortest edge: radii of one size differ by no more
RATIO = 0.03  # or, where that is more, by this share of themselves
_TOUCHING = 1e-4  # of the shortest edge, and a tenth of it of a radius: what only touches, whatever the rounding


def thickness_classes(pore: NDArray[np.bool_], edges: Edges) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Diameters, ascending, in the unit of `edges`, and the number of pore voxels of each.

    Args:
        pore: `[Z, Y, X]`, with at least one voxel of either kind.
        edges: of a voxel.

    Memory: about 36 bytes a voxel, 32 of them the distances at half steps.
    """
    half = (edges[0] / 2, edges[1] / 2, edges[2] / 2)
    radii = _distances(pore, half)
    _forget_covered(radii, half)
    classes = _classes(radii, min(edges))
    open_ = pore.copy()  # what no ball has covered yet
    diameters, counts = [], []
    for low, high in reversed(list(itertools.pairwise(classes.tolist()))):
        taken, mean = _paint(open_, radii, (low, high), half)
        if taken:
            diameters.append(2 * mean)
            counts.append(taken)
    return np.array(diameters[::-1]), np.array(counts[::-1], np.int64)


def _wall(pore: NDArray[np.bool_], position: int) -> NDArray[np.bool_]:
    """Where the solid, interpolated linearly between voxel centres, is a half or more: one slice of half steps."""
    share = (~pore[position // 2]).astype(np.uint8) + ~pore[(position + 1) // 2]
    for axis in range(2):
        along = np.moveaxis(share, axis, 0)
        finer = np.empty((2 * along.shape[0] - 1, *along.shape[1:]), np.uint8)
        finer[::2] = 2 * along
        finer[1::2] = along[1:] + along[:-1]
        share = np.moveaxis(finer, 0, axis)
    return np.ascontiguousarray(share >= 4)


def _distances(pore: NDArray[np.bool_], half: Edges) -> NDArray[np.float32]:
    """Distance of every half step, `[2 Z - 1, 2 Y - 1, 2 X - 1]`, to the nearest wall."""
    z, y, x = pore.shape
    squares = np.full((2 * z - 1, 2 * y - 1, 2 * x - 1), np.inf, np.float32)
    for position, found in enumerate(squares):
        wall = _wall(pore, position)
        if wall.any():
            found[:] = _nearest(_along_rows(wall, half[2]), half[1])
    for row in range(squares.shape[1]):
        squares[:, row] = np.sqrt(_nearest(squares[:, row], half[0]))
    return squares


def _along_rows(walls: NDArray[np.bool_], step: float) -> Plane:
    """Squared distance to the nearest wall of the same row; infinite without one."""
    position = np.arange(walls.shape[1], dtype=np.float32)
    before = np.maximum.accumulate(np.where(walls, position, -np.inf), axis=1)
    after = np.minimum.accumulate(np.where(walls, position, np.inf)[:, ::-1], axis=1)[:, ::-1]
    return np.square(np.minimum(position - before, after - position) * step).astype(np.float32)


def _nearest(squares: Plane, step: float) -> Plane:
    """The least of `squares[j] + (step (i - j))^2` over all j, for every i along the first axis."""
    best = squares.copy()
    for shift in range(1, len(squares)):
        further = np.float32((shift * step) ** 2)
        if further >= best.max():
            break
        np.minimum(best[shift:], squares[:-shift] + further, out=best[shift:])
        np.minimum(best[:-shift], squares[shift:] + further, out=best[:-shift])
    return best


def _forget_covered(radii: NDArray[np.float32], half: Edges) -> None:
    """Set those balls to nothing that lie in the ball of a neighbour along an axis: they cover nothing of their own."""
    slack = np.float32(2 * min(half) * _TOUCHING)
    above = radii[0].copy()
    for number in range(len(radii)):
        plane = radii[number].copy()
        covered = above >= plane + np.float32(half[0]) - slack if number else np.zeros(plane.shape, np.bool_)
        if number + 1 < len(radii):
            covered |= radii[number + 1] >= plane + np.float32(half[0]) - slack
        for axis, step in ((0, half[1]), (1, half[2])):
            own, hidden = np.moveaxis(plane, axis, 0), np.moveaxis(covered, axis, 0)
            hidden[1:] |= own[:-1] >= own[1:] + np.float32(step) - slack
            hidden[:-1] |= own[1:] >= own[:-1] + np.float32(step) - slack
        radii[number][covered] = 0
        above = plane


def _classes(radii: NDArray[np.float32], shortest: float) -> NDArray[np.float64]:
    """Bounds of the sizes, which do not depend on the pores: only how many are needed does."""
    largest, bounds = max(float(plane.max()) for plane in radii), [0.375 * shortest]
    while bounds[-1] <= largest:
        bounds.append(bounds[-1] + max(FINEST * shortest, RATIO * bounds[-1]))
    return np.array(bounds)


def _paint(
    open_: NDArray[np.bool_], radii: NDArray[np.float32], bounds: tuple[float, float], half: Edges
) -> tuple[int, float]:
    """Cover open voxels by the balls whose radii lie within the bounds; how many, and the balls' mean radius."""
    taken, number, total = 0, 0, 0.0
    for position, plane in enumerate(radii):
        own = (plane >= bounds[0]) & (plane < bounds[1])
        rows = np.flatnonzero(own.any(axis=1))
        if not rows.size:
            continue
        columns = np.flatnonzero(own.any(axis=0))
        ys, xs = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        values = np.where(own[ys, xs], -np.square(plane[ys, xs] * np.float32(1 - _TOUCHING / 10)), np.float32(np.inf))
        number += int(np.count_nonzero(own))
        total += float(plane[own].sum(dtype=np.float64))
        y, values = _reach(values, ys.start, open_.shape[1], bounds[1], half[1])
        x, values = _reach(np.ascontiguousarray(values.T), xs.start, open_.shape[2], bounds[1], half[2])
        power = np.ascontiguousarray(values.T)
        for z in _voxels(position, position + 1, open_.shape[0], bounds[1] / half[0]):
            here = open_[z, y, x]
            covered = here & (power < -np.float32(((2 * z - position) * half[0]) ** 2))
            taken += int(np.count_nonzero(covered))
            here[covered] = False
    return taken, total / max(number, 1)


def _voxels(first: int, stop: int, length: int, reach: float) -> range:
    """Voxels whose centres are nearer than `reach` half steps to the half steps from `first` to `stop`."""
    return range(max(math.ceil((first - reach) / 2), 0), min(math.floor((stop - 1 + reach) / 2), length - 1) + 1)


def _reach(values: Plane, first: int, length: int, radius: float, step: float) -> tuple[slice, Plane]:
    """The least of `values[j] + (step (2 i - first - j))^2` over all j no further than the radius, for voxels i."""
    voxels = _voxels(first, first + len(values), length, radius / step)
    found = np.full((len(voxels), values.shape[1]), np.inf, np.float32)
    longest = math.floor(radius / step)
    for shift in range(-longest, longest + 1):  # of a voxel's centre from a ball's, in half steps
        start = max(voxels.start, -((first + shift) // -2))
        stop = min(voxels.stop, (first + len(values) - 1 + shift) // 2 + 1)
        if start >= stop:
            continue
        source = 2 * start - first - shift
        part = values[source : source + 2 * (stop - start) - 1 : 2] + np.float32((shift * step) ** 2)
        into = found[start - voxels.start : stop - voxels.start]
        np.minimum(into, part, out=into)
    return slice(voxels.start, voxels.stop), found
