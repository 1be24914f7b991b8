"""A volume in OME-Zarr 0.4 or 0.5, or a plain zarr array that names its axes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from txm2sem_core.errors import InputError
from txm2sem_core.io.blocks import by_blocks
from txm2sem_core.io.files import check_within, path_within, read_bytes
from txm2sem_core.io.guards import MOST_DECLARED, Fingerprint, check_declared, check_pieces
from txm2sem_core.io.lengths import in_nm
from txm2sem_core.io.readers.zarr_codecs import bound_codecs, refused_codec
from txm2sem_core.io.readers.zarr_store import FolderStore, is_sound, stored_bytes
from txm2sem_core.io.stated_levels import missing_value, without_missing
from txm2sem_core.io.tiff import DAMAGE, kept_dtype, to_kept
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize
from txm2sem_core.io.zarr_folders import METADATA


def open_zarr(path: Path, channel: int, level: int = 0) -> Volume:
    """Open a level of an OME-Zarr; other axes than c must have length 1. Units are any of length.

    Level 0 is the finest.

    Raises:
        InputError: damaged, no such channel, axes that are not known or not z, y, x in this order, links out of the
            folder, codecs that are not known, or more voxels than its files can hold.
    """
    try:
        array, axes, scale_nm, files = _opened(path, level)
    except (*DAMAGE, zarr.errors.BaseZarrError) as error:
        if "pickle" in str(error):  # zarr knows no such type any more
            raise refused_codec(path, "pickle") from error
        raise InputError(
            f"{path}: this is not a readable OME-Zarr volume ({_reason(error)}). Make it again."
        ) from error
    if [axis for axis in axes if axis in "zyx"] not in (["z", "y", "x"], ["y", "x"]) or len(axes) != array.ndim:
        raise InputError(
            f"{path}: an OME-Zarr with axes z, y, x or c, z, y, x is needed, this has {', '.join(axes) or 'none'} for "
            f"shape {array.shape}."
        )
    for axis, n in zip(axes, array.shape, strict=True):
        if n > 1 and axis not in "czyx":
            raise InputError(
                f"{path}: {n} steps along axis {axis}; an OME-Zarr with axes z, y, x or c, z, y, x is needed. Export "
                "one of them."
            )
    lengths = dict(zip(axes, array.shape, strict=True))
    channels = lengths.get("c", 1)
    if not 0 <= channel < channels:
        raise InputError(f"{path}: channel {channel} was asked, it has {channels}, counted from 0.")
    dtype = kept_dtype(array.dtype)
    if dtype is None:
        raise InputError(f"{path}: voxels of type {array.dtype} are not supported. Save as 8, 16 or 32 bit.")
    shape = (lengths.get("z", 1), lengths["y"], lengths["x"])
    if min(shape) < 1:
        raise InputError(f"{path}: it holds no voxel, its shape is {shape} (Z, Y, X). Make it again.")
    missing = missing_value(str(path), dtype, array.attrs)
    _check_size(path, array, shape)
    bound_codecs(path, array)
    before = Fingerprint.of(*files)

    def read_part(z: slice, y: slice, x: slice) -> np.ndarray:
        position: dict[str, int | slice] = {"c": channel, "z": z, "y": y, "x": x}
        try:
            slab = np.asarray(array[tuple(position.get(axis, 0) for axis in axes)])
        except (*DAMAGE, zarr.errors.BaseZarrError) as error:
            raise InputError(
                f"{path}: slices {z.start} to {z.stop - 1} are damaged ({_reason(error)}). Copy or make it again."
            ) from error
        before.check()
        return without_missing(to_kept(slab if "z" in axes else slab[None]), missing)

    def read(z0: int, z1: int) -> np.ndarray:
        return read_part(slice(z0, z1), slice(None), slice(None))

    thickness = dict(zip(axes, array.chunks, strict=True)).get("z", 1)
    kept = by_blocks(read, shape[0], thickness, shape[1] * shape[2] * dtype.itemsize, before.check)
    return Volume(shape, dtype, scale_nm, str(path), kept, channels, thickness=thickness, _read_part=read_part)


def _check_size(path: Path, array: zarr.Array, shape: tuple[int, int, int]) -> None:
    """Hold what the metadata declare against the memory and the files."""
    check_pieces(path, array.chunks, array.shape, array.dtype.itemsize, "chunk")
    enough = math.prod(shape) * array.dtype.itemsize // MOST_DECLARED + 1
    check_declared(path, shape, array.dtype.itemsize, stored_bytes(path, enough))


def _opened(path: Path, level: int = 0) -> tuple[zarr.Array, Sequence[str], VoxelSize | None, list[Path]]:
    """The array of a level, 0 being the finest, its axes, its voxel size, and the files of metadata that say so.

    Consolidated metadata are never read: a copy that stays old when slices are appended or a scale is corrected.
    """
    if _is_array(path):
        files = [path / name for name in METADATA if (path / name).is_file()]
        array = zarr.open_array(FolderStore(path), mode="r")
        return array, _own_axes(path, array), None, files
    node = zarr.open_group(FolderStore(path), mode="r", use_consolidated=False)
    multiscale = _multiscale(node.attrs)
    if multiscale is None and _multiscale_of_one(node):  # the layout of bioformats2raw: images are groups 0, 1, ...
        check_within(path, path / "0", path, "its image 0")
        return _opened(path / "0", level)
    if multiscale is None:
        arrays = ", ".join(sorted(str(name) for name in node.array_keys())[:5]) or "none"
        raise ValueError(f"it has no OME metadata; its arrays are {arrays}")
    name = str(multiscale["datasets"][level]["path"])
    inner = path_within(path, name, path, "its dataset")
    files = [folder / file for folder in (path, inner) for file in METADATA if (folder / file).is_file()]
    array = zarr.open_array(FolderStore(path), path=name, mode="r", zarr_format=node.metadata.zarr_format)
    if "txm2sem" in node.attrs:
        _check_shards(inner, array)
    axes = [str(axis["name"] if isinstance(axis, Mapping) else axis).lower() for axis in multiscale.get("axes", [])]
    return array, axes, _scale_nm(multiscale, axes, level), files


def _is_array(path: Path) -> bool:
    if is_sound(path, "zarr.json"):
        return bool(json.loads(read_bytes(path / "zarr.json"))["node_type"] == "array")
    return is_sound(path, ".zarray")


def _check_shards(folder: Path, array: zarr.Array) -> None:
    """See that a volume of ours has all its shards, or chunks: zarr reads one that is gone as zeros; we write each.

    Raises:
        ValueError: names the first that is not there, or is empty.
    """
    format_3 = array.metadata.zarr_format == 3
    pieces = array.shards if format_3 else array.chunks
    if pieces is None:
        return
    counts = [-(-n // piece) for n, piece in zip(array.shape, pieces, strict=True)]
    for position in np.ndindex(*counts):
        file = folder.joinpath(*["c"] * format_3, *map(str, position))
        if not file.is_file() or not file.stat().st_size:
            raise ValueError(f"its {'shard' if format_3 else 'chunk'} {file.relative_to(folder.parent)} is missing")


def _multiscale_of_one(node: zarr.Group) -> bool:
    inner = node.get("0")
    return isinstance(inner, zarr.Group) and _multiscale(inner.attrs) is not None and node.get("1") is None


def _multiscale(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    ome = attributes.get("ome", attributes)
    images = ome.get("multiscales") if isinstance(ome, Mapping) else None
    if not images:
        return None
    if len(images) > 1:
        raise ValueError(f"it holds {len(images)} images")
    return images[0]


def _own_axes(path: Path, array: zarr.Array) -> Sequence[str]:
    """Axes of a plain array: zarr 3's dimension names, or xarray's attribute in zarr 2."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    if not names or not all(isinstance(name, str) for name in names):  # type: ignore[union-attr]
        raise InputError(
            f"{path}: a plain zarr array that does not say which axis is z. Write it as OME-Zarr, or give it the "
            "dimension names z, y, x."
        )
    return [str(name).lower() for name in names]  # type: ignore[union-attr]


def _scale_nm(multiscale: Mapping[str, Any], axes: Sequence[str], level: int) -> VoxelSize | None:
    """Voxel size (Z, Y, X) of a level: its scale times that of all levels, in each axis's unit."""
    try:
        scale = np.ones(len(axes))
        for owner in (multiscale["datasets"][level], multiscale):
            for transform in owner.get("coordinateTransformations", []):
                if transform.get("type") == "scale":
                    scale = scale * np.asarray(transform["scale"], float)
        units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in multiscale["axes"]]
        sizes = {axis: in_nm(s, u) for axis, s, u in zip(axes, scale, units, strict=True)}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
    return sizes.get("z"), sizes.get("y"), sizes.get("x")


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
