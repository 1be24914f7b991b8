"""A coarser level of a volume of ours: for pictures that have fewer pixels than the volume, never for measuring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from txm2sem_core.errors import InputError
from txm2sem_core.io.ownership import is_own_volume
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.zarr_folders import is_zarr
from txm2sem_core.io.zarr_levels import Shape, level_shapes


@dataclass(frozen=True)
class Level:
    """A level of a volume, and how many voxels of the volume, along each axis, one of its voxels is the mean of."""

    volume: Volume
    factor: int

    def index(self, position: int) -> int:
        """The slice of this level that holds a slice of the volume."""
        return min(position // self.factor, self.volume.shape[0] - 1)

    def length(self, voxels: int) -> int:
        """How many voxels of this level cover so many of the volume."""
        return -(-voxels // self.factor)


def coarsest_level(volume: Volume, path: Path, channel: int, z_step: int, least_yx: tuple[int, int]) -> Level:
    """The coarsest level with enough voxels; the volume itself where it has no such level, or is none of ours.

    A user's mask of what was measured fits the volume alone, so a volume that has one is taken itself. A voxel of a
    level that is the mean of measured and unmeasured ones counts as measured, unless it is NaN.

    Args:
        volume: as it was opened.
        path: where it lies.
        channel: of it.
        z_step: slices of the volume that are this far apart must be different slices of the level.
        least_yx: pixels (Y, X) that a slice needs at least.
    """
    whole = Level(volume, 1)
    if volume.mask is not None or not (is_zarr(path) and is_own_volume(path)):
        return whole
    for number, shape in reversed(list(enumerate(level_shapes(volume.shape)))[1:]):
        factor = 2**number
        if factor <= z_step and shape[1] >= least_yx[0] and shape[2] >= least_yx[1]:
            found = _opened(volume, path, channel, number, shape)
            return whole if found is None else Level(found, factor)
    return whole


def coarser_levels(path: Path, channel: int) -> list[Volume]:
    """The coarser levels of a volume of ours, the finest of them first; none of any other."""
    if not (is_zarr(path) and is_own_volume(path)):
        return []
    from txm2sem_core.io.readers.zarr_volume import open_zarr

    shapes = level_shapes(open_zarr(path, channel).shape)
    return [open_zarr(path, channel, level) for level in range(1, len(shapes))]


def _opened(volume: Volume, path: Path, channel: int, number: int, shape: Shape) -> Volume | None:
    """A level, with what the volume states of what was measured; None where it is not there, or not as we write it."""
    from txm2sem_core.io.readers.zarr_volume import open_zarr

    try:
        level = open_zarr(path, channel, number)
    except InputError:  # the volume itself may still be whole
        return None
    if (level.shape, level.dtype) != (shape, volume.dtype):
        return None
    factor, depth = 2**number, volume.shape[0]
    whole = tuple(
        range(-(-each.start // factor), shape[0] if each.stop >= depth else each.stop // factor)
        for each in volume.whole
    )
    return replace(level, stated=volume.stated, unmeasured=volume.unmeasured, whole=whole)
