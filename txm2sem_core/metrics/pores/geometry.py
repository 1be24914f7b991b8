"""Shape of a pore space: surface, Euler number and pore sizes of boolean volumes `[Z, Y, X]`, True in pores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.cells import CellMeter
from txm2sem_core.metrics.pores.connectivity import check_pore, voxel_size_zyx
from txm2sem_core.metrics.pores.crossings import count_crossings, wall_steps
from txm2sem_core.metrics.pores.local_thickness import thickness_classes

SLAB = 32  # slices that are looked at together


def specific_surface(pore: NDArray[np.bool_], voxel_size_nm: float | Sequence[float]) -> float:
    """Area of the pores' wall per volume, in 1/m, by the formula of Cauchy and Crofton; see `wall_steps`.

    Within 5 % for a plane of any direction in voxels of up to 5 : 1. The faces of the volume are no wall.

    Raises:
        InputError: not a boolean volume with two voxels along each axis, or no voxel size.
    """
    check_pore(pore)
    if min(pore.shape) < 2:
        raise InputError(f"a surface needs two voxels along each axis, not {pore.shape}")
    z, y, x = pore.shape
    steps, weights = wall_steps(voxel_size_zyx(voxel_size_nm), (z, y, x))
    counts = np.array([count_crossings(pore, step) for step in steps])
    return float(weights @ (counts[:, 1] / counts[:, 0])) * 1e9


def euler_number(pore: NDArray[np.bool_]) -> int:
    """Euler number of the pores, 6-connected: components minus tunnels plus enclosed grains.

    As if all beyond the volume were solid: right of a body that lies within it. Of a volume that is cut out of a rock
    see `CellMeter.euler_per_voxel`.

    Raises:
        InputError: not a boolean volume.
    """
    check_pore(pore)
    cells = CellMeter()
    for plane in pore:
        cells.add(plane)
    return cells.euler_number()


def pore_diameters(
    pore: NDArray[np.bool_], voxel_size_nm: float | Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distribution of the local thickness: the diameter of the largest ball in the pores that covers each voxel.

    See `local_thickness` for the wall and the balls. Balls are gathered in sizes that do not depend on the pores: half
    of the shortest edge apart or, of wide pores, 3 %; each is given by the mean of its balls. Beyond the faces of the
    volume there is no wall, so that a pore that is cut is taken for one that goes on as far as it can.

    Returns:
        Diameters in nm, ascending, and the share of the pores' volume of each; empty without pores.

    Raises:
        InputError: not a boolean volume, or no solid in it.
    """
    check_pore(pore)
    edges = voxel_size_zyx(voxel_size_nm)
    if pore.all():
        raise InputError("all voxels are pore, so that pores have no size")
    if not pore.any():
        return np.empty(0), np.empty(0)
    diameters, counts = thickness_classes(pore, edges)
    return diameters, counts / counts.sum()
