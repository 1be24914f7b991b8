"""Effective diffusivity and tortuosity of a pore space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.connectivity import check_pore, percolating, voxel_size_zyx
from txm2sem_core.metrics.pores.solvers import Floats, Multigrid, conjugate_gradients, dot
from txm2sem_core.metrics.pores.stokes import Faces, faces_of, network, places_of_pores, pore_numbers

TOLERANCE = 1e-6
MOST = 500  # iterations


@dataclass(frozen=True)
class Diffusivity:
    """Diffusion along one axis.

    Attributes:
        relative: effective over free diffusivity, 0 where no pore connects the two faces; also the conductivity of the
            brine-filled rock over that of the brine.
        tortuosity: porosity / relative (the factor of Cooper et al., SoftwareX 5 (2016) 203); infinite without path.
        formation_factor: 1 / relative (Archie 1942).
    """

    relative: float
    tortuosity: float
    formation_factor: float


def diffusivity(pore: NDArray[np.bool_], voxel_size_nm: float | Sequence[float], axis: int) -> Diffusivity:
    """Steady diffusion through the pores of `[Z, Y, X]` along one axis, by finite volumes on its voxels.

    Concentrations are fixed on the two faces of the axis, half a voxel outside the outermost centres; nothing crosses
    walls and sides. Solved by conjugate gradients with a multigrid (`solvers`) to 1e-6, in float32 on one core of the
    CPU. Memory: about 5 bytes a voxel and 140 a connected pore voxel.

    Raises:
        InputError: the array is not boolean or not 3D, the axis or the voxel size makes no sense, or not converged.
    """
    edges = voxel_size_zyx(voxel_size_nm)
    check_pore(pore, axis)
    connected = percolating(pore, axis)
    if not connected.any():
        return Diffusivity(0.0, math.inf, math.inf)
    relative = _flux(connected, axis, np.array(edges) / min(edges)) / pore.size
    return Diffusivity(relative, float(pore.mean()) / relative, 1 / relative)


def _flux(pore: NDArray[np.bool_], axis: int, size: NDArray[np.float64]) -> float:
    """Through all slices together, under a gradient of 1."""
    numbers, count = pore_numbers(pore), int(np.count_nonzero(pore))
    faces = [faces_of(numbers, component, axis, size)[0] for component in range(3)]
    del numbers
    source = np.zeros(count, np.float32)
    faces[axis].add_outflow(np.ones(faces[axis].before.size, np.float32), source)
    matrix = network(faces, [np.reciprocal(own.weights()) for own in faces], count)
    multigrid = Multigrid(matrix, places_of_pores(pore))
    concentration, iterations = conjugate_gradients(
        matrix.__matmul__, source, tolerance=TOLERANCE, most=MOST, precondition=multigrid.__matmul__
    )
    if iterations > MOST:
        raise InputError(f"diffusion along axis {axis}: not converged after {MOST} iterations")
    return sum(_dissipated(own, concentration, float(own is faces[axis])) for own in faces)


def _dissipated(faces: Faces, concentration: Floats, drive: float) -> float:
    """Flux times gradient: of all concentrations least for the right ones, and off by the square of their error."""
    weights = faces.weights()
    flux = np.float32(drive) * weights - faces.gradient(concentration)
    return dot(flux, flux / weights)
