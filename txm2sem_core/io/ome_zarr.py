"""OME-Zarr volumes with axes z, y, x in nanometres, or c, z, y, x: metadata, and writing one.

They are of version 0.5 (NGFF 0.5 on zarr 3), or where it is asked for 0.4 (on zarr 2).

An axis whose voxel size is not known has the scale 1 and no unit. The arrays themselves are in `zarr_levels`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.atomic import atomic_path, remove
from txm2sem_core.io.voxel_sizes import VoxelSize
from txm2sem_core.io.zarr_levels import UNIT_Z, Version, ZarrLevels

_WINDOW_PERCENTILES = (0.5, 99.5)  # black and white in viewers


@dataclass(frozen=True)
class Channel:
    """A channel of a volume, and how viewers show it at first."""

    label: str
    colour: str = "FFFFFF"  # RGB, hexadecimal
    shown: bool = True
    from_zero: bool = False  # the grey scale starts at 0, else at a low percentile


def write_ome_zarr(
    path: str | Path,
    slices: Iterable[np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype | type,
    voxel_size_nm: VoxelSize | None,
    attributes: Mapping[str, Any] | None = None,
    channels: Sequence[Channel] = (),
    version: Version = "0.5",
    block_px: int = 1,
) -> None:
    """Write slices, one after the other, as OME-Zarr, atomically; memory holds `UNIT_Z` slices.

    Args:
        path: the folder.
        slices: [Y, X], or [C, Y, X] with channels, in the order of z.
        shape: (Z, Y, X).
        dtype: of the voxels.
        voxel_size_nm: (Z, Y, X).
        attributes: what stands beside the OME metadata.
        channels: C of them, or none.
        version: of OME-Zarr.
        block_px: voxels of another volume, along each axis, that one of these stands for: its centre is theirs.

    Raises:
        InputError: fewer or more slices than `shape` says.
    """
    path = Path(path)
    with atomic_path(path) as temporary, _scratch(temporary) as scratch:
        levels = ZarrLevels(temporary, shape, np.dtype(dtype), len(channels), scratch, version)
        given = iter(slices)
        for unit in levels.units(0):
            planes = list(itertools.islice(given, unit.z1 - unit.z0))
            if len(planes) < unit.z1 - unit.z0:
                there = unit.z0 + len(planes)
                raise InputError(f"{path}: {there} slices were given along z, {shape[0]} were announced.")
            levels.write(0, [((slice(unit.z0, unit.z1), slice(None), slice(None)), np.stack(planes, axis=-3))])
        if next(given, None) is not None:
            raise InputError(f"{path}: more slices were given along z than the {shape[0]} that were announced.")
        for level in range(1, len(levels.shapes)):
            for unit in levels.units(level):
                levels.write(level, levels.halve(level, unit))
        write_metadata(levels, path, voxel_size_nm, channels, attributes or {}, block_px)


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    scratch = beside.with_name(f"{beside.name}.writing")
    try:
        yield scratch
    finally:
        remove(scratch)


def write_metadata(
    levels: ZarrLevels,
    path: Path,
    voxel_size_nm: VoxelSize | None,
    channels: Sequence[Channel],
    attributes: Mapping[str, Any],
    block_px: int = 1,
) -> None:
    """Turn levels that are whole into a volume, by its OME metadata; `attributes` go beside them.

    Args:
        levels: all of them written.
        path: what the volume will be called; its name stands in the metadata.
        voxel_size_nm: (Z, Y, X).
        channels: as many as the levels have.
        attributes: JSON values.
        block_px: as of `write_ome_zarr`.
    """
    sizes = voxel_size_nm or (None, None, None)
    datasets = [
        {"path": str(level), "coordinateTransformations": _transforms(levels, level, sizes, block_px)}
        for level in range(len(levels.shapes))
    ]
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] * bool(channels) + [
        {"name": axis, "type": "space"} | ({} if size is None else {"unit": "nanometer"})
        for axis, size in zip("zyx", sizes, strict=True)
    ]
    name = path.name.removesuffix(".ome.zarr")
    multiscale: dict[str, Any] = {"name": name, "axes": axes, "datasets": datasets, "type": "mean"}
    ome: dict[str, Any] = {"multiscales": [multiscale]}
    if channels:
        ome["omero"] = {"channels": [_shown(levels, i, channel) for i, channel in enumerate(channels)]}
    # `txm2sem` is also the mark by which the volume is known as ours
    values: dict[str, Any] = {"txm2sem": {}, **attributes}
    if levels.version == "0.5":
        values["ome"] = {"version": "0.5", **ome}
    else:
        multiscale["version"] = "0.4"
        values |= ome
    import zarr

    zarr.open_group(levels.path, mode="r+").attrs.put(values)


def _transforms(levels: ZarrLevels, level: int, voxel_size_nm: VoxelSize, block_px: int) -> list[dict[str, Any]]:
    finer = levels.shapes[:level]
    factors = [2 ** sum(shape[axis] > 1 for shape in finer) for axis in range(3)]  # one voxel is not halved
    sizes = [1.0 if size is None else float(size) for size in voxel_size_nm]
    scale = [size * factor for size, factor in zip(sizes, factors, strict=True)]
    # the centre of a mean of f voxels lies (f - 1) / 2 voxels beyond the centre of the first
    shift = [size * (factor - 1 / block_px) / 2 for size, factor in zip(sizes, factors, strict=True)]
    several = bool(levels.channels)
    return [
        {"type": "scale", "scale": [1.0] * several + scale},
        {"type": "translation", "translation": [0.0] * several + shift},
    ]


def _shown(levels: ZarrLevels, index: int, channel: Channel) -> dict[str, Any]:
    """A channel as viewers expect it, its grey scale from the middle slices of the coarsest level."""
    array = levels.array(len(levels.shapes) - 1)
    middle = array.shape[1] // 2
    pixels = np.asarray(array[index, max(0, middle - UNIT_Z // 2) : middle + UNIT_Z // 2])
    low, high = (float(value) for value in np.percentile(pixels, _WINDOW_PERCENTILES))
    start = 0.0 if channel.from_zero else low
    limits = np.iinfo(levels.dtype) if levels.dtype.kind in "iu" else None
    return {
        "label": channel.label,
        "color": channel.colour,
        "active": channel.shown,
        "coefficient": 1,
        "family": "linear",
        "inverted": False,
        "window": {
            "start": start,
            "end": high if high > start else start + 1,
            "min": float(pixels.min() if limits is None else limits.min),
            "max": float(pixels.max() if limits is None else limits.max),
        },
    }
