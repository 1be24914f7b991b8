"""Images and volumes on a finer grid along y and x: each pixel becomes so many of the same value.

So a FIB-SEM slice of finer pixels and the TXM share a grid, on which networks that make an image finer learn from the
TXM as it was measured: means of blocks of pixels give it back, to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize

FACTORS = (2, 4, 8)
_ENDING = re.compile(r":x([248])$")  # of a path


def finer_path(path: str | Path, factor: int) -> str:
    """The path by which `open_volume` opens a volume on a grid finer by this factor."""
    return f"{path}:x{factor}" if factor > 1 else str(path)


def split_finer(path: str | Path) -> tuple[Path, int]:
    """The file or folder of `PATH:x2`, and the factor; 1 where none is named."""
    found = _ENDING.search(str(path))
    if found is None or Path(path).exists():
        return Path(path), 1
    return Path(str(path)[: found.start()]), int(found[1])


def finer_image(image: np.ndarray, factor: int) -> np.ndarray:
    """`[..., Y, X]` as `[..., f Y, f X]`."""
    return image if factor == 1 else image.repeat(factor, axis=-2).repeat(factor, axis=-1)


def finer_size(size: VoxelSize, factor: int) -> VoxelSize:
    """Voxel size (Z, Y, X) on the finer grid."""
    z_nm, *plane = size
    y_nm, x_nm = (None if edge is None else edge / factor for edge in plane)
    return z_nm, y_nm, x_nm


def finer_points(points: np.ndarray, factor: int) -> np.ndarray:
    """Points (x, y) of an image on its finer grid; centres of pixels lie at whole numbers on both."""
    return (points + 0.5) * factor - 0.5


def finer_volume(volume: Volume, factor: int) -> Volume:
    """The volume on the finer grid, with its mask; read as needed."""
    if factor == 1:
        return volume
    depth, height, width = volume.shape
    part: Callable[[slice, slice, slice], np.ndarray] | None = None
    if volume.has_parts:

        def part(z: slice, y: slice, x: slice) -> np.ndarray:
            coarse = [slice(axis.start // factor, -(-axis.stop // factor)) for axis in (y, x)]
            box = finer_image(volume.read_part(z, *coarse), factor)
            own = [
                slice(axis.start - whole.start * factor, axis.stop - whole.start * factor)
                for axis, whole in zip((y, x), coarse, strict=True)
            ]
            return box[:, own[0], own[1]]

    return replace(
        volume,
        shape=(depth, height * factor, width * factor),
        voxel_size_nm=None if volume.voxel_size_nm is None else finer_size(volume.voxel_size_nm, factor),
        mask=None if volume.mask is None else finer_volume(volume.mask, factor),
        further=tuple(finer_volume(other, factor) for other in volume.further),
        finer=volume.finer * factor,
        _read=lambda z0, z1: finer_image(volume.read(z0, z1), factor),
        _read_part=part,
    )
