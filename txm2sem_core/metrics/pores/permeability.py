"""Permeability of a pore space by Stokes flow on its voxels.

The pressure is sought by conjugate gradients on its Schur complement (Uzawa's method), preconditioned as Cahouet and
Chabard, Int. J. Numer. Methods Fluids 8 (1988) 869-895, do it for a fluid with drag: the identity, for pressure within
a pore, plus the inverse of a network of conductances between voxels (algebraic multigrid: pyamg), for pressure along
many pores. The conductances are the velocities that a uniform force causes where pressure is left out. Conjugate
gradients minimise the energy that the flow dissipates, so the permeability falls to its value from above, with the
square of the residual.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.connectivity import check_pore, percolating, voxel_size_zyx
from txm2sem_core.metrics.pores.stokes import assemble_stokes

if TYPE_CHECKING:
    from scipy import sparse

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
INNER_TOLERANCE = 1e-5
MAX_INNER = 1000


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

    Memory: 0.9 to 1.2 kB per connected pore voxel (0.5 GB for 128 cubed, 2.9 GB for 256 cubed, 0.19 of them).
    Runs in float64 on one core of the CPU.

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
    import pyamg
    from scipy import sparse

    equations = assemble_stokes(pore, axis, size)
    friction, gradient, weights = equations.friction, equations.gradient, equations.weights
    response = [_velocity(matrix, force) for matrix, force in zip(friction, weights, strict=True)]
    steady = response[axis]
    mean = float(weights[axis] @ steady) / pore.size
    conductance = sum(g.T @ sparse.diags_array(u / w) @ g for g, u, w in zip(gradient, response, weights, strict=True))
    network = pyamg.smoothed_aggregation_solver(sparse.csr_matrix(conductance), max_coarse=500).aspreconditioner()

    def precondition(r: NDArray[np.float64]) -> NDArray[np.float64]:
        return r + network @ r

    residual = gradient[axis].T @ steady
    first = float(residual @ precondition(residual))
    if first <= 1e-24 * mean**2 * pore.size:  # a straight channel: no pressure beside the driving one
        return mean, 0, 0.0, True
    preconditioned = precondition(residual)
    direction = preconditioned.copy()
    square = first
    change, quiet, iteration = math.inf, 0, 0
    while iteration < max_iterations and quiet < QUIET:
        iteration += 1
        image = np.zeros_like(residual)
        for matrix, g in zip(friction, gradient, strict=True):
            if matrix.shape[0]:
                image += g.T @ _velocity(matrix, g @ direction)
        step = square / float(direction @ image)
        # a step of conjugate gradients lowers the energy, and with it the flow, by this much
        gain = step * square / pore.size
        mean -= gain
        change = gain / mean if mean > 0 else math.inf
        quiet = quiet + 1 if change < tolerance else 0
        residual -= step * image
        preconditioned = precondition(residual)
        following = float(residual @ preconditioned)
        direction = preconditioned + (following / square) * direction
        square = following
    return mean, iteration, change, quiet == QUIET


def _velocity(matrix: sparse.csr_matrix, force: NDArray[np.float64]) -> NDArray[np.float64]:
    """Velocity of one component under a force without pressure: pores are narrow, so this takes few iterations."""
    from scipy.sparse.linalg import LinearOperator, cg

    if not matrix.shape[0]:
        return np.zeros(0)
    inverse = 1 / matrix.diagonal()
    scale = LinearOperator(matrix.shape, matvec=lambda r: inverse * r)
    return cg(matrix, force, rtol=INNER_TOLERANCE, maxiter=MAX_INNER, M=scale)[0]
