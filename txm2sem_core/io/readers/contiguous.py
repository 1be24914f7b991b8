"""Voxels that are contiguous in a file, uncompressed, as in most TIFF stacks and in MRC files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import FileIO
from pathlib import Path

import numpy as np

from txm2sem_core.io.guards import Handle
from txm2sem_core.io.tiff import to_kept
from txm2sem_core.runtime.allocator import empty_unpooled

Reader = tuple[Callable[[int, int], np.ndarray], Callable[[], None]]


def contiguous_reader(path: Path, offset: int, shape: tuple[int, int, int], dtype: np.dtype) -> Reader:
    """A reader of slices z0 to z1 - 1, and what closes its file.

    Args:
        path: the file.
        offset: of the first voxel, in bytes.
        shape: (Z, Y, X).
        dtype: as stored, with its byte order.
    """
    _, height, width = shape
    handle: Handle[FileIO] = Handle(partial(FileIO, path), lambda file: file.close())

    def read(z0: int, z1: int) -> np.ndarray:
        slab = empty_unpooled((z1 - z0, height, width), dtype)
        with handle.use() as file:
            file.seek(offset + z0 * height * width * dtype.itemsize)
            found = _read_into(file, slab)
        if found != slab.nbytes:
            raise OSError(f"cut short: {found} of {slab.nbytes} bytes")
        return to_kept(slab)

    return read, handle.close


def _read_into(file: FileIO, slab: np.ndarray) -> int:
    """Fill the slab; one call reads at most 2 GiB."""
    memory, done = slab.view(np.uint8).reshape(-1).data, 0
    while done < slab.nbytes and (n := file.readinto(memory[done:])):
        done += n
    return done
