"""Volumes [Z, Y, X] of any size, read slab by slab."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
import zarr

from txm2sem_core.errors import InputError
from txm2sem_core.io.atomic import atomic_path
from txm2sem_core.io.images import (
    DAMAGE,
    IMAGE_SUFFIXES,
    TIFF_SUFFIXES,
    VoxelSize,
    check_whole,
    image_kind,
    list_images,
    read_image,
    read_voxel_size_nm,
    size_tags,
)
from txm2sem_core.io.ome_zarr import axes_of, first_level, read_scale_nm

_ZARR_AXES = ((3, "zyx"), (3, ""), (4, "czyx"))  # dimensions of the array, and the axes' names


@dataclass(frozen=True)
class Volume:
    """A volume that stays on disk; `read` brings a range of slices into memory."""

    shape: tuple[int, int, int]
    dtype: np.dtype
    voxel_size_nm: VoxelSize | None
    source: str
    _read: Callable[[int, int], np.ndarray]
    channels: int = 1  # of the file; the volume is one of them

    def read(self, z0: int, z1: int) -> np.ndarray:
        """Slices z0 to z1 - 1 as [z1 - z0, Y, X].

        Raises:
            InputError: the range lies outside the volume, or a voxel in it is NaN or infinite.
        """
        if not 0 <= z0 < z1 <= self.shape[0]:
            raise InputError(f"{self.source}: slices {z0} to {z1 - 1} of axis z were asked, it has {self.shape[0]}.")
        slab = self._read(z0, z1)
        if slab.dtype.kind == "f" and not np.isfinite(slab).all():
            raise InputError(f"{self.source}: slices {z0} to {z1 - 1} hold voxels that are NaN or infinite. Fill them.")
        return slab

    def read_around(self, z: int, context: int) -> np.ndarray:
        """Slices z - context to z + context [2 context + 1, Y, X]; the outermost is repeated at the volume's ends."""
        wanted = np.clip(np.arange(z - context, z + context + 1), 0, self.shape[0] - 1)
        slab = self.read(int(wanted[0]), int(wanted[-1]) + 1)
        return slab[wanted - wanted[0]]

    def slices(self) -> Iterator[np.ndarray]:
        """One slice [Y, X] after the other."""
        for z in range(self.shape[0]):
            yield self.read(z, z + 1)[0]

    @classmethod
    def of_array(cls, array: np.ndarray, voxel_size_nm: VoxelSize | None = None) -> Volume:
        """A volume already in memory."""
        if array.ndim != 3:
            raise InputError(f"a volume [Z, Y, X] is needed, the array has shape {array.shape}.")
        shape = (array.shape[0], array.shape[1], array.shape[2])
        return cls(shape, array.dtype, voxel_size_nm, "array", lambda z0, z1: array[z0:z1])


def open_volume(path: str | Path, channel: int = 0) -> Volume:
    """Open a TIFF stack, a folder of slices or an OME-Zarr without reading its voxels; a PNG is one slice.

    Args:
        path: what to open.
        channel: of an OME-Zarr with axes c, z, y, x. Ours hold the prediction, then its uncertainty.

    Raises:
        InputError: not one of these, empty, made of slices that differ in shape or type, or without that channel.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder. Check the path.")
    if path.is_dir() and ((path / "zarr.json").exists() or (path / ".zattrs").exists()):
        return _open_zarr(path, channel)
    if channel:
        raise InputError(f"{path}: channel {channel} was asked, but only an OME-Zarr has channels.")
    if path.is_dir():
        return _open_folder(path)
    if path.suffix.lower() in TIFF_SUFFIXES:
        return _open_tiff(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return replace(Volume.of_array(read_image(path)[None]), source=str(path))
    raise InputError(f"{path}: a volume is a TIFF stack, a folder of TIFF slices, or an OME-Zarr folder.")


def _open_zarr(path: Path, channel: int) -> Volume:
    try:
        group = zarr.open_group(path, mode="r")
        array = group[first_level(group.attrs)]
        axes = axes_of(group.attrs)
        scale = read_scale_nm(group.attrs)
    except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{path}: this is not a readable OME-Zarr volume ({error}). Make it again.") from error
    if not isinstance(array, zarr.Array) or (array.ndim, axes) not in _ZARR_AXES:
        raise InputError(f"{path}: an OME-Zarr with axes z, y, x or c, z, y, x is needed.")
    channels = array.shape[0] if array.ndim == 4 else 1
    if not 0 <= channel < channels:
        raise InputError(f"{path}: channel {channel} was asked, it has {channels}, counted from 0.")
    shape = (array.shape[-3], array.shape[-2], array.shape[-1])

    def read(z0: int, z1: int) -> np.ndarray:
        try:
            return np.asarray(array[channel, z0:z1] if array.ndim == 4 else array[z0:z1])
        except (RuntimeError, ValueError, OSError) as error:
            raise InputError(
                f"{path}: slices {z0} to {z1 - 1} are damaged ({error}). Copy or make it again."
            ) from error

    return Volume(shape, array.dtype, scale, str(path), read, channels)


def _open_folder(path: Path) -> Volume:
    files = list_images(path)
    first = read_image(files[0])
    for file in files[1:]:
        shape, dtype = image_kind(file)
        if shape != first.shape or dtype != first.dtype:
            raise InputError(
                f"{file}: {dtype} of shape {shape}, but {files[0].name} is {first.dtype} of shape {first.shape}. "
                "All slices of a volume must agree."
            )

    def read(z0: int, z1: int) -> np.ndarray:
        return np.stack([read_image(file) for file in files[z0:z1]])

    volume_shape = (len(files), first.shape[0], first.shape[1])
    return Volume(volume_shape, first.dtype, read_voxel_size_nm(files[0]), str(path), read)


def _open_tiff(path: Path) -> Volume:
    voxel_size_nm = read_voxel_size_nm(path)
    try:
        with tifffile.TiffFile(path) as tiff:
            check_whole(tiff)
            series = tiff.series[0]
            shape = tuple(n for n, axis in zip(series.shape, series.axes, strict=True) if n > 1 or axis in "YX")
            dtype, in_colour = series.dtype, "S" in series.axes
    except DAMAGE as error:
        raise InputError(f"{path}: this TIFF cannot be read ({error}). Export it again.") from error
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or in_colour or dtype is None:
        raise InputError(f"{path}: a grey stack [Z, Y, X] is needed, this file has shape {shape}.")

    def read(z0: int, z1: int) -> np.ndarray:
        try:
            with tifffile.TiffFile(path) as tiff:
                pages = tiff.series[0].pages
                if len(pages) == shape[0]:
                    return np.stack([pages[z].asarray() for z in range(z0, z1)])  # type: ignore[union-attr]
                with tiff.series[0].aszarr() as store:  # a stack in one page (ImageJ, > 4 GB)
                    return np.asarray(zarr.open_array(store, mode="r")[z0:z1])
        except (*DAMAGE, RuntimeError) as error:
            raise InputError(f"{path}: slices {z0} to {z1 - 1} cannot be read ({error}). Export it again.") from error

    return Volume((shape[0], shape[1], shape[2]), np.dtype(dtype), voxel_size_nm, str(path), read)


def write_volume_tiff(path: str | Path, slices: Iterable[np.ndarray], voxel_size_nm: VoxelSize | None) -> None:
    """Write slices [Y, X] as one BigTIFF stack, one after the other, atomically."""
    write_volume_tiffs([path], (plane[None] for plane in slices), voxel_size_nm)


def write_volume_tiffs(
    paths: Sequence[str | Path], slices: Iterable[np.ndarray], voxel_size_nm: VoxelSize | None
) -> None:
    """Write slices [C, Y, X] as C BigTIFF stacks, side by side; all appear when all are whole."""
    options = size_tags(voxel_size_nm)
    with ExitStack() as whole, ExitStack() as opened:
        files = [whole.enter_context(atomic_path(path)) for path in paths]
        writers = [opened.enter_context(tifffile.TiffWriter(file, bigtiff=True)) for file in files]
        for channels in slices:
            for writer, plane in zip(writers, channels, strict=True):
                writer.write(plane, photometric="minisblack", contiguous=True, **options)
