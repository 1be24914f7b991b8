"""Effective diffusivity and tortuosity of a pore space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyamg
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.connectivity import check_pore, percolating, voxel_size_zyx
from txm2sem_core.metrics.pores.stokes import assemble_stokes


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
    walls and sides. Solved by conjugate gradients with algebraic multigrid (pyamg) to 1e-6. Memory: about 1.2 kB a
    connected pore voxel.

    Raises:
        InputError: the array is not boolean or not 3D, the axis or the voxel size makes no sense, or not converged.
    """
    edges = voxel_size_zyx(voxel_size_nm)
    check_pore(pore, axis)
    connected = percolating(pore, axis)
    if not connected.any():
        return Diffusivity(0.0, math.inf, math.inf)
    equations = assemble_stokes(connected, axis, np.array(edges) / min(edges))
    laplacian = sum(
        g.T @ sparse.diags_array(1 / w) @ g for g, w in zip(equations.gradient, equations.weights, strict=True)
    )
    matrix = sparse.csr_matrix(laplacian)
    source = equations.gradient[axis].T @ np.ones(equations.gradient[axis].shape[0])
    concentration = np.zeros_like(source)
    if np.abs(source).max() > 1e-9:
        multigrid = pyamg.smoothed_aggregation_solver(matrix, max_coarse=500).aspreconditioner()
        concentration, failed = cg(matrix, source, rtol=1e-6, maxiter=500, M=multigrid)
        if failed:
            raise InputError(f"diffusion along axis {axis}: not converged after 500 iterations")
    relative = float(equations.weights[axis].sum() - source @ concentration) / pore.size
    return Diffusivity(relative, float(pore.mean()) / relative, 1 / relative)
