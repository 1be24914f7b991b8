"""What electron microscopes of Zeiss, FEI and Thermo state in tags of their own: the pixel size, and a data bar.

tifffile reads the tags. FEI's and Thermo's (34682, earlier 34680) hold text in sections, of which `[Scan]` has the
pixel in metres and `[Image]` the size of the scan: a data bar is appended below it. 34683, also of Phenom, holds XML.
Zeiss's (34118) holds names in capital letters, each before its value with a unit; `AP_PIXEL_SIZE` is that of the
screen, `AP_IMAGE_PIXEL_SIZE` that of the image, and a data bar lies within the image, mostly.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import tifffile

from txm2sem_core.io.lengths import in_nm

LARGEST_BAR = 0.5  # of the image's height: what is more is no bar
_XML_TAG = 34683
# what tifffile raises of a tag that is not of its kind
_BROKEN = (ValueError, TypeError, LookupError, AttributeError, struct.error)
_STORED = re.compile(r"(\d+)\s*\*\s*(\d+)")  # Zeiss: 1024 * 768


@dataclass(frozen=True)
class StatedByMicroscope:
    """What the tags say.

    Attributes:
        pixel_nm: height and width of a pixel; None where they are not stated, or of an image that was scaled since.
        bar_rows: rows of a data bar at the lower edge; 0 where none is stated.
    """

    pixel_nm: tuple[float, float] | None = None
    bar_rows: int = 0


@dataclass(frozen=True)
class _Said:
    """What one tag says: pixel's height and width in nm, and rows and columns of the scan, and rows of the bar."""

    pixel_nm: tuple[float | None, float | None] = (None, None)
    scan: tuple[int | None, int | None] = (None, None)
    bar_rows: int | None = None


def stated_by_microscope(tiff: tifffile.TiffFile) -> StatedByMicroscope:
    """What the microscope states of the first page of an open TIFF; a tag that cannot be read states nothing."""
    page = tiff.pages.first
    for said in (_fei(tiff), _xml(page), _zeiss(tiff, page.imagewidth)):
        if said == _Said():
            continue
        rows, columns = said.scan
        if columns is not None and columns != page.imagewidth:
            return StatedByMicroscope()  # cropped or scaled by another program, which has kept the tag
        y_nm, x_nm = said.pixel_nm
        pixel_nm = None if x_nm is None else (y_nm or x_nm, x_nm)
        return StatedByMicroscope(pixel_nm, _bar_rows(page.imagelength, rows, said.bar_rows))
    return StatedByMicroscope()


def _bar_rows(height: int, scanned: int | None, bar: int | None) -> int:
    """Rows below the scan; those of the bar where the scan's are not stated."""
    rows = height - scanned if scanned is not None else bar or 0
    return rows if 0 < rows <= LARGEST_BAR * height else 0


def _fei(tiff: tifffile.TiffFile) -> _Said:
    found: Mapping[str, Any] = {}
    with suppress(*_BROKEN):
        found = tiff.fei_metadata or {}
    scan, image, private = (found.get(name) or {} for name in ("Scan", "Image", "PrivateFei"))
    return _Said(
        (in_nm(scan.get("PixelHeight"), "m"), in_nm(scan.get("PixelWidth"), "m")),
        (_count(image.get("ResolutionY")), _count(image.get("ResolutionX"))),
        _count(private.get("DatabarHeight")),
    )


def _xml(page: tifffile.TiffPage) -> _Said:
    text = None
    with suppress(*_BROKEN):
        text = page.tags.valueof(_XML_TAG)
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    if not isinstance(text, str) or re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        return _Said()
    try:
        root = ElementTree.fromstring(text.strip("\0 \r\n\t\ufeff"))
    except (ElementTree.ParseError, ValueError):
        return _Said()
    size, scan = "{*}BinaryResult/{*}PixelSize/{*}", "{*}BinaryResult/{*}ImageSize/{*}"
    return _Said(
        (_length(root, f"{size}Y", "{*}pixelHeight"), _length(root, f"{size}X", "{*}pixelWidth")),
        (_count(root.findtext(f"{scan}Y")), _count(root.findtext(f"{scan}X"))),
        _count(root.findtext("{*}databarHeight")),
    )


def _length(root: ElementTree.Element, *paths: str) -> float | None:
    """The first length of these, whose unit is an attribute; metres where it has none."""
    found = [one for path in paths if (one := root.find(path)) is not None]
    return in_nm(found[0].text, found[0].get("unit", "m")) if found else None


def _zeiss(tiff: tifffile.TiffFile, width: int) -> _Said:
    """Where the image's pixel is not stated, as by early versions, the width of the field is."""
    found: Mapping[str, Any] = {}
    with suppress(*_BROKEN):
        found = tiff.sem_metadata or {}
    pixel_nm, field_nm = (_with_unit(found.get(name)) for name in ("ap_image_pixel_size", "ap_width"))
    pixel_nm = pixel_nm or (field_nm / width if field_nm is not None else None)
    stored = _STORED.fullmatch(str((found.get("dp_image_store") or ("", ""))[1]).strip())
    columns, rows = (None, None) if stored is None else (_count(stored[1]), _count(stored[2]))
    return _Said((pixel_nm, pixel_nm), (rows, columns))


def _with_unit(entry: object) -> float | None:
    """The length in nm of an entry (name, number, unit)."""
    return in_nm(entry[1], entry[2]) if isinstance(entry, tuple) and len(entry) == 3 else None


def _count(value: object) -> int | None:
    """A whole number above 0."""
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if number > 0 else None
