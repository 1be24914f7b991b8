"""A volume as a folder with one TIFF or PNG a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.guards import Fingerprint
from txm2sem_core.io.images import list_images, plane_header, read_image, read_voxel_size_nm
from txm2sem_core.io.sequence import slice_order
from txm2sem_core.io.volume import Volume


def open_folder(path: Path) -> Volume:
    """Open a folder of slices, from their headers; other files (`Thumbs.db`) and hidden ones are passed over.

    Raises:
        InputError: no image, slices that differ in shape or type or hold several pages, a missing number.
    """
    files = list_images(path)
    before = Fingerprint.of(*files)
    first = plane_header(files[0])
    for file in files:
        header = plane_header(file)
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

    def read(z0: int, z1: int) -> np.ndarray:
        before.check(*files[z0:z1])
        return np.stack([_read(file, first.shape) for file in files[z0:z1]])

    shape = (len(files), first.shape[-2], first.shape[-1])
    return Volume(shape, first.dtype, read_voxel_size_nm(files[0]), str(path), read)


def _read(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    plane = read_image(file)
    if plane.shape != shape[-2:]:
        raise InputError(f"{file}: shape {plane.shape}, its header says {shape[-2:]}. Export it again.")
    return plane
