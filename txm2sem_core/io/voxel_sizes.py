"""Voxel sizes in TIFF and OME metadata, read and written in nanometres."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import tifffile

VoxelSize = tuple[float | None, float | None, float | None]  # Z, Y, X
UNKNOWN: VoxelSize = (None, None, None)

# names and symbols of lengths in ImageJ, OME-XML (OME's UnitsLength) and OME-Zarr (UDUNITS-2), lower case
UNIT_NM = {
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-3),
    **dict.fromkeys(("å", "angstrom", "ångström"), 0.1),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e7),
    **dict.fromkeys(("in", "inch"), 2.54e7),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
}
ROUNDED = 0.01  # of a size; less is what formats round
_LARGEST_PIXEL_NM = 2e4  # 72 to 1200 dots an inch are for printing, from programs that know no pixel size


def in_nm(value: object, unit: object) -> float | None:
    """A length in nm; None where the number or the unit says nothing (0, NaN, `pixel`)."""
    unit_nm = UNIT_NM.get(str(unit).strip().lower().replace("\\u00b5", "µ").replace("\\u00c5", "å"))
    try:
        length = float(str(value)) * (unit_nm or math.nan)
    except ValueError:
        return None
    return length if math.isfinite(length) and length > 0 else None


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
    tags = tiff.pages[0].tags  # type: ignore[union-attr]
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    imagej = tiff.imagej_metadata or _imagej_lines(tiff)
    unit = imagej.get("unit", "")
    known = in_nm(1, unit) is not None
    tag_unit_nm = {2: 2.54e7, 3: 1e7}.get(int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 1)
    # with a unit tag of its own the resolution is an inch or centimetre; ImageJ's files without one count in `unit`
    unit_nm = tag_unit_nm or in_nm(1, unit)
    if unit_nm is None:
        return None
    x_nm, y_nm = (_pixel_nm(tags[name].value, unit_nm) for name in ("XResolution", "YResolution"))
    if x_nm is None or y_nm is None or (not known and max(x_nm, y_nm) > _LARGEST_PIXEL_NM):
        return None
    return in_nm(imagej.get("spacing", ""), unit), y_nm, x_nm


def _imagej_lines(tiff: tifffile.TiffFile) -> Mapping[str, str]:
    description = tiff.pages[0].description or ""  # type: ignore[union-attr]
    if not description.startswith("ImageJ="):
        return {}
    return dict(line.split("=", 1) for line in description.splitlines() if "=" in line)


def _pixel_nm(value: tuple[int, int], unit_nm: float) -> float | None:
    pixels, units = value
    return unit_nm * units / pixels if pixels > 0 and units > 0 else None


def differing_axes(first: VoxelSize, second: VoxelSize) -> list[str]:
    """Axes along which two files that should show one place state different sizes, in words; unknown ones do not."""
    return [
        f"{axis}: {here:g} and {there:g} nm"
        for axis, here, there in zip("zyx", first, second, strict=True)
        if here and there and not math.isclose(here, there, rel_tol=ROUNDED)
    ]
