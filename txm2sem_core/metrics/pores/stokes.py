"""Stokes equations on the voxels of a pore space, as sparse matrices; used by `permeability`.

Velocities lie on the faces of the voxels and pressures in their centres (the marker-and-cell grid of Harlow and Welch,
Phys. Fluids 8 (1965) 2182). Lengths are in units of the shortest voxel edge, the viscosity and the pressure gradient
that drives the flow are 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Stokes:
    """`friction_a u_a + gradient_a p = drive_a` of every velocity component, and `sum(gradient_a.T u_a) = 0`.

    Attributes:
        friction: minus the Laplacian of each component, `[faces, faces]`, symmetric and positive definite.
        gradient: `[faces, pores]` of each component.
        weights: `[faces]`; 1, or 1/2 on the end planes, which belong half to the mirror image.
    """

    friction: list[sparse.csr_matrix]
    gradient: list[sparse.csr_matrix]
    weights: list[FloatArray]


def assemble_stokes(pore: NDArray[np.bool_], axis: int, size: FloatArray) -> Stokes:
    """The equations in the pores of a box `[Z, Y, X]`.

    The end planes of `axis` have pressure 0 (beside the driving gradient) and no tangential velocity; the sides are
    planes of symmetry. A wall half a voxel beside a face in fluid pulls at it by `(1 + b) / h^2` times its velocity;
    `b = 1` is the usual mirrored value, whose error of a slit's flow is `2 / n^2` for `n` voxels between the walls.
    Here `b = (3n + 2) / (3n - 2)`, with which the flow through a slit of any whole width is exact.
    """
    numbers = np.full(pore.shape, -1, np.int32)
    numbers[pore] = np.arange(np.count_nonzero(pore), dtype=np.int32)
    parts = [_component(pore, numbers, component, axis, size) for component in range(3)]
    return Stokes([part[0] for part in parts], [part[1] for part in parts], [part[2] for part in parts])


def _component(
    pore: NDArray[np.bool_], numbers: NDArray[np.int32], component: int, axis: int, size: FloatArray
) -> tuple[sparse.csr_matrix, sparse.csr_matrix, FloatArray]:
    """Friction, gradient and weights of one component."""
    from scipy import sparse

    pad = [(1, 1) if a == component == axis else (0, 0) for a in range(3)]
    wide = np.pad(numbers, pad, constant_values=-2)  # -2: beyond an end plane, where the pressure is 0
    whole = (slice(None),) * component
    before, after = wide[(*whole, slice(None, -1))], wide[(*whole, slice(1, None))]
    fluid = (before != -1) & (after != -1) & ((before >= 0) | (after >= 0))
    faces = np.full(fluid.shape, -1, np.int32)
    count = int(np.count_nonzero(fluid))
    faces[fluid] = np.arange(count, dtype=np.int32)
    before, after = before[fluid], after[fluid]
    weights = np.where((before < 0) | (after < 0), 0.5, 1.0)

    row = np.arange(count, dtype=np.int32)
    has_before, has_after = before >= 0, after >= 0
    values = np.full(int(has_before.sum() + has_after.sum()), 1 / size[component])
    values[: int(has_before.sum())] *= -1
    places = np.concatenate([row[has_before], row[has_after]]), np.concatenate([before[has_before], after[has_after]])
    gradient = sparse.csr_matrix((values, places), (count, int(numbers.max()) + 1))

    diagonal = np.zeros(count)
    rows, columns, entries = [row], [row], [diagonal]
    for a in range(3):
        low, high = _pairs(faces, a)
        coupling = (np.minimum if a != component else np.maximum)(weights[low], weights[high]) / size[a] ** 2
        rows += [low, high]
        columns += [high, low]
        entries += [-coupling, -coupling]
        np.add.at(diagonal, low, coupling)
        np.add.at(diagonal, high, coupling)
        pull = _own_axis(faces, a, at_ends=a == axis) if a == component else _beside_walls(fluid, a, at_ends=a == axis)
        diagonal += (pull[fluid] if a != component else pull) * weights / size[a] ** 2
    places = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_matrix((np.concatenate(entries), places), (count, count)), gradient, weights


def _pairs(faces: NDArray[np.int32], axis: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Numbers of neighbouring faces along an axis."""
    lines = np.moveaxis(faces, axis, 0)
    both = (lines[:-1] >= 0) & (lines[1:] >= 0)
    return lines[:-1][both], lines[1:][both]


def _own_axis(faces: NDArray[np.int32], axis: int, *, at_ends: bool) -> FloatArray:
    """Walls met along a component's own axis, where the velocity on the next face is 0: their number for each face."""
    lines = np.moveaxis(faces, axis, 0)
    walls = np.zeros(int(faces.max()) + 1)
    for here, there in ((lines[1:], lines[:-1]), (lines[:-1], lines[1:])):
        walls[here[(here >= 0) & (there < 0)]] += 1
    if not at_ends:  # the sides are planes that nothing crosses; on end planes the velocity is even
        for plane in (lines[0], lines[-1]):
            walls[plane[plane >= 0]] += 1
    return walls


def _beside_walls(fluid: NDArray[np.bool_], axis: int, *, at_ends: bool) -> FloatArray:
    """What walls half a voxel beside faces add to their coefficients, in units of `1 / h^2`; shape of `fluid`."""
    lines = np.moveaxis(fluid, axis, -1)
    flat = lines.reshape(-1, lines.shape[-1])
    edges = np.diff(np.pad(flat, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    low, high = start > 0, stop < flat.shape[1]
    width = (stop - start) * np.where(low & high, 1.0, 2.0)  # a run that meets an end goes on in the mirror image
    pull = 1 + (3 * width + 2) / (3 * width - 2)
    added = np.zeros(flat.shape)
    added[row[low], start[low]] += pull[low]
    added[row[high], stop[high] - 1] += pull[high]
    if at_ends:  # no tangential velocity on the end planes
        added[:, 0] += 2
        added[:, -1] += 2
    return np.moveaxis(added.reshape(lines.shape), -1, axis)
