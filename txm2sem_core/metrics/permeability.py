"""Permeability of a pore space by Stokes flow on its voxels.

The unknowns are the forces that hold the solid still (a fictitious-domain or Lagrange-multiplier method: Glowinski,
Pan and Periaux, Comput. Methods Appl. Mech. Eng. 111 (1994) 283-303; with fast transforms on voxels as in Wiegmann,
Fraunhofer ITWM report 129 (2007)). Velocities lie on the faces of the voxels and pressures in their centres (the
marker-and-cell grid of Harlow and Welch, Phys. Fluids 8 (1965) 2182). The mean velocity U is given; forces f on the
faces at the wall are sought so that the velocity there is zero,

    (S + D) f = -U,    S = (Stokes flow of a force in the free box), D = (what a wall half a voxel away adds),

by conjugate gradients; S costs six fast sine and cosine transforms. The pressure gradient that drives the flow is
-mean(f), and Darcy's law gives k = U / mean(-f) at viscosity 1. The energy that conjugate gradients minimise is that
mean, so k converges with the square of the residual, from above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.connectivity import check_pore, percolating, voxel_size_zyx
from txm2sem_core.metrics.stokes import StokesBox, wall_faces

NANODARCY_M2 = 9.869233e-22  # one darcy is 9.869233e-13 m^2


@dataclass(frozen=True)
class Permeability:
    """A permeability, and how far the solver came.

    Attributes:
        permeability_m2: along the axis; 0.0 where no pore connects the two faces.
        iterations: of conjugate gradients.
        change: relative change of the permeability over the last `CHECK_EVERY` iterations.
        slip: root mean square of the velocity left at the wall, relative to the mean velocity in the pores.
        converged: whether the tolerance was met.
        connected_porosity: share of the volume in pores that reach from one face to the other.
    """

    permeability_m2: float
    iterations: int
    change: float
    slip: float
    converged: bool
    connected_porosity: float


CHECK_EVERY = 10


def permeability(pore: NDArray[np.bool_], voxel_size_nm: float | Sequence[float], axis: int) -> float:
    """Permeability in m^2 of a boolean volume `[Z, Y, X]`, True in the pores, along one axis. See `solve_permeability`.

    Args:
        pore: boolean `[Z, Y, X]`.
        voxel_size_nm: one edge for all axes, or (z, y, x).
        axis: 0, 1 or 2, for z, y or x.

    Returns:
        m^2; 0.0 where no pore connects the two faces of the axis.

    Raises:
        InputError: the array is not boolean or not 3D, the axis or the voxel size makes no sense, all is pore, or the
            solver did not converge.
    """
    found = solve_permeability(pore, voxel_size_nm, axis)
    if not found.converged:
        raise InputError(
            f"permeability along axis {axis}: not converged after {found.iterations} iterations (last change "
            f"{found.change:.1e}). Call solve_permeability with more iterations or a wider tolerance."
        )
    return found.permeability_m2


def nanodarcy(permeability_m2: float) -> float:
    """A permeability in nanodarcy; 1 nD = 9.869233e-22 m^2."""
    return permeability_m2 / NANODARCY_M2


def solve_permeability(
    pore: NDArray[np.bool_],
    voxel_size_nm: float | Sequence[float],
    axis: int,
    *,
    sides: str = "mirrored",
    tolerance: float = 2e-3,
    max_iterations: int = 3000,
) -> Permeability:
    """Permeability along one axis with its diagnostics.

    Boundaries: the pressure is uniform on the two faces of the axis, and flow crosses them at right angles, which is
    the same as flow through the volume and its mirror image in turn. The four sides are planes of symmetry
    (`mirrored`: exact for channels that go on beyond them and for cubic arrays) or walls (`sealed`). Pores that do not
    join the two faces through common sides of voxels are filled first.

    Memory: about 50 bytes a voxel of the box (connected pores' bounding box across the axis), and 60 bytes a face at a
    wall. Runs in float32 on the CPU, on all cores that are allowed to the process.

    Args:
        pore: boolean `[Z, Y, X]`.
        voxel_size_nm: one edge for all axes, or (z, y, x).
        axis: of the flow.
        sides: `mirrored` or `sealed`.
        tolerance: the solver stops when the permeability changed by less, relatively, over three times `CHECK_EVERY`
            iterations in a row.
        max_iterations: after which it gives up; `converged` says so.

    Raises:
        InputError: as `permeability`, without the last.
    """
    size_nm = voxel_size_zyx(voxel_size_nm)
    check_pore(pore, axis)
    if sides not in ("mirrored", "sealed"):
        raise InputError(f"sides is {sides!r}; it must be 'mirrored' or 'sealed'")
    connected = percolating(pore, axis)
    porosity = float(connected.mean())
    if porosity == 0:
        return Permeability(0.0, 0, 0.0, 0.0, True, 0.0)
    if sides == "sealed":
        pad = [(0, 0) if a == axis else (1, 1) for a in range(3)]
        connected = np.pad(connected, pad)
    if connected.all():
        raise InputError("all voxels are pore: nothing holds the fluid, and its permeability has no bound")
    box = connected[_bounding_box(connected, axis)]
    unit = min(size_nm)
    scaled = np.array([edge / unit for edge in size_nm], dtype=np.float64)
    force, iterations, change, slip, converged = _conjugate_gradients(box, axis, scaled, tolerance, max_iterations)
    share = box.size / pore.size  # flow per area of the whole face; the rest of it carries none
    k = share / force * (unit * 1e-9) ** 2
    return Permeability(k, iterations, change, slip * porosity / share, converged, porosity)


def _bounding_box(connected: NDArray[np.bool_], axis: int) -> tuple[slice, ...]:
    """The part across the axis that holds the pores, with a voxel of solid around where there is one."""
    slices = []
    for a in range(3):
        used = np.flatnonzero(connected.any(axis=tuple(b for b in range(3) if b != a)))
        low, high = int(used[0]), int(used[-1]) + 1
        slices.append(slice(None) if a == axis else slice(max(low - 1, 0), high + 1))
    return tuple(slices)


def _conjugate_gradients(
    pore: NDArray[np.bool_], axis: int, size: NDArray[np.float64], tolerance: float, max_iterations: int
) -> tuple[float, int, float, float, bool]:
    """Mean force for a mean velocity of 1, iterations, last change, slip, and whether it converged."""
    box = StokesBox(pore.shape, axis, size)
    faces = wall_faces(pore, axis, size)
    weights = np.concatenate([box.weights(a, where.index) for a, where in enumerate(faces)])
    compliance = np.concatenate([where.compliance for where in faces]).astype(np.float32)
    flow = np.zeros(weights.size, np.float32)
    start = sum(where.index.size for where in faces[:axis])
    flow[start : start + faces[axis].index.size] = 1.0
    indices = [where.index for where in faces]
    weights = weights.astype(np.float32)

    # faces on the two end planes belong half to the mirror image: the operator is symmetric under these weights
    def inner(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        return float(np.dot((a * weights).astype(np.float64), b.astype(np.float64)))

    drag = np.zeros_like(flow)
    residual = flow.copy()
    direction = residual.copy()
    square = inner(residual, residual)
    history = [0.0]
    change, quiet = math.inf, 0
    for iteration in range(1, max_iterations + 1):
        image = box.velocities(direction, indices) + compliance * direction
        step = square / inner(direction, image)
        drag += np.float32(step) * direction
        residual -= np.float32(step) * image
        following = inner(residual, residual)
        direction *= np.float32(following / square)
        direction += residual
        square = following
        if iteration % CHECK_EVERY == 0 or square == 0:
            history.append(inner(drag, flow) / pore.size)
            change = abs(history[-1] / history[-2] - 1) if history[-2] else math.inf
            quiet = quiet + 1 if change < tolerance else 0
            if quiet == 3 or square == 0:
                break
    slip = math.sqrt(square / float(weights.sum()))
    return history[-1], iteration, change, slip, quiet == 3 or square == 0
