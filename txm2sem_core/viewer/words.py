"""Numbers as words, the same in text and tables."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: Any, digits: int = 4) -> str:
    """A number as text: whole numbers whole, others with so many digits after the point, a dash for nothing.

    What would lose all its digits is written as a power of ten.
    """
    if value is None or isinstance(value, str):
        return value or "–"
    if isinstance(value, numbers.Integral):
        return str(value)
    real = float(value)
    if math.isnan(real):
        return "–"
    if math.isinf(real):
        size = "∞"
    elif real != 0 and (abs(real) < 10**-digits or abs(real) >= 1e7):
        mantissa, exponent = f"{abs(real):.2e}".split("e")
        size = f"{mantissa}×10{str(int(exponent)).translate(_RAISED)}"
    else:
        size = f"{abs(real):.{digits}f}"
    return f"−{size}" if real < 0 else size


def plus_minus(mean: float, stderr: float, digits: int) -> str:
    """Mean ± standard error; the mean alone where there is no error."""
    size = number(float(mean), digits)
    return f"{size} ± {number(float(stderr), digits)}" if math.isfinite(stderr) else size


def voxels(size_nm: Sequence[float | None]) -> str:
    """Voxel size in words."""
    if all(side is None for side in size_nm):
        return "not recorded"
    return " × ".join("?" if side is None else f"{side:g}" for side in size_nm) + " nm (Z × Y × X)"
