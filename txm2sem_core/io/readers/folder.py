"""A volume as a folder with one TIFF or PNG a slice."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.guards import Fingerprint
from txm2sem_core.io.images import PlaneHeader, list_images, plane_header, read_plane
from txm2sem_core.io.sequence import slice_order
from txm2sem_core.io.volume import Volume

_SAME_SIZE = 0.01  # what two tags of one size may differ by, which a microscope rounds or corrects


def open_folder(path: Path) -> Volume:
    """Open a folder of slices, from their headers; other files (`Thumbs.db`) and hidden ones are passed over.

    The voxel size is that of the first slice; a warning names the first whose own differs from it.

    Raises:
        InputError: no image, slices that differ in shape or type or hold several pages, a missing number.
    """
    files = list_images(path)
    before = Fingerprint.of(*files)
    headers = {file: plane_header(file) for file in files}
    first = headers[files[0]]
    for file, header in headers.items():
        if header.pages > 1:
            raise InputError(
                f"{file}: one plane [Y, X] is needed in each file of a folder, this one has {header.pages}. Give the "
                "stack itself, or split it."
            )
        if (header.shape, header.dtype) != (first.shape, first.dtype):
            raise InputError(
                f"{file}: {header.dtype} of shape {header.shape}, but {files[0].name} is {first.dtype} of shape "
                f"{first.shape}. All slices of a volume must agree."
            )
    files = slice_order(files)
    _say_other_sizes(files[0], headers)

    def read(z0: int, z1: int) -> np.ndarray:
        before.check(*files[z0:z1])
        return np.stack([_read(file, first.shape) for file in files[z0:z1]])

    shape = (len(files), first.shape[-2], first.shape[-1])
    return Volume(shape, first.dtype, headers[files[0]].voxel_size_nm, str(path), read)


def _say_other_sizes(first: Path, headers: Mapping[Path, PlaneHeader]) -> None:
    """Warn of the first slice whose tags say another voxel size than those of `first`, by more than a hundredth."""
    taken = headers[first].voxel_size_nm
    for file, header in headers.items():
        pairs = zip(taken or (None, None, None), header.voxel_size_nm or (None, None, None), strict=True)
        if any(a is not None and b is not None and abs(b / a - 1) > _SAME_SIZE for a, b in pairs):
            warnings.warn(
                f"{file}: by its tags a voxel is {header.voxel_size_nm} nm (z, y, x), but {first.name} says {taken} "
                "nm, which is taken for all slices. Export them at one magnification, or give the size yourself "
                "(--voxel-size-nm, or the sample table).",
                stacklevel=3,
            )
            return


def _read(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    plane = read_plane(file)
    if plane.shape != shape[-2:]:
        raise InputError(f"{file}: shape {plane.shape}, its header says {shape[-2:]}. Export it again.")
    return plane
