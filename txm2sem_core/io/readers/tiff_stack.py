"""A volume in one TIFF: classic or BigTIFF, OME-TIFF, ImageJ's, striped or tiled, compressed or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

from txm2sem_core.errors import InputError
from txm2sem_core.io.guards import Fingerprint, Handle, check_declared
from txm2sem_core.io.readers.contiguous import Reader, contiguous_reader
from txm2sem_core.io.stated_levels import Calibration, imagej_calibration
from txm2sem_core.io.tiff import (
    DAMAGE,
    check_content,
    check_description,
    check_grey,
    check_whole,
    damaged,
    grey_levels,
    kept_dtype,
    opened_tiff,
    page_pixels,
)
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize, imagej_lines, tiff_voxel_size_nm

_DEPTH = "ZIQ"  # tifffile's names of the axis along which pages follow each other; I and Q: nobody says what it is
_MOST_CHANNELS = 4
_OTHER = {"C": "channels", "T": "points in time", "S": "colours", "R": "positions", "M": "tiles"}


class _Layout(NamedTuple):
    """What is kept of a TIFF between reads."""

    shape: tuple[int, int, int]
    dtype: np.dtype  # as stored, with its byte order
    voxel_size_nm: VoxelSize | None
    offset: int | None  # of the first voxel where all voxels are contiguous and uncompressed
    pages: Sequence[int]  # of each slice, else
    calibration: Calibration | None  # of what is stored


def open_tiff(path: Path) -> Volume:
    """Open a grey stack; pixels are read slice by slice, straight from the file where they are contiguous.

    Raises:
        InputError: damaged, in colour, of several channels, times, images or files, of pages that differ, or with XML
            that declares entities.
    """
    check_content(path, "TIFF")
    before = Fingerprint.of(path)
    try:
        with opened_tiff(path) as tiff:
            layout = _layout(path, tiff, before.stats[path][0])
    except DAMAGE as error:
        raise damaged(path, error, "this TIFF") from error
    dtype = kept_dtype(layout.dtype)
    if dtype is None:
        raise InputError(f"{path}: pixels of type {layout.dtype} are not supported. Export as 8, 16 or 32 bit.")
    if layout.offset is not None:
        read, close = contiguous_reader(path, layout.offset, layout.shape, layout.dtype)
    else:
        read, close = _by_page(path, layout)

    def checked(z0: int, z1: int) -> np.ndarray:
        try:
            slab = read(z0, z1)
        except DAMAGE as error:
            before.check()
            raise damaged(path, error, f"slices {z0} to {z1 - 1}") from error
        before.check()
        return slab if layout.calibration is None else layout.calibration.apply(slab)

    if layout.calibration is not None:
        dtype = layout.calibration.dtype(dtype)
    return Volume(layout.shape, dtype, layout.voxel_size_nm, str(path), checked, _close=close)


def _layout(path: Path, tiff: tifffile.TiffFile, size: int) -> _Layout:
    check_whole(tiff)
    check_description(path, tiff)
    first = tiff.pages.first
    check_grey(path, first)
    series = _only_series(path, tiff)
    shape = _shape(path, _axes(tiff, series), series.shape)
    dtype = np.dtype(series.dtype)
    check_declared(path, shape, dtype.itemsize, size)
    voxel_size_nm = tiff_voxel_size_nm(tiff)
    calibration = imagej_calibration(path, tiff, imagej_lines(tiff))
    inverted = first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    offset = series.dataoffset
    if offset is not None and not inverted and first.bitspersample == 8 * dtype.itemsize:
        if offset + math.prod(shape) * dtype.itemsize > size:
            raise tifffile.TiffFileError(f"cut short: it should hold {shape[0]} slices")
        return _Layout(shape, dtype.newbyteorder(tiff.byteorder), voxel_size_nm, offset, (), calibration)
    pages = [None if page is None else page.index for page in series.pages]
    if len(pages) != shape[0] or None in pages:
        raise InputError(
            f"{path}: its metadata announce {shape[0]} slices, of which some are not in the file. Export it again."
        )
    numbers = [index if isinstance(index, int) else -1 for index in pages]
    if min(numbers) < 0:
        raise InputError(f"{path}: its slices are pages within pages. Export it as a plain stack.")
    consecutive = range(numbers[0], numbers[0] + len(numbers))
    in_order = consecutive if numbers == list(consecutive) else numbers
    return _Layout(shape, dtype, voxel_size_nm, None, in_order, calibration)


def _only_series(path: Path, tiff: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The one image of the file.

    Raises:
        InputError: pages differ, or there are several images; taking one would lose slices without a word.
    """
    try:
        series = tiff.series
    except RuntimeError as error:
        raise InputError(
            f"{path}: its pages differ in shape, type or compression ({error}). Slices of a volume must agree."
        ) from error
    if tiff.is_ome and series and series[0].kind != "ome":
        raise InputError(f"{path}: its OME-XML does not fit its pages. Export it again, or as plain TIFF.")
    if len(series) != 1:
        kinds = ", ".join(sorted({f"{one.dtype} of shape {one.shape}" for one in series})[:3])
        raise InputError(
            f"{path}: it holds {len(series)} images or kinds of pages ({kinds}). Export the volume alone, with slices "
            "that agree."
        )
    return series[0]


def _axes(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> str:
    """Axes of the image, where ImageJ's stacks of slices that pass for channels or frames have Z.

    Programs that know ImageJ's format but not its axes count slices as channels, or as frames. What has a distance
    between slices has slices; and nobody has more than four channels and no z.
    """
    axes: str = series.axes
    along = [axis for axis, n in zip(axes, series.shape, strict=True) if axis not in "YX" and n > 1]
    if series.kind == "imagej" and along in (["C"], ["T"]):
        spaced = "spacing" in (tiff.imagej_metadata or {})
        if spaced or (along == ["C"] and series.shape[axes.index("C")] > _MOST_CHANNELS):
            return axes.replace("Z", "I").replace(along[0], "Z")
    return axes


def _shape(path: Path, axes: str, sizes: Sequence[int]) -> tuple[int, int, int]:
    """(Z, Y, X) of axes such as `TCZYX`; axes of length 1 are passed over."""
    depth = [(axis, n) for axis, n in zip(axes, sizes, strict=True) if axis not in "YX" and n > 1]
    lengths = dict(zip(axes, sizes, strict=True))
    if not axes.endswith("YX"):
        raise InputError(f"{path}: axes {axes} of shape {tuple(sizes)}; a grey stack [Z, Y, X] is needed.")
    for axis, n in depth:
        if axis in _OTHER:
            raise InputError(
                f"{path}: it has {n} {_OTHER[axis]} (axes {axes}, shape {tuple(sizes)}); a grey stack [Z, Y, X] is "
                "needed. Export one of them; where they are slices, say so (in ImageJ: Image > Hyperstacks > Re-order "
                "Hyperstack)."
            )
    if len(depth) > 1:
        raise InputError(f"{path}: axes {axes} of shape {tuple(sizes)}; a grey stack [Z, Y, X] is needed.")
    return (depth[0][1] if depth else 1, lengths["Y"], lengths["X"])


def _by_page(path: Path, layout: _Layout) -> Reader:
    """Reads slices that are pages, decoding each."""
    handle = Handle(partial(opened_tiff, path), lambda tiff: tiff.close())

    def read(z0: int, z1: int) -> np.ndarray:
        with handle.use() as tiff:
            return np.stack([_page(path, tiff, layout, z) for z in range(z0, z1)])

    return read, handle.close


def _page(path: Path, tiff: tifffile.TiffFile, layout: _Layout, z: int) -> np.ndarray:
    page = tiff.pages[layout.pages[z]]
    if not isinstance(page, tifffile.TiffPage) or page.shape != layout.shape[1:] or page.dtype != layout.dtype:
        raise InputError(
            f"{path}: slice {z} is {page.dtype} of shape {page.shape}, the first is {layout.dtype} of shape "
            f"{layout.shape[1:]}. All slices of a volume must agree."
        )
    check_grey(path, page)
    return grey_levels(page, page_pixels(page))
