"""One greyscale plane a file: TIFF or PNG in, TIFF out."""

from __future__ import annotations

import re
import struct
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import tifffile
from PIL import ExifTags, Image, UnidentifiedImageError

from txm2sem_core.errors import InputError
from txm2sem_core.io.atomic import atomic_path
from txm2sem_core.io.guards import Fingerprint, check_declared, check_fits
from txm2sem_core.io.litter import is_litter
from txm2sem_core.io.microscopes import stated_by_microscope
from txm2sem_core.io.stated_levels import check_upright, imagej_calibration
from txm2sem_core.io.tiff import (
    DAMAGE,
    TIFF_SUFFIXES,
    check_content,
    check_description,
    check_grey,
    check_whole,
    damaged,
    grey_levels,
    is_rgb,
    kept_dtype,
    one_channel,
    opened_tiff,
    page_pixels,
    to_kept,
)
from txm2sem_core.io.voxel_sizes import VoxelSize, imagej_lines, size_tags, tiff_voxel_size_nm

IMAGE_SUFFIXES = (*TIFF_SUFFIXES, ".png")
_DEFLATE_RATIO = 1032
_GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "F")  # of Pillow
PNG_DAMAGE = (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, EOFError, *DAMAGE)


class PlaneHeader(NamedTuple):
    """What the header of an image says."""

    shape: tuple[int, ...]
    dtype: np.dtype
    pages: int = 1
    voxel_size_nm: VoxelSize | None = None


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sorting key that puts `slice9` before `slice10`, and `s01` before `s1` on every file system."""
    parts = re.split(r"(\d+)", path.name)
    # a digit that is no decimal one (as in ²) has no number
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part.lower()) for part in parts], path.name


def list_images(folder: str | Path) -> list[Path]:
    """The images (TIFF, PNG) of a folder in natural order; other files and hidden ones are ignored.

    Raises:
        InputError: there is no such folder, no image in it, or what is named as an image is no file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder. Check the path.")
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not _is_passed_over(p.name)]
    if not found:
        raise InputError(f"{folder}: there is no image ({', '.join(IMAGE_SUFFIXES)}) in this folder.")
    for path in found:
        if path.is_symlink() and not path.exists():
            raise InputError(f"{path}: this symbolic link leads nowhere, or in a circle. Correct or remove it.")
    return sorted((path for path in found if not path.is_dir()), key=natural_key)


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or is_litter(name)


def read_image(path: str | Path) -> np.ndarray:
    """Read one greyscale plane [Y, X] in its own dtype and native byte order; 1-bit images become 0 and 255.

    Raises:
        InputError: missing, empty, unreadable, in colour, of several pages, changed while it was read, larger than the
            bound of `guards.check_fits`, or with NaN or infinite pixels.
    """
    array = read_slice(path)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{path}: {int((~np.isfinite(array)).sum())} pixels are NaN or infinite. Fill or crop them.")
    return array


def read_slice(path: str | Path) -> np.ndarray:
    """As `read_image`, of a slice as an instrument leaves it: pixels that were not measured may be NaN or infinite.

    Raises:
        InputError: as `read_image`, or no pixel is finite.
    """
    array = read_plane(path)
    if array.dtype.kind == "f" and not np.isfinite(array).any():
        raise InputError(f"{path}: {array.size} pixels are NaN or infinite, which is all of it. Save it again.")
    return array


def read_plane(path: str | Path) -> np.ndarray:
    """As `read_image`, whatever the pixels are: of a volume's slice, all may be NaN."""
    path = Path(path)
    _check_file(path)
    before = Fingerprint.of(path)
    try:
        array = _read_tiff(path) if path.suffix.lower() in TIFF_SUFFIXES else _read_png(path)
    except (*PNG_DAMAGE,) as error:
        before.check()
        raise damaged(path, error) from error
    before.check()
    return _checked_plane(path, array)


def plane_header(path: str | Path) -> PlaneHeader:
    """Shape, dtype, number of pages and voxel size of an image from its header alone.

    Raises:
        InputError: missing, empty, in colour, with XML that declares entities, or no readable image.
    """
    path = Path(path)
    _check_file(path)
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            with opened_tiff(path) as tiff:
                page = tiff.pages.first
                check_grey(path, page, rgb=True)
                check_description(path, tiff)
                dtype = kept_dtype(page.dtype) if page.dtype is not None else None
                if (calibration := imagej_calibration(path, tiff, imagej_lines(tiff))) is not None:
                    dtype = calibration.dtype(np.dtype(page.dtype))
                return PlaneHeader(
                    page.shape[:2], dtype or np.dtype(page.dtype), len(tiff.pages), tiff_voxel_size_nm(tiff)
                )
        with _open_png(path) as image:
            wide = image.mode.startswith("I;16")
            dtype = np.dtype({"I": np.int32, "F": np.float32}.get(image.mode, np.uint16 if wide else np.uint8))
            return PlaneHeader((image.height, image.width), dtype)
    except (*PNG_DAMAGE,) as error:
        raise damaged(path, error) from error


def image_kind(path: str | Path) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an image from its header alone.

    Raises:
        InputError: missing, empty, in colour, or no readable image.
    """
    header = plane_header(path)
    return header.shape, header.dtype


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask [Y, X]: True where the image is not zero."""
    return not_zero(read_image(path))


def not_zero(mask: np.ndarray) -> np.ndarray:
    """A mask from the pixels of its file, for all readers of masks: True where not zero; -1 is not zero either."""
    return mask != 0


def _check_file(path: Path) -> None:
    if path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{path}: an image must end in one of {', '.join(IMAGE_SUFFIXES)}.")
    check_content(path, "TIFF" if path.suffix.lower() in TIFF_SUFFIXES else "PNG")


def _read_tiff(path: Path) -> np.ndarray:
    with opened_tiff(path) as tiff:
        check_whole(tiff)
        check_description(path, tiff)
        page = tiff.pages.first
        check_grey(path, page, rgb=True)
        # a stack may be one page and data behind it, which only the series knows
        whole = tiff.series[0].shape[: -1 if is_rgb(page) else None]
        shape = tuple(n for n in whole[:-2] if n > 1)
        if len(tiff.pages) > 1 or shape:
            planes = max(len(tiff.pages), int(np.prod(shape)))
            raise InputError(
                f"{path}: one plane [Y, X] is needed, this file has {planes} of shape {page.shape}. Split the stack."
            )
        check_declared(path, (1, *page.shape), np.dtype(page.dtype).itemsize, tiff.filehandle.size)
        calibration = imagej_calibration(path, tiff, imagej_lines(tiff))
        levels = grey_levels(page, one_channel(path, page_pixels(page)))
        return levels if calibration is None else calibration.apply(levels)


def opened_png(source: Path | BinaryIO, size: int, path: Path) -> Image.Image:
    """Open a PNG, and nothing else, of `size` bytes; its pixels are not unpacked yet.

    Raises:
        InputError: it would take more memory than the bound of `check_fits`.
        ValueError: it declares more pixels than its bytes can hold: deflate packs to 1/1032 at best.
        others: those of `PNG_DAMAGE`.
    """
    _check_chunks(source, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `check_fits` has the bound
        image = Image.open(source, formats=["PNG"])
    bits = {"1": 1, "L": 1, "P": 1, "I;16": 16, "I;16B": 16, "I": 16}.get(image.mode, 8 * len(image.getbands()))
    try:
        check_fits(path, image.width * image.height * 4, f"a PNG of {image.height} x {image.width} pixels")
        if image.width * image.height * bits // 8 > _DEFLATE_RATIO * size:
            raise ValueError(f"{size} bytes cannot hold {image.height} x {image.width} pixels")
    except (InputError, ValueError):
        image.close()
        raise
    return image


def _check_chunks(source: Path | BinaryIO, size: int) -> None:
    """ValueError if a chunk of a PNG is longer than the file: Pillow makes room for what it says."""
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        at, kind = 8, b""
        while at + 8 <= size and kind != b"IEND":  # behind it may stand anything
            file.seek(at)
            length, kind = struct.unpack(">I4s", file.read(8))
            at += 12 + length
        file.seek(0)
    if at - 4 > size:  # the last checksum may be missing
        raise ValueError("truncated: a chunk is longer than the file")


def _open_png(path: Path) -> Image.Image:
    image = opened_png(path, path.stat().st_size, path)
    if image.mode not in _GREY_MODES:
        mode = image.mode
        image.close()
        raise InputError(f"{path}: a colour image ({mode}); one grey channel is needed. Convert it to grey.")
    if getattr(image, "n_frames", 1) > 1:
        frames = image.n_frames  # type: ignore[attr-defined]
        image.close()
        raise InputError(f"{path}: one plane [Y, X] is needed, this PNG has {frames} frames. Split it.")
    return image


def _read_png(path: Path) -> np.ndarray:
    with _open_png(path) as image:
        pixels = to_kept(np.asarray(image))
        check_upright(path, int(image.getexif().get(ExifTags.Base.Orientation, 1)))  # may stand behind the pixels
        return pixels


def _checked_plane(path: Path, array: np.ndarray) -> np.ndarray:
    if array.ndim > 2 and array.size == array.shape[-1] * array.shape[-2]:
        array = array.reshape(array.shape[-2:])
    if array.ndim != 2:
        raise InputError(f"{path}: one plane [Y, X] is needed, this file has shape {array.shape}. Split the stack.")
    return array


def write_tiff(
    path: str | Path, array: np.ndarray, voxel_size_nm: VoxelSize | None = None, *, overwrite: bool = True
) -> None:
    """Write a plane [Y, X] or a stack [Z, Y, X] atomically, the voxel size in its tags (in-plane and ImageJ spacing).

    The same array gives the same bytes: no date is written.
    """
    with atomic_path(path, overwrite=overwrite) as temporary:
        tifffile.imwrite(temporary, np.ascontiguousarray(array), photometric="minisblack", **size_tags(voxel_size_nm))


def read_bar_rows(path: str | Path) -> int:
    """Rows of a data bar at the lower edge of an image, by what its microscope states; 0 where it states none."""
    path = Path(path)
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return 0
    _check_file(path)
    try:
        with opened_tiff(path) as tiff:
            return stated_by_microscope(tiff).bar_rows
    except DAMAGE as error:
        raise damaged(path, error) from error


def read_voxel_size_nm(path: str | Path) -> VoxelSize | None:
    """Voxel size (Z or None, Y, X) in nanometres from a TIFF's own metadata, or None where it says nothing."""
    path = Path(path)
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return None
    _check_file(path)
    try:
        with opened_tiff(path) as tiff:
            check_description(path, tiff)
            return tiff_voxel_size_nm(tiff)
    except DAMAGE as error:
        raise damaged(path, error) from error
