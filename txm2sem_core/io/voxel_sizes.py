"""Voxel sizes in TIFF and OME metadata, read and written in nanometres."""

from __future__ import annotations

import math
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import tifffile

from txm2sem_core.errors import InputError
from txm2sem_core.io.lengths import UNITS_NM, as_float, in_nm, unit_in_nm
from txm2sem_core.io.microscopes import stated_by_microscope
from txm2sem_core.io.ownership import SOFTWARE

VoxelSize = tuple[float | None, float | None, float | None]  # Z, Y, X
UNKNOWN: VoxelSize = (None, None, None)

_MICROMETRE_NM, _CENTIMETRE_NM = UNITS_NM["um"], UNITS_NM["cm"]
# of the tag ResolutionUnit: TIFF 6.0 has inch and centimetre, some programs write millimetre and micrometre
_TAG_UNITS_NM = {2: UNITS_NM["in"], 3: _CENTIMETRE_NM, 4: UNITS_NM["mm"], 5: _MICROMETRE_NM}
_SMALLEST_PIXEL_NM = 2e-3  # a tenth of an atom's radius: no microscope has it
ROUNDED = 0.01  # of a size; less is what formats round
_LARGEST_PIXEL_NM = 2e4  # 72 to 1200 dots an inch are for printing, from programs that know no pixel size
_MOST = 2**32 - 1  # in a TIFF's fraction


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
    """Voxel size (Z or None, Y, X) of an open TIFF: OME-XML before ImageJ's, the microscope's, and the resolution tags.

    What ImageJ has saved is not as the microscope left it; resolution tags of microscopes are for printing.
    """
    found = _ome_voxel_size_nm(tiff) or (_tag_voxel_size_nm(tiff) if imagej_lines(tiff) else None)
    pixel_nm = stated_by_microscope(tiff).pixel_nm
    return found or (None if pixel_nm is None else (None, *pixel_nm)) or _tag_voxel_size_nm(tiff)


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
    x_unit_nm, y_unit_nm = unit_in_nm(unit), unit_in_nm(lines.get("yunit") or unit)
    if x_unit_nm is None:
        if tag_unit_nm is None or max(x, y) * tag_unit_nm > _LARGEST_PIXEL_NM:
            return None
        return None, as_float(y * tag_unit_nm), as_float(x * tag_unit_nm)
    if y_unit_nm is None:
        return None
    if tag_unit_nm is not None and _tag_unit_counts(tiff.filehandle.path, x, x_unit_nm, tag_unit_nm):
        x_unit_nm = y_unit_nm = tag_unit_nm
    z_nm = in_nm(lines.get("spacing", "").removeprefix("-"), lines.get("zunit") or unit)
    return z_nm, as_float(y * y_unit_nm), as_float(x * x_unit_nm)


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
