"""Arrays of other libraries as volumes: NumPy, dask, zarr, xarray. What lies on disk is read as it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.blocks import by_blocks
from txm2sem_core.io.lengths import in_nm
from txm2sem_core.io.tiff import kept_dtype, to_kept
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize

_AXES = ("z", "y", "x")


class ArrayLike(Protocol):
    """What all of them have."""

    @property
    def shape(self) -> Sequence[int]:
        """Lengths along the axes."""

    @property
    def dtype(self) -> Any:
        """Type of the values, as NumPy knows it."""

    def __getitem__(self, key: Any, /) -> Any:
        """A part."""


def volume_of(array: ArrayLike, voxel_size_nm: VoxelSize | None = None) -> Volume:
    """An array [Z, Y, X] as a volume.

    Args:
        array: of NumPy, dask, zarr or xarray, or anything with shape, dtype and slicing. An xarray needs the dimensions
            z, y and x, in any order.
        voxel_size_nm: (Z, Y, X). Of an xarray whose coordinates have a `units` attribute, their spacing if not given.

    Raises:
        InputError: not three axes, none of them z, y, x, no voxel, or a type that is no grey level.
    """
    dims = getattr(array, "dims", None)
    if dims is not None:
        array, voxel_size_nm = _of_xarray(array, dims, voxel_size_nm)
    shape, dtype = tuple(array.shape), kept_dtype(np.dtype(array.dtype))
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"a volume [Z, Y, X] is needed, the array has shape {shape}. Give one with three axes.")
    if dtype is None:
        raise InputError(f"an array of type {array.dtype} holds no grey levels. Give one of 8, 16 or 32 bit.")

    def read(z0: int, z1: int) -> np.ndarray:
        return to_kept(np.asarray(array[z0:z1]))

    chunks = getattr(array, "chunks", None)
    first = chunks[0] if chunks else 1  # dask has a length for each chunk, zarr one for all
    thickness = max(first) if isinstance(first, tuple) else int(first)
    kept = by_blocks(read, shape[0], thickness, shape[1] * shape[2] * dtype.itemsize)
    return Volume((shape[0], shape[1], shape[2]), dtype, voxel_size_nm, "array", kept, thickness=thickness)


def _of_xarray(array: Any, dims: Sequence[Any], voxel_size_nm: VoxelSize | None) -> tuple[Any, VoxelSize | None]:
    """The data behind an xarray in the order z, y, x, and its voxel size."""
    names = {str(dim).lower(): dim for dim in dims}
    if set(names) != set(_AXES) or len(dims) != len(_AXES):
        raise InputError(
            f"an xarray with the dimensions z, y and x is needed, this one has {', '.join(map(str, dims)) or 'none'}. "
            "Select one of each other, and rename the rest."
        )
    ordered = [names[axis] for axis in _AXES]
    sizes = voxel_size_nm or (_spacing(array, ordered[0]), _spacing(array, ordered[1]), _spacing(array, ordered[2]))
    return array.transpose(*ordered).data, sizes


def _spacing(array: Any, dim: Any) -> float | None:
    """Distance of an axis's coordinates in nm, where they are evenly spaced and say their unit."""
    if dim not in array.coords or array.sizes[dim] < 2:
        return None
    coordinates = array.coords[dim]
    steps = np.diff(np.asarray(coordinates, dtype=float))
    if not np.allclose(steps, steps[0], rtol=1e-3):
        return None
    return in_nm(abs(float(steps.mean())), coordinates.attrs.get("units"))
