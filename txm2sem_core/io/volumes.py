"""Volumes [Z, Y, X] of any size: opened lazily from every format, written as TIFF slice by slice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile

from txm2sem_core.errors import InputError
from txm2sem_core.io.atomic import atomic_path
from txm2sem_core.io.finer import finer_volume, split_finer
from txm2sem_core.io.guards import check_declared
from txm2sem_core.io.images import IMAGE_SUFFIXES, read_image
from txm2sem_core.io.ownership import SOFTWARE, read_marks
from txm2sem_core.io.readers.folder import open_folder
from txm2sem_core.io.readers.hdf5 import HDF5_SUFFIXES, open_hdf5, split_dataset
from txm2sem_core.io.readers.mrc import MRC_SUFFIXES, is_packed, open_mrc
from txm2sem_core.io.readers.tiff_stack import open_tiff
from txm2sem_core.io.readers.zeiss import ZEISS_SUFFIXES, open_zeiss
from txm2sem_core.io.tiff import TIFF_SUFFIXES, check_content
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize, size_tags
from txm2sem_core.io.zarr_folders import is_zarr

__all__ = [
    "UNMEASURED",
    "WHOLE_SLICES",
    "Volume",
    "has_volume_suffix",
    "open_volume",
    "ranges_as_text",
    "write_volume_tiff",
    "write_volume_tiffs",
]

UNMEASURED = "unmeasured_value"  # in the marks of a predicted volume: the value where nothing was measured
WHOLE_SLICES = "whole_slices"  # beside it: slices of which all was measured, where that value is a grey level
_CLASSIC_BYTES = 2**32 - 2**25  # of pixels: the tags of the pages need room below 4 GB too

_KNOWN = "a TIFF stack, a folder of TIFF or PNG slices, an OME-Zarr folder, HDF5 (file.h5:/dataset), MRC, or Zeiss .txm"


def open_volume(path: str | Path, channel: int = 0) -> Volume:
    """Open a volume of any format without reading its voxels; `docs/reference/formats.md` says what is read of each.

    Args:
        path: a TIFF, a PNG (one slice), a folder of slices, an OME-Zarr, an HDF5 file or `file.h5:/path/to/dataset`, an
            MRC file, or a Zeiss reconstruction. `PATH:x2` (`:x4`, `:x8`) is any of them on a finer grid, see `finer`.
        channel: of an OME-Zarr with axes c, z, y, x. Ours hold the prediction, then its uncertainty.

    Raises:
        InputError: none of these, empty, damaged, not one grey volume, made of slices that differ or that are not all
            there, or without that channel.
    """
    path, factor = split_finer(path)
    if factor > 1:
        return finer_volume(open_volume(path, channel), factor)
    path, dataset = split_dataset(path)
    if not path.exists():
        if path.is_symlink():
            raise InputError(f"{path}: this symbolic link leads nowhere, or in a circle. Correct or remove it.")
        raise InputError(f"{path}: there is no such file or folder. Check the path.")
    if is_zarr(path):
        from txm2sem_core.io.readers.zarr_volume import open_zarr

        return _with_statement(open_zarr(path, channel), path) if channel == 0 else open_zarr(path, channel)
    if channel:
        raise InputError(f"{path}: channel {channel} was asked, but only an OME-Zarr has channels.")
    return open_folder(path) if path.is_dir() else _open_file(path, dataset)


def has_volume_suffix(path: Path) -> bool:
    """Whether a file is by its name a volume, of a format that holds no single images."""
    file, _ = split_dataset(split_finer(path)[0])
    return file.suffix.lower() in (*HDF5_SUFFIXES, *MRC_SUFFIXES, *ZEISS_SUFFIXES) or is_packed(file)


def _open_file(path: Path, dataset: str | None) -> Volume:
    suffix = path.suffix.lower()
    if suffix in TIFF_SUFFIXES:
        return _with_statement(open_tiff(path), path)
    if suffix in IMAGE_SUFFIXES:
        return Volume.of_array(read_image(path)[None], source=str(path))
    if suffix in HDF5_SUFFIXES:
        check_content(path, "HDF5")
        return open_hdf5(path, dataset)
    if suffix in MRC_SUFFIXES or is_packed(path):
        check_content(path)
        volume = open_mrc(path)
        check_declared(path, volume.shape, volume.dtype.itemsize, path.stat().st_size)
        return volume
    if suffix in ZEISS_SUFFIXES:
        check_content(path, "Zeiss or Microsoft compound")
        return open_zeiss(path)
    raise InputError(f"{path}: a volume is {_KNOWN}.")


def _with_statement(volume: Volume, path: Path) -> Volume:
    """The volume with what its marks state of what was measured, if it is a prediction of ours."""
    marks = read_marks(path)
    if "result_sha256" not in marks:
        return volume
    try:
        value = float(marks.get(UNMEASURED, math.nan))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path}: {UNMEASURED} = {marks[UNMEASURED]} in it is no grey level. Make it again."
        ) from error
    whole = _ranges(str(marks.get(WHOLE_SLICES, "")))
    return replace(volume, stated=True, unmeasured=None if math.isnan(value) else value, whole=whole)


def ranges_as_text(numbers: Sequence[int]) -> str:
    """Ascending numbers as `0-8,10`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ranges)


def _ranges(text: str) -> tuple[range, ...]:
    """The inverse, as ranges; what is no such text says nothing."""
    parts = [part.partition("-") for part in text.split(",") if part]
    if not all(first.isdecimal() and (last or first).isdecimal() for first, _, last in parts):
        return ()
    return tuple(range(int(first), int(last or first) + 1) for first, _, last in parts)


def write_volume_tiff(
    path: str | Path, slices: Iterable[np.ndarray], voxel_size_nm: VoxelSize | None, depth: int | None = None
) -> None:
    """Write slices [Y, X] as one TIFF stack, one after the other, atomically; `depth` as in `write_volume_tiffs`."""
    write_volume_tiffs([path], (plane[None] for plane in slices), voxel_size_nm, depth)


def write_volume_tiffs(
    paths: Sequence[str | Path],
    slices: Iterable[np.ndarray],
    voxel_size_nm: VoxelSize | None,
    depth: int | None = None,
    *,
    marks: Mapping[str, object] | None = None,
    overwrite: bool = True,
) -> None:
    """Write slices [C, Y, X] as C TIFF stacks, side by side; all appear when all are whole.

    Args:
        paths: C files.
        slices: in the order of z.
        voxel_size_nm: (Z, Y, X).
        depth: number of slices, where it is known before. Then a stack of less than 4 GB is a classic TIFF, which
            ImageJ opens; else it is a BigTIFF, which ImageJ opens through Bio-Formats alone.
        marks: words without spaces, which stand in the tag `Software` (see `ownership.read_marks`).
        overwrite: whether files of ours are replaced.
    """
    options = size_tags(voxel_size_nm)
    if marks:
        options["software"] = " ".join([SOFTWARE, *(f"{key}={value}" for key, value in marks.items())])
    planes = iter(slices)
    first = list(itertools.islice(planes, 1))
    big = depth is None or any(plane[0].nbytes * depth > _CLASSIC_BYTES for plane in first)
    with ExitStack() as whole, ExitStack() as opened:
        files = [whole.enter_context(atomic_path(path, overwrite=overwrite)) for path in paths]
        writers = [opened.enter_context(tifffile.TiffWriter(file, bigtiff=big)) for file in files]
        for channels in itertools.chain(first, planes):
            for writer, plane in zip(writers, channels, strict=True):
                writer.write(plane, photometric="minisblack", contiguous=True, **options)
