"""Permeability of a pore space by Stokes flow on its voxels.

The pressure is sought by conjugate gradients on its Schur complement (Uzawa's method), preconditioned as Cahouet and
Chabard, Int. J. Numer. Methods Fluids 8 (1988) 869-895, do it for a fluid with drag: the identity, for pressure within
a pore, plus the inverse of a network of conductances between voxels, for pressure along many pores. The conductances
are the velocities that a uniform force causes where pressure is left out. The network is solved roughly, by conjugate
gradients with a multigrid (`solvers`), since a step of it costs little beside one of the flow. Conjugate gradients
minimise the energy that the flow dissipates, so the permeability falls to its value from above, with the square of the
residual.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.connectivity import check_pore, percolating, voxel_size_zyx
from txm2sem_core.metrics.pores.solvers import Floats, Multigrid, add_scaled, conjugate_gradients, dot
from txm2sem_core.metrics.pores.stokes import (
    Faces,
    Friction,
    faces_of,
    friction_of,
    network,
    places_of_pores,
    pore_numbers,
)

NANODARCY_M2 = 9.869233e-22  # one darcy is 9.869233e-13 m^2


@dataclass(frozen=True)
class Permeability:
    """A permeability, and the solver's convergence.

    Attributes:
        permeability_m2: along the axis; 0.0 where no pore connects the two faces.
        iterations: of conjugate gradients.
        change: relative change of the permeability in the last iteration.
        converged: whether the tolerance was met.
        connected_porosity: share of the volume in pores that reach from one face to the other.
    """

    permeability_m2: float
    iterations: int
    change: float
    converged: bool
    connected_porosity: float


QUIET = 3  # iterations in a row that must change little
INNER_TOLERANCE = 1e-4
NETWORK_TOLERANCE = 0.2
MAX_INNER = 1000
ROUNDING = 1e-12  # of pressures, squared: of straight channels there are no others beside the driving one


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
    tolerance: float = 1e-3,
    max_iterations: int = 300,
) -> Permeability:
    """Permeability along one axis with its diagnostics.

    Boundaries: the pressure is uniform on the two faces of the axis, and flow crosses them at right angles, which is
    the same as flow through the volume and its mirror image in turn. The four sides are planes of symmetry
    (`mirrored`: exact for channels that continue beyond them and for cubic arrays) or walls (`sealed`). Pores that do
    not connect the two faces through common sides of voxels are filled first.

    Memory: about 5 bytes a voxel and 220 a connected pore voxel (0.8 GB for 256 cubed, 0.19 of them pore). Runs in
    float32, with sums in float64, on one core of the CPU.

    Args:
        pore: boolean `[Z, Y, X]`.
        voxel_size_nm: one edge for all axes, or (z, y, x).
        axis: of the flow.
        sides: `mirrored` or `sealed`.
        tolerance: the solver stops when three iterations in a row changed the permeability by less, relatively.
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
        return Permeability(0.0, 0, 0.0, True, 0.0)
    if sides == "sealed":
        pad = [(0, 0) if a == axis else (1, 1) for a in range(3)]
        connected = np.pad(connected, pad)
    if connected.all():
        raise InputError("all voxels are pore: nothing holds the fluid, and its permeability has no bound")
    box = connected[_bounding_box(connected, axis)]
    unit = min(size_nm)
    scaled = np.array([edge / unit for edge in size_nm], dtype=np.float64)
    flow, iterations, change, converged = _flow(box, axis, scaled, tolerance, max_iterations)
    share = box.size / pore.size  # the flow of the box, over the area of the whole face
    return Permeability(flow * share * (unit * 1e-9) ** 2, iterations, change, converged, porosity)


def _bounding_box(connected: NDArray[np.bool_], axis: int) -> tuple[slice, ...]:
    """The part across the axis that holds the pores, with a voxel of solid around where there is one."""
    slices = []
    for a in range(3):
        used = np.flatnonzero(connected.any(axis=tuple(b for b in range(3) if b != a)))
        low, high = int(used[0]), int(used[-1]) + 1
        slices.append(slice(None) if a == axis else slice(max(low - 1, 0), high + 1))
    return tuple(slices)


def _flow(
    pore: NDArray[np.bool_], axis: int, size: NDArray[np.float64], tolerance: float, max_iterations: int
) -> tuple[float, int, float, bool]:
    """Mean velocity under a gradient of 1 (in squares of the unit), iterations, last change, and convergence."""
    parts, response = _without_pressure(pore, axis, size)
    driven = parts[axis][0]
    mean = dot(driven.weights(), response[axis]) / pore.size
    residual = np.zeros(int(np.count_nonzero(pore)), np.float32)
    driven.add_outflow(response[axis], residual)
    precondition = _preconditioner(pore, [faces for faces, _ in parts], response)
    direction = precondition(residual)
    square = dot(residual, direction)
    rounding = ROUNDING * mean**2 * pore.size
    change, quiet, iteration = 0.0, 0, 0
    while square > rounding and quiet < QUIET and iteration < max_iterations:
        iteration += 1
        image = np.zeros_like(residual)
        for faces, friction in parts:
            faces.add_outflow(_velocity(friction, faces.gradient(direction)), image)
        step = square / dot(direction, image)
        # a step of conjugate gradients lowers the energy, and with it the flow, by this much
        gain = step * square / pore.size
        mean -= gain
        change = gain / mean if mean > 0 else math.inf
        quiet = quiet + 1 if change < tolerance else 0
        add_scaled(residual, -step, image)
        preconditioned = precondition(residual)
        direction *= np.float32(-step * dot(image, preconditioned) / square)  # flexible: Notay (2000)
        direction += preconditioned
        square = dot(residual, preconditioned)
    return mean, iteration, change, quiet == QUIET or square <= rounding


def _without_pressure(
    pore: NDArray[np.bool_], axis: int, size: NDArray[np.float64]
) -> tuple[list[tuple[Faces, Friction]], list[Floats]]:
    """Of each component its faces and friction, and the velocities that a uniform force along it causes."""
    numbers, parts, response = pore_numbers(pore), [], []
    for component in range(3):
        faces, fluid = faces_of(numbers, component, axis, size)
        friction = friction_of(faces, fluid, component, axis, size)
        parts.append((faces, friction))
        response.append(_velocity(friction, faces.weights()))
    return parts, response


def _preconditioner(pore: NDArray[np.bool_], faces: list[Faces], response: list[Floats]) -> Callable[[Floats], Floats]:
    for own, velocity in zip(faces, response, strict=True):
        velocity /= own.weights()  # now a conductance
    matrix = network(faces, response, int(np.count_nonzero(pore)))
    response.clear()  # the multigrid needs the memory
    multigrid = Multigrid(matrix, places_of_pores(pore))

    def precondition(residual: Floats) -> Floats:
        pressure, _ = conjugate_gradients(
            matrix.__matmul__,
            residual,
            tolerance=NETWORK_TOLERANCE,
            most=MAX_INNER,
            precondition=multigrid.__matmul__,
        )
        pressure += residual
        return pressure

    return precondition


def _velocity(friction: Friction, force: Floats) -> Floats:
    return friction.velocity(force, tolerance=INNER_TOLERANCE, most=MAX_INNER) if force.size else force
