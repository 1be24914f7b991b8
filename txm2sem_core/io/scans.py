"""Several scans of one rock on one grid, as a volume with further ones beside it (`Volume.further`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.arrays import ArrayLike, volume_of
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize


def with_further(volume: Volume, others: Iterable[Volume]) -> Volume:
    """The first scan with further ones beside it; its mask of what was measured holds for all.

    Args:
        volume: the first scan [Z, Y, X].
        others: the second and on, of the same shape; their types may differ.

    Raises:
        InputError: one has another shape.
    """
    further = tuple(others)
    for number, other in enumerate(further, start=2):
        if other.shape != volume.shape:
            raise InputError(
                f"{other.source} has the shape {other.shape} and {volume.source} {volume.shape} (Z, Y, X): scan "
                f"{number} must lie on the grid of the first. Export both alike."
            )
    if volume.mask is not None:
        further = tuple(replace(other, mask=volume.mask) for other in further)
    return replace(volume, further=further)


def scans_of(array: ArrayLike, voxel_size_nm: VoxelSize | None = None) -> Volume:
    """An array [E, Z, Y, X] of E scans as the first of them with the others beside it.

    Args:
        array: of NumPy, dask or zarr, or anything with shape, dtype and slicing.
        voxel_size_nm: (Z, Y, X).

    Raises:
        InputError: it has not four axes; else as `volume_of`.
    """
    if len(array.shape) != 4 or min(array.shape) < 1:
        raise InputError(f"scans [E, Z, Y, X] are needed, the array has shape {tuple(array.shape)}. Give four axes.")
    scans = [volume_of(_Scan(array, number), voxel_size_nm) for number in range(array.shape[0])]
    named = [replace(scan, source=f"array[{number}]") for number, scan in enumerate(scans)]
    return with_further(named[0], named[1:])


class _Scan:
    """One scan of an array [E, Z, Y, X], of which nothing is read before it is asked for."""

    def __init__(self, array: ArrayLike, number: int) -> None:
        self._array, self._number = array, number
        self.shape = tuple(array.shape)[1:]
        self.dtype = np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None)
        if chunks:
            self.chunks = chunks[1:]

    def __getitem__(self, key: Any, /) -> Any:
        return self._array[(self._number, *(key if isinstance(key, tuple) else (key,)))]
