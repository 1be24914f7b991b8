"""One greyscale plane a file: TIFF or PNG in, TIFF out."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from txm2sem_core.errors import InputError
from txm2sem_core.io.atomic import atomic_path

TIFF_SUFFIXES = (".tif", ".tiff")
IMAGE_SUFFIXES = (*TIFF_SUFFIXES, ".png")
KEPT_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
DAMAGE = (tifffile.TiffFileError, struct.error, ValueError, OSError, IndexError, KeyError)  # what damaged files raise
_UNIT_NM = {"nm": 1.0, "nanometer": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "micrometer": 1e3}
_UNIT_NM |= {"mm": 1e6, "millimeter": 1e6, "cm": 1e7, "m": 1e9, "å": 0.1, "angstrom": 0.1, "pm": 1e-3}
_LARGEST_PIXEL_NM = 2e4  # 72 to 1200 dots an inch are for printing, from programs that know no pixel size

VoxelSize = tuple[float | None, float | None, float | None]


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sorting key that puts `slice9` before `slice10`."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part.lower()) for part in parts]


def list_images(folder: str | Path) -> list[Path]:
    """The images (TIFF, PNG) of a folder in natural order; other files and hidden ones are passed over.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder. Check the path.")
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise InputError(f"{folder}: there is no image ({', '.join(IMAGE_SUFFIXES)}) in this folder.")
    return sorted(found, key=natural_key)


def read_image(path: str | Path) -> np.ndarray:
    """Read one greyscale plane [Y, X] in its own dtype.

    Raises:
        InputError: missing, empty, unreadable, in colour, of several pages, or with NaN or infinite pixels.
    """
    path = Path(path)
    _check_file(path)
    try:
        array = _read_tiff(path) if path.suffix.lower() in TIFF_SUFFIXES else _read_png(path)
    except (tifffile.TiffFileError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: this image cannot be read ({error}). Export it again as TIFF.") from error
    except (*DAMAGE, RuntimeError, TypeError, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: this image is damaged or cut short ({reason}). Export it again as TIFF.") from error
    return _checked_plane(path, array)


def image_kind(path: str | Path) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an image from its header alone.

    Raises:
        InputError: missing, empty, or no readable image.
    """
    path = Path(path)
    _check_file(path)
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            with tifffile.TiffFile(path) as tiff:
                page = tiff.pages.first
                return page.shape, np.dtype(page.dtype).newbyteorder("=")
        image = _read_png(path)
        return image.shape, image.dtype
    except (tifffile.TiffFileError, UnidentifiedImageError, Image.DecompressionBombError, *DAMAGE, TypeError) as error:
        raise InputError(f"{path}: this image cannot be read ({error}). Export it again as TIFF.") from error


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask [Y, X]: True where the image is not zero."""
    return read_image(path) > 0


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. Check the path.")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{path}: an image must end in one of {', '.join(IMAGE_SUFFIXES)}.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: this file is empty (0 bytes). Copy or export it again.")


def _read_tiff(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        check_whole(tiff)
        return tiff.asarray()


def check_whole(tiff: tifffile.TiffFile) -> None:
    """Raise `TiffFileError` if the last page names a next one: the file was cut short, which tifffile only logs."""
    if not len(tiff.pages):
        raise tifffile.TiffFileError("it holds no page")
    layout, stream = tiff.tiff, tiff.filehandle
    last = tiff.pages[-1]
    stream.seek(last.offset)
    (tags,) = struct.unpack(layout.tagnoformat, stream.read(layout.tagnosize))
    stream.seek(last.offset + layout.tagnosize + tags * layout.tagsize)
    (following,) = struct.unpack(layout.offsetformat, stream.read(layout.offsetsize))
    if following:
        raise tifffile.TiffFileError(f"cut short after {len(tiff.pages)} pages")


def _read_png(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        if image.mode in ("P", "RGB", "RGBA", "CMYK", "YCbCr", "LA"):
            raise InputError(f"{path}: a colour image ({image.mode}); one grey channel is needed. Convert it to grey.")
        return np.asarray(image)


def _checked_plane(path: Path, array: np.ndarray) -> np.ndarray:
    array = array.squeeze() if array.ndim > 2 and array.size == array.shape[-1] * array.shape[-2] else array
    if array.ndim == 3 and array.shape[-1] in (3, 4):
        raise InputError(f"{path}: a colour image of shape {array.shape}; one grey channel is needed.")
    if array.ndim != 2:
        raise InputError(f"{path}: one plane [Y, X] is needed, this file has shape {array.shape}. Split the stack.")
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.name not in KEPT_DTYPES:
        raise InputError(f"{path}: pixels of type {array.dtype} are not supported. Export as 8-bit, 16-bit or float.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{path}: {int((~np.isfinite(array)).sum())} pixels are NaN or infinite. Fill or crop them.")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def write_tiff(path: str | Path, array: np.ndarray, voxel_size_nm: VoxelSize | None = None) -> None:
    """Write a plane [Y, X] or a stack [Z, Y, X] atomically, the voxel size in its tags (in-plane and ImageJ spacing).

    The same array gives the same bytes: no date is written.
    """
    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, np.ascontiguousarray(array), photometric="minisblack", **size_tags(voxel_size_nm))


def size_tags(voxel_size_nm: VoxelSize | None) -> dict[str, Any]:
    """TIFF writer options that record a voxel size (Z, Y, X in nm) as ImageJ and most other readers understand it."""
    z_nm, y_nm, x_nm = voxel_size_nm or (None, None, None)
    if y_nm is None or x_nm is None:
        return {"metadata": None, "software": "TXM2SEM"}
    spacing = "" if z_nm is None else f"spacing={z_nm:.9g}\n"
    return {
        "resolution": (1e7 / x_nm, 1e7 / y_nm),
        "resolutionunit": "CENTIMETER",
        "description": f"ImageJ=1.54\nunit=nm\n{spacing}",
        "metadata": None,
        "software": "TXM2SEM",
    }


def read_voxel_size_nm(path: str | Path) -> VoxelSize | None:
    """Voxel size (Z or None, Y, X) in nanometres from a TIFF's own metadata, or None where it says nothing."""
    path = Path(path)
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return None
    _check_file(path)
    try:
        with tifffile.TiffFile(path) as tiff:
            return _ome_voxel_size_nm(tiff) or _tag_voxel_size_nm(tiff)
    except DAMAGE as error:
        raise InputError(f"{path}: this image cannot be read ({error}). Export it again as TIFF.") from error


def _ome_voxel_size_nm(tiff: tifffile.TiffFile) -> VoxelSize | None:
    if not tiff.is_ome or not tiff.ome_metadata:
        return None
    sizes: dict[str, float] = {}
    for axis in "ZYX":
        size = re.search(rf'PhysicalSize{axis}="([0-9.eE+-]+)"', tiff.ome_metadata)
        unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', tiff.ome_metadata)
        if size:  # OME's default unit is the micrometre
            sizes[axis] = float(size[1]) * _UNIT_NM.get((unit[1] if unit else "um").lower(), np.nan)
    if not {"Y", "X"} <= sizes.keys() or not np.isfinite(list(sizes.values())).all():
        return None
    return sizes.get("Z"), sizes["Y"], sizes["X"]


def _tag_voxel_size_nm(tiff: tifffile.TiffFile) -> VoxelSize | None:
    tags = tiff.pages[0].tags  # type: ignore[union-attr]
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    imagej = tiff.imagej_metadata or _imagej_lines(tiff)
    unit = str(imagej.get("unit", "")).lower().replace("\\u00b5", "µ")
    tag_unit_nm = {2: 2.54e7, 3: 1e7}.get(int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 1)
    # with a unit tag of its own the resolution is an inch or centimetre; ImageJ's files without one count in `unit`
    unit_nm = tag_unit_nm or _UNIT_NM.get(unit)
    if unit_nm is None:
        return None
    x_nm, y_nm = (_pixel_nm(tags[name].value, unit_nm) for name in ("XResolution", "YResolution"))
    if x_nm is None or y_nm is None or (unit not in _UNIT_NM and max(x_nm, y_nm) > _LARGEST_PIXEL_NM):
        return None
    spacing = imagej.get("spacing")
    z_nm = float(spacing) * _UNIT_NM[unit] if spacing and unit in _UNIT_NM else None
    return z_nm, y_nm, x_nm


def _imagej_lines(tiff: tifffile.TiffFile) -> dict[str, str]:
    description = tiff.pages[0].description or ""  # type: ignore[union-attr]
    if not description.startswith("ImageJ="):
        return {}
    return dict(line.split("=", 1) for line in description.splitlines() if "=" in line)


def _pixel_nm(value: tuple[int, int], unit_nm: float) -> float | None:
    pixels, units = value
    return unit_nm * units / pixels if pixels > 0 and units > 0 else None
