"""Voxel sizes in TIFF and OME metadata, read and written in nanometres.

Sizes are fractions until they are handed on, so that 4.7 nm that was written as 0.0047 micrometres is 4.7 nm again.
"""

from __future__ import annotations

import math
import re
import unicodedata
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import tifffile

from txm2sem_core.errors import InputError
from txm2sem_core.io.ownership import SOFTWARE

VoxelSize = tuple[float | None, float | None, float | None]  # Z, Y, X
UNKNOWN: VoxelSize = (None, None, None)

# names and symbols of lengths in ImageJ, OME-XML (OME's UnitsLength) and OME-Zarr (UDUNITS-2), lower case, as NFKC
_UNITS_NM = {
    **dict.fromkeys(("pm", "picometer", "picometre"), Fraction(1, 1000)),
    **dict.fromkeys(("å", "a", "angstrom", "ångström", "ångstrom"), Fraction(1, 10)),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), Fraction(1)),
    **dict.fromkeys(("um", "μm", "micron", "micrometer", "micrometre"), Fraction(10**3)),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), Fraction(10**6)),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), Fraction(10**7)),
    **dict.fromkeys(("in", "inch", "inches"), Fraction(25_400_000)),
    **dict.fromkeys(("m", "meter", "metre"), Fraction(10**9)),
}
_MEGA_AND_PETA = ("Mm", "Pm")  # no lengths of a microscope, and not to be taken for mm and pm
_MICROMETRE_NM, _CENTIMETRE_NM = _UNITS_NM["um"], _UNITS_NM["cm"]
# of the tag ResolutionUnit: TIFF 6.0 has inch and centimetre, some programs write millimetre and micrometre
_TAG_UNITS_NM = {2: _UNITS_NM["in"], 3: _CENTIMETRE_NM, 4: _UNITS_NM["mm"], 5: _MICROMETRE_NM}
_SMALLEST_PIXEL_NM = 2e-3  # a tenth of an atom's radius: no microscope has it
ROUNDED = 0.01  # of a size; less is what formats round
_LARGEST_PIXEL_NM = 2e4  # 72 to 1200 dots an inch are for printing, from programs that know no pixel size
_MOST = 2**32 - 1  # in a TIFF's fraction


def in_nm(value: object, unit: object) -> float | None:
    """A length in nm; None where the number or the unit says nothing (0, NaN, `pixel`).

    The number may have an exponent (`3.2e-2`) or a decimal comma (`0,032`).
    """
    unit_nm, number = _unit_nm(unit), _number(value)
    return None if unit_nm is None or number is None else _as_float(number * unit_nm)


def _unit_nm(unit: object) -> Fraction | None:
    r"""Nanometres in a unit, also as ImageJ escapes it (`\u00B5m`), or as UTF-8 that was read as Latin-1 (`Âµm`)."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), str(unit)).strip().removeprefix("Â")
    if text in _MEGA_AND_PETA:
        return None
    name = unicodedata.normalize("NFKC", text).lower()
    plural = len(name) > 4 and name.endswith("s")
    return _UNITS_NM.get(name) or (_UNITS_NM.get(name[:-1]) if plural else None)


def _number(value: object) -> Fraction | None:
    """A number above 0."""
    text = str(value).strip()
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        rough = float(text)
        return Fraction(text) if 0 < rough < math.inf else None
    except ValueError:
        return None


def _as_float(length: Fraction) -> float | None:
    try:
        return float(length) or None
    except OverflowError:
        return None


def size_tags(voxel_size_nm: VoxelSize | None) -> dict[str, Any]:
    """TIFF writer options that record a voxel size (Z, Y, X in nm) so that all readers that we know find the same.

    TIFF's own readers (ITK) take pixels a centimetre, and know no distance between slices. ImageJ takes the number of
    the resolution with the `unit` of the description, but for centimetres with `um`, which it converts; `spacing` is in
    `unit`, or 1 where nobody says it, which `zunit=pixel` tells from 1 micrometre (ij.io.FileOpener, 1.53t and 1.54).

    Raises:
        InputError: a size that a TIFF cannot hold.
    """
    z_nm, y_nm, x_nm = voxel_size_nm or (None, None, None)
    if y_nm is None or x_nm is None:
        return {"metadata": None, "software": SOFTWARE}
    spacing = "zunit=pixel\n" if z_nm is None else f"spacing={Decimal(repr(float(z_nm))) / 1000:f}\n"
    return {
        "resolution": (_pixels_per_cm(x_nm), _pixels_per_cm(y_nm)),
        "resolutionunit": "CENTIMETER",
        "description": f"ImageJ=1.54\nunit=um\n{spacing}",
        "metadata": None,
        "software": SOFTWARE,
    }


def _pixels_per_cm(size_nm: float) -> tuple[int, int]:
    """As two numbers of 32 bits: exact for sizes of at most two decimals, else to nine digits."""
    if not _SMALLEST_PIXEL_NM < size_nm < 1e15:
        raise InputError(f"a pixel size of {size_nm:g} nm cannot be written in a TIFF. Give the size in nanometres.")
    pixels = _CENTIMETRE_NM / Fraction(repr(float(size_nm)))
    if max(pixels.numerator, pixels.denominator) > _MOST:
        pixels = pixels.limit_denominator(int(_MOST / max(pixels, Fraction(1))))
    return pixels.numerator, pixels.denominator


def tiff_voxel_size_nm(tiff: tifffile.TiffFile) -> VoxelSize | None:
    """Voxel size (Z or None, Y, X) of an open TIFF: OME-XML before ImageJ's and the resolution tags."""
    return _ome_voxel_size_nm(tiff) or _tag_voxel_size_nm(tiff)


def _ome_voxel_size_nm(tiff: tifffile.TiffFile) -> VoxelSize | None:
    """Of the first image of OME-XML. OME's default unit is the micrometre."""
    if not tiff.is_ome or not tiff.ome_metadata:
        return None
    try:
        pixels = ElementTree.fromstring(tiff.ome_metadata).find("{*}Image/{*}Pixels")
    except ElementTree.ParseError:
        return None
    if pixels is None:
        return None
    found = pixels.attrib
    z_nm, y_nm, x_nm = (
        in_nm(found.get(f"PhysicalSize{axis}", ""), found.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"
    )
    return None if y_nm is None or x_nm is None else (z_nm, y_nm, x_nm)


def _tag_voxel_size_nm(tiff: tifffile.TiffFile) -> VoxelSize | None:
    """Of ImageJ's description and the resolution tags; `yunit` and `zunit` count where they differ from `unit`."""
    tags = tiff.pages[0].tags  # type: ignore[union-attr]
    x, y = (_pixel(tags[name].value) if name in tags else None for name in ("XResolution", "YResolution"))
    if x is None or y is None:
        return None
    tag_unit_nm = _TAG_UNITS_NM.get(int(tags["ResolutionUnit"].value)) if "ResolutionUnit" in tags else None
    lines = imagej_lines(tiff)
    unit = lines.get("unit", "")
    x_unit_nm, y_unit_nm = _unit_nm(unit), _unit_nm(lines.get("yunit") or unit)
    if x_unit_nm is None:
        if tag_unit_nm is None or max(x, y) * tag_unit_nm > _LARGEST_PIXEL_NM:
            return None
        return None, _as_float(y * tag_unit_nm), _as_float(x * tag_unit_nm)
    if y_unit_nm is None:
        return None
    if tag_unit_nm is not None and _tag_unit_counts(tiff.filehandle.path, x, x_unit_nm, tag_unit_nm):
        x_unit_nm = y_unit_nm = tag_unit_nm
    z_nm = in_nm(lines.get("spacing", "").removeprefix("-"), lines.get("zunit") or unit)
    return z_nm, _as_float(y * y_unit_nm), _as_float(x * x_unit_nm)


def _tag_unit_counts(source: str, pixel: Fraction, unit_nm: Fraction, tag_unit_nm: Fraction) -> bool:
    """Whether the resolution counts in the unit of its own tag, and not in that of ImageJ's description.

    ImageJ goes by the description, but for centimetres with micrometres. Other programs write ImageJ's description and
    mean the tag, as earlier versions of ours did with nanometres: what no microscope has is not meant.
    """
    if (tag_unit_nm, unit_nm) == (_CENTIMETRE_NM, _MICROMETRE_NM) or tag_unit_nm == unit_nm:
        return True
    by_tag, by_unit = pixel * tag_unit_nm, pixel * unit_nm
    tag_fits, unit_fits = (_SMALLEST_PIXEL_NM <= size <= _LARGEST_PIXEL_NM for size in (by_tag, by_unit))
    if tag_fits and unit_fits:
        warnings.warn(
            f"{source}: a pixel is {float(by_unit):g} nm by the unit of ImageJ's description, and {float(by_tag):g} nm "
            "by that of the tag ResolutionUnit. The first is taken, as ImageJ does; say the right size where this is "
            "not it (--voxel-size-nm, or the sample table).",
            stacklevel=2,
        )
    return tag_fits and not unit_fits


def imagej_lines(tiff: tifffile.TiffFile) -> dict[str, str]:
    """ImageJ's description by its keys."""
    description = tiff.pages[0].description or ""  # type: ignore[union-attr]
    if not description.startswith("ImageJ="):
        return {}
    pairs = (line.split("=", 1) for line in description.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _pixel(resolution: tuple[int, int]) -> Fraction | None:
    """Units a pixel of a resolution tag."""
    pixels, units = resolution
    return Fraction(int(units), int(pixels)) if pixels > 0 and units > 0 else None


def differing_axes(first: VoxelSize, second: VoxelSize) -> list[str]:
    """Axes along which two files that should show one place state different sizes, in words; unknown ones do not."""
    return [
        f"{axis}: {here:g} and {there:g} nm"
        for axis, here, there in zip("zyx", first, second, strict=True)
        if here and there and not math.isclose(here, there, rel_tol=ROUNDED)
    ]
