"""Stokes equations on the voxels of a pore space, as sparse matrices; used by `permeability` and `diffusivity`.

Velocities lie on the faces of the voxels and pressures in their centres (the marker-and-cell grid of Harlow and Welch,
Phys. Fluids 8 (1965) 2182). Lengths are in units of the shortest voxel edge, the viscosity and the pressure gradient
that drives the flow are 1. Matrices are in float32, whose rounding (6e-8) is far below the solvers' tolerances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.metrics.pores.solvers import Floats, Indices, conjugate_gradients

if TYPE_CHECKING:
    from scipy import sparse

Sizes = NDArray[np.float64]


@dataclass(frozen=True)
class Faces:
    """Faces of one direction that fluid can cross.

    Attributes:
        before, after: numbers of the pore voxels beside each, -2 beyond an end plane.
        edge: of a voxel across the face.
    """

    before: Indices
    after: Indices
    edge: float

    @property
    def at_end(self) -> NDArray[np.bool_]:
        """Those on the end planes, which belong half to the mirror image."""
        return (self.before < 0) | (self.after < 0)

    def weights(self) -> Floats:
        """1, or 1/2 on the end planes."""
        return np.where(self.at_end, np.float32(0.5), np.float32(1))

    def gradient(self, values: Floats) -> Floats:
        """Of what is given for each pore voxel, and 0 beyond the end planes."""
        bounded = np.append(values, np.zeros(2, np.float32))  # -2 finds the first of these zeros
        found: Floats = bounded[self.after]
        found -= bounded[self.before]
        found /= np.float32(self.edge)
        return found

    def add_outflow(self, velocities: Floats, into: Floats) -> None:
        """Add `gradient`, transposed, times the velocities: every voxel has one face of each kind at most."""
        scaled = velocities / np.float32(self.edge)
        inside = self.after >= 0
        into[self.after[inside]] += scaled[inside]
        inside = self.before >= 0
        into[self.before[inside]] -= scaled[inside]


def pore_numbers(pore: NDArray[np.bool_]) -> Indices:
    """Pore voxels numbered in the order of the array, -1 in the solid."""
    numbers = np.full(pore.shape, -1, np.int32)
    numbers[pore] = np.arange(np.count_nonzero(pore), dtype=np.int32)
    return numbers


def places_of_pores(pore: NDArray[np.bool_]) -> tuple[NDArray[np.int16], ...]:
    """Along each axis, of every pore voxel."""
    grids = np.meshgrid(*(np.arange(n, dtype=np.int16) for n in pore.shape), indexing="ij", copy=False, sparse=True)
    return tuple(np.broadcast_to(grid, pore.shape)[pore] for grid in grids)


def faces_of(numbers: Indices, component: int, axis: int, size: Sizes) -> tuple[Faces, NDArray[np.bool_]]:
    """Faces across one direction that fluid can cross, and which of all faces they are.

    With those of the end planes if the direction is `axis`, else without those of the sides.
    """
    pad = [(1, 1) if a == component == axis else (0, 0) for a in range(3)]
    wide = np.pad(numbers, pad, constant_values=-2) if component == axis else numbers
    whole = (slice(None),) * component
    before, after = wide[(*whole, slice(None, -1))], wide[(*whole, slice(1, None))]
    fluid = (before != -1) & (after != -1)
    if component == axis:
        fluid &= (before >= 0) | (after >= 0)
    return Faces(before[fluid], after[fluid], float(size[component])), fluid


def network(faces: Sequence[Faces], conductances: Sequence[Floats], count: int) -> sparse.csr_array:
    """The matrix `[pores, pores]` of currents between voxels of different potential, which is 0 beyond the ends.

    Args:
        faces: of each direction, of which one has end planes.
        conductances: of each face, for a potential that differs by one over the length of the voxel's edge.
        count: of pore voxels.
    """
    diagonal = np.zeros(count, np.float32)
    pairs: list[Pairs] = []
    for own, values in zip(faces, conductances, strict=True):
        scaled = values / np.float32(own.edge**2)
        for side in (own.before, own.after):
            inside = side >= 0
            diagonal[side[inside]] += scaled[inside]
        inside = ~own.at_end
        pairs.append((own.before[inside], own.after[inside], -scaled[inside]))
    nodes = np.arange(count, dtype=np.int32)
    below = [(high, low, values) for low, high, values in pairs]
    return csr_of([*below, (nodes, nodes, diagonal), *reversed(pairs)], (count, count))


Pairs = tuple[Indices, Indices, Floats]  # rows, columns and entries


def csr_of(parts: Sequence[Pairs], shape: tuple[int, int]) -> sparse.csr_array:
    """A matrix of parts that have one entry a row at most: SciPy's own ways need three times its memory."""
    from scipy import sparse

    counts = np.zeros(shape[0] + 1, np.int32)
    for rows, _, _ in parts:
        counts[rows + 1] += 1
    starts = np.cumsum(counts, dtype=np.int32)
    indices, entries = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    free = starts[:-1].copy()
    for rows, columns, values in parts:
        place = free[rows]
        indices[place], entries[place] = columns, values
        free[rows] += 1
    return sparse.csr_array((entries, indices, starts), shape)


@dataclass(frozen=True)
class Friction:
    """Minus the Laplacian of one component of the velocity, symmetric and positive definite.

    Neighbours are of different colour, as on a chessboard. Scaled to ones on its diagonal the matrix is
    `[[1, links], [links.T, 1]]`, so that `1 - links links.T` remains for the first colour, of which conjugate gradients
    need half as many steps, of half as many unknowns.

    Attributes:
        scale: of each face, by which the matrix was scaled from both sides.
        first: whether a face is of the first colour.
        links: `[first, others]`.
    """

    scale: Floats
    first: NDArray[np.bool_]
    links: sparse.csr_array

    def velocity(self, force: Floats, *, tolerance: float, most: int) -> Floats:
        """Under a force on each face: pores are narrow, so this takes few iterations."""
        scaled = force * self.scale
        first, other = scaled[self.first], scaled[~self.first]
        found, _ = conjugate_gradients(self._reduced, first - self.links @ other, tolerance=tolerance, most=most)
        scaled[self.first] = found
        scaled[~self.first] = other - self.links.T @ found
        scaled *= self.scale
        return scaled

    def _reduced(self, first: Floats) -> Floats:
        found: Floats = self.links @ (self.links.T @ first)
        return np.subtract(first, found, out=found)


def friction_of(faces: Faces, fluid: NDArray[np.bool_], component: int, axis: int, size: Sizes) -> Friction:
    """Friction of a component in the pores of a box `[Z, Y, X]`; see `faces_of`.

    The end planes of `axis` have pressure 0 (beside the driving gradient) and no tangential velocity; the sides are
    planes of symmetry. A wall half a voxel beside a face in fluid pulls at it by `(1 + b) / h^2` times its velocity;
    `b = 1` is the usual mirrored value, whose error of a slit's flow is `2 / n^2` for `n` voxels between the walls.
    Here `b = (3n + 2) / (3n - 2)`, with which the flow through a slit of any whole width is exact.
    """
    numbers, weights, count = pore_numbers(fluid), faces.weights(), faces.before.size
    diagonal = np.zeros(count, np.float32)
    pairs: list[Pairs] = []
    for a in range(3):
        low, high = _pairs(numbers, a)
        coupling = (np.minimum if a != component else np.maximum)(weights[low], weights[high])
        coupling /= np.float32(size[a] ** 2)
        diagonal[low] += coupling  # none is twice in either
        diagonal[high] += coupling
        pairs.append((low, high, -coupling))
        ends = a == axis
        pull = _own_axis(numbers, a, at_ends=ends) if a == component else _beside_walls(fluid, a, at_ends=ends)
        diagonal += pull * weights / np.float32(size[a] ** 2)
    del numbers
    scale, first = np.reciprocal(np.sqrt(diagonal)), _chessboard(fluid)
    return Friction(scale, first, _links(pairs, scale, first))


def _chessboard(fluid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each place that is fluid, whether the sum of its indices is even."""
    y, x = np.ogrid[: fluid.shape[1], : fluid.shape[2]]
    plane = (y + x) % 2 == 0
    return np.concatenate([np.zeros(0, np.bool_), *((plane ^ (k % 2 == 1))[own] for k, own in enumerate(fluid))])


def _links(pairs: list[Pairs], scale: Floats, first: NDArray[np.bool_]) -> sparse.csr_array:
    """What links faces of the first colour to the others, scaled."""
    count = int(np.count_nonzero(first))
    ranks = np.empty(first.size, np.int32)
    ranks[first] = np.arange(count, dtype=np.int32)
    ranks[~first] = np.arange(first.size - count, dtype=np.int32)
    below, above = [], []
    while pairs:
        low, high, values = pairs.pop(0)
        values *= scale[low]
        values *= scale[high]
        up = first[low]
        low, high = ranks[low], ranks[high]
        above.append((low[up], high[up], values[up]))
        below.append((high[~up], low[~up], values[~up]))
    return csr_of([*below, *reversed(above)], (count, first.size - count))


def _pairs(faces: Indices, axis: int) -> tuple[Indices, Indices]:
    """Numbers of neighbouring faces along an axis."""
    lines = np.moveaxis(faces, axis, 0)
    both = (lines[:-1] >= 0) & (lines[1:] >= 0)
    return lines[:-1][both], lines[1:][both]


def _own_axis(faces: Indices, axis: int, *, at_ends: bool) -> Floats:
    """Walls met along a component's own axis, where the velocity on the next face is 0: their number for each face."""
    lines = np.moveaxis(faces, axis, 0)
    walls = np.zeros(int(faces.max(initial=-1)) + 1, np.float32)
    for here, there in ((lines[1:], lines[:-1]), (lines[:-1], lines[1:])):
        walls[here[(here >= 0) & (there < 0)]] += 1
    if not at_ends and len(lines):  # the sides are planes that nothing crosses; on end planes the velocity is even
        for plane in (lines[0], lines[-1]):
            walls[plane[plane >= 0]] += 1
    return walls


def _beside_walls(fluid: NDArray[np.bool_], axis: int, *, at_ends: bool) -> Floats:
    """What walls half a voxel beside faces in fluid add to their coefficients, in units of `1 / h^2`."""
    lines = np.moveaxis(fluid, axis, -1)
    added = np.zeros(lines.shape, np.float32)
    for plane, into in zip(lines, added, strict=True):
        _add_pull(plane, into)
    if at_ends:  # no tangential velocity on the end planes
        added[..., 0] += 2
        added[..., -1] += 2
    return np.moveaxis(added, -1, axis)[fluid]


def _add_pull(plane: NDArray[np.bool_], into: Floats) -> None:
    """Of the walls at the ends of every run along the rows of one plane."""
    edges = np.diff(np.pad(plane, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    low, high = start > 0, stop < plane.shape[1]
    width = (stop - start) * np.where(low & high, 1.0, 2.0)  # a run that meets an end goes on in the mirror image
    pull = (1 + (3 * width + 2) / (3 * width - 2)).astype(np.float32)
    into[row[low], start[low]] += pull[low]
    into[row[high], stop[high] - 1] += pull[high]
