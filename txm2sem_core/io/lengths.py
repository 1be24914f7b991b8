"""Lengths with their units, as metadata of many programs write them, in nanometres.

They are fractions until they are handed on, so that 4.7 nm that was written as 0.0047 micrometres is 4.7 nm again.
"""

from __future__ import annotations

import math
import re
import unicodedata
from fractions import Fraction

# names and symbols of lengths in ImageJ, OME-XML (OME's UnitsLength) and OME-Zarr (UDUNITS-2), lower case, as NFKC
UNITS_NM = {
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


def in_nm(value: object, unit: object) -> float | None:
    """A length in nm; None where the number or the unit says nothing (0, NaN, `pixel`).

    The number may have an exponent (`3.2e-2`) or a decimal comma (`0,032`).
    """
    unit_nm, number = unit_in_nm(unit), _number(value)
    return None if unit_nm is None or number is None else as_float(number * unit_nm)


def unit_in_nm(unit: object) -> Fraction | None:
    r"""Nanometres in a unit, also as ImageJ escapes it (`\u00B5m`), or as UTF-8 that was read as Latin-1 (`Âµm`)."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), str(unit)).strip().removeprefix("Â")
    if text in _MEGA_AND_PETA:
        return None
    name = unicodedata.normalize("NFKC", text).lower()
    plural = len(name) > 4 and name.endswith("s")
    return UNITS_NM.get(name) or (UNITS_NM.get(name[:-1]) if plural else None)


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


def as_float(length: Fraction) -> float | None:
    """A length as it is handed on; None where it is none."""
    try:
        return float(length) or None
    except OverflowError:
        return None
