"""What a file states of its grey levels and of how they lie: a calibration, values of what is missing, orientation.

It is honoured, or refused by name: grey levels that are taken as they are stored would be others than those that the
program shows which wrote them.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from txm2sem_core.errors import InputError

_NODATA = 42113  # the TIFF tag of GDAL, with a value that means that nothing was measured
_UPRIGHT = (0, 1)  # 0 is no orientation, but some programs write it
_STRAIGHT_LINE, _LAST_FUNCTION, _OPTICAL_DENSITY = 0, 11, 21  # of ij.measure.Calibration
_MISSING = ("_FillValue", "missing_value")  # of the CF conventions (netCDF, xarray)


class Calibration(NamedTuple):
    """Grey levels are `offset + factor * stored`."""

    offset: float
    factor: float

    def dtype(self, stored: np.dtype) -> np.dtype:
        """Type of the grey levels: int16 of ImageJ's 16-bit images with sign, which it stores 32768 higher."""
        signed = stored == np.uint16 and self == (-32768, 1)
        return np.dtype(np.int16 if signed else np.float32)

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """The grey levels of what is stored, of any shape."""
        if self.dtype(stored.dtype) == np.int16:
            return (stored ^ np.uint16(32768)).view(np.int16)
        return (self.offset + self.factor * stored.astype(np.float64)).astype(np.float32)


def imagej_calibration(path: Path, tiff: tifffile.TiffFile, lines: Mapping[str, str]) -> Calibration | None:
    """The calibration of grey levels in ImageJ's description, of 8- and 16-bit images; None where there is none.

    Args:
        path: for messages.
        tiff: the open file.
        lines: ImageJ's description by its keys.

    Raises:
        InputError: a function that is no straight line, or white that is zero by a tag beside it.
    """
    page = tiff.pages.first
    try:
        function, offset, factor = (float(lines[key]) for key in ("cf", "c0", "c1"))
    except (KeyError, ValueError):
        function, offset, factor = float(lines.get("cf") == str(_OPTICAL_DENSITY)) * _OPTICAL_DENSITY, 0.0, 1.0
    if page.dtype not in (np.uint8, np.uint16) or (function, offset, factor) == (_STRAIGHT_LINE, 0, 1):
        return None
    remedy = "In ImageJ choose Analyze > Calibrate, the function None, and save it again."
    if 0 < function <= _LAST_FUNCTION or function == _OPTICAL_DENSITY:
        raise InputError(f"{path}: ImageJ calibrated its grey levels by a curve (cf={function:g}). {remedy}")
    if not (function == _STRAIGHT_LINE and math.isfinite(offset) and math.isfinite(factor) and factor):
        return None
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        raise InputError(f"{path}: zero is white in it, and ImageJ calibrated its grey levels as well. {remedy}")
    return Calibration(offset, factor)


def check_upright(path: Path, orientation: int) -> None:
    """Refuse an image that is to be turned or mirrored when it is shown: some programs do so, others do not.

    Args:
        path: of the image.
        orientation: as TIFF and EXIF number it.

    Raises:
        InputError: it is not upright.
    """
    if orientation not in _UPRIGHT:
        raise InputError(
            f"{path}: it is to be turned or mirrored by its tag Orientation ({orientation}), which some programs do, "
            "others not. Save it again as it should lie, without the tag."
        )


def check_page(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse a page of a TIFF that is not upright, or states a grey level that means "missing" (GDAL).

    Raises:
        InputError: names the tag.
    """
    tag = page.tags.get("Orientation")
    check_upright(path, 1 if tag is None else int(tag.value))
    tag = page.tags.get(_NODATA)
    text = "" if tag is None else str(tag.value).strip("\0 ")
    if text and text.lower() != "nan":
        raise _says_missing(path, f"the tag GDAL_NODATA = {text}")


def missing_value(source: str, dtype: np.dtype, attributes: Mapping[str, Any]) -> float | None:
    """The value of floating voxels that were not measured, by the attributes of an array; None where none says so.

    Args:
        source: the array, for messages.
        dtype: of the voxels.
        attributes: of the array.

    Raises:
        InputError: grey levels are stored with a factor or an offset, or the voxels are whole numbers, among which
            there is none for what is missing.
    """
    factor, offset = (attributes.get(name, usual) for name, usual in (("scale_factor", 1), ("add_offset", 0)))
    if (_number(factor), _number(offset)) != (1, 0):
        raise InputError(
            f"{source}: its grey levels are stored with scale_factor = {factor} and add_offset = {offset}. Save them "
            "as they are, without these attributes."
        )
    found = None
    for name in (name for name in _MISSING if name in attributes):
        value = _number(attributes[name])
        if value is None or not math.isnan(value):
            if value is None or dtype.kind != "f":
                raise _says_missing(source, f"the attribute {name} = {attributes[name]}")
            found = value
    return found


def without_missing(slab: np.ndarray, missing: float | None) -> np.ndarray:
    """Voxels [Z, Y, X] with NaN where they have the value for what is missing."""
    return slab if missing is None else np.where(slab == slab.dtype.type(missing), slab.dtype.type(np.nan), slab)


def _says_missing(source: object, what: str) -> InputError:
    return InputError(
        f"{source}: by {what} one value means that nothing was measured. Save it as float with NaN there; or remove "
        "that statement, and give a mask of what was measured."
    )


def _number(value: object) -> float | None:
    """A number, also of one element, or as xarray writes it into zarr 3; None if it is none."""
    try:
        if isinstance(value, (list, tuple, np.ndarray)):
            (value,) = np.ravel(value).tolist()
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        pass
    try:
        raw = base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return None
    return float(np.frombuffer(raw, "<f8")[0]) if len(raw) == np.dtype("<f8").itemsize else None


def check_axes(source: str, names: Sequence[str]) -> None:
    """Refuse axes that are named in another order than z, y, x; other names, and none, say nothing.

    Raises:
        InputError: names the order.
    """
    own = [name.lower() for name in names]
    if sorted(own) == ["x", "y", "z"] and own != ["z", "y", "x"]:
        raise InputError(
            f"{source}: its axes are {', '.join(own)} as they are stored, and z, y, x is needed. Save it transposed."
        )
