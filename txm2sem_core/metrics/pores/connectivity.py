"""Which pores are connected, and checks shared by the metrics of a pore space.

Voxels are neighbours where they share a side (6-connectivity): flow and diffusion on voxels cross sides only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError


def check_pore(pore: NDArray[np.bool_], axis: int | None = None) -> None:
    """Refuse what is no boolean volume `[Z, Y, X]`, and an axis that it has not.

    Raises:
        InputError: with what is wrong.
    """
    if pore.dtype != np.bool_ or pore.ndim != 3 or pore.size == 0:
        raise InputError(f"a pore space is a boolean array [Z, Y, X] with voxels, not {pore.dtype} {pore.shape}")
    if axis is not None and axis not in (0, 1, 2):
        raise InputError(f"axis is {axis!r}; it must be 0, 1 or 2, for z, y or x")


def voxel_size_zyx(voxel_size_nm: float | Sequence[float]) -> tuple[float, float, float]:
    """Voxel edges (z, y, x) in nanometres, of one edge for all or of three.

    Raises:
        InputError: not one or three positive finite numbers.
    """
    edges = np.atleast_1d(np.asarray(voxel_size_nm, dtype=np.float64))
    if edges.shape not in ((1,), (3,)) or not (np.isfinite(edges).all() and (edges > 0).all()):
        raise InputError(f"voxel_size_nm is {voxel_size_nm!r}; it must be one or three (z, y, x) positive numbers")
    z, y, x = np.broadcast_to(edges, 3).tolist()
    return z, y, x


def percolating(pore: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """The pores `[Z, Y, X]` that join the two faces of an axis through common sides of voxels.

    Memory: 5 bytes a voxel beside the input.

    Raises:
        InputError: see `check_pore`.
    """
    from scipy import ndimage

    check_pore(pore, axis)
    labels = ndimage.label(pore)[0]
    ends = np.moveaxis(labels, axis, 0)
    through = np.intersect1d(ends[0], ends[-1])
    keep = np.zeros(int(labels.max()) + 1, dtype=np.bool_)
    keep[through] = True
    keep[0] = False
    return keep[labels]


def connected_porosity(pore: NDArray[np.bool_], axis: int) -> float:
    """Share of the volume in pores that connect the two faces of an axis; see `percolating`."""
    return float(percolating(pore, axis).mean())
