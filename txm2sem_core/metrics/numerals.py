"""Numbers as text: alone, with their standard errors, and with the ends of their intervals."""

from __future__ import annotations

import math
import numbers
from decimal import Decimal
from typing import Any

SMALL, LARGE = 1e-4, 1e7  # below and from here on a number with its error is written with a power of ten
LEAST_ERROR = 1e-6  # of the mean: a smaller error is of the computer's rounding
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
    elif real != 0 and (abs(real) < 10**-digits or abs(real) >= LARGE):
        mantissa, exponent = f"{abs(real):.2e}".split("e")
        size = f"{mantissa}{_times(int(exponent))}"
    else:
        size = f"{abs(real):.{digits}f}"
    return f"−{size}" if real < 0 else size


def significant(value: Any, digits: int = 3) -> str:
    """A number as text by its first so many digits, thousands apart; otherwise as by `number`."""
    if value is None or isinstance(value, (str, numbers.Integral)) or not math.isfinite(float(value)):
        return number(value)
    real = float(value)
    size = abs(real)
    if size and (size < SMALL or size >= LARGE):
        mantissa, exponent = f"{size:.{digits - 1}e}".split("e")
        shown = f"{mantissa}{_times(int(exponent))}"
    else:
        rounded = Decimal(f"{size:.{digits - 1}e}")
        shown = f"{rounded:,f}"
    return f"−{shown}" if real < 0 else shown


def significant_interval(value: float, low: float, high: float) -> tuple[str, str]:
    """A number, and `low to high`: as many decimals as half of its width needs for two digits, three digits at most.

    The interval is empty where an end is not known.
    """
    half = (high - low) / 2
    if not (math.isfinite(half) and math.isfinite(value)) or half <= 0:
        return significant(value), ""
    greatest = max(abs(one) for one in (value, low, high))
    if not SMALL <= greatest < 1000:
        return significant(value), f"{significant(low)} to {significant(high)}"
    decimals = min(_decimals(half), 2 - _exponent(greatest))
    shown = [_fixed(one, decimals) for one in (value, low, high)]
    return shown[0], f"{shown[1]} to {shown[2]}"


def plus_minus(mean: float, error: float, digits: int) -> str:
    """Mean ± standard error: the error with two significant digits, the mean with as many decimals.

    Args:
        mean: where it is not finite, it is written as by `number`.
        error: of the same unit; where it is not finite, the mean stands alone.
        digits: decimals of a mean alone, and of both where there is no error to speak of.
    """
    mean, error = float(mean), abs(float(error))
    if not (math.isfinite(mean) and math.isfinite(error)):
        return number(mean, digits)
    greater = max(abs(mean), error)
    power = _exponent(greater) if greater >= LARGE or 0 < greater < SMALL else 0
    decimals = digits if not power else 2
    if error > LEAST_ERROR * abs(mean):
        decimals = _decimals(error) + power
    both = f"{_fixed(mean, decimals, power)} ± {_fixed(error, decimals, power)}"
    return f"({both}){_times(power)}" if power else both


def _exponent(size: float) -> int:
    """The power of ten of a number's first digit, after it was rounded to two digits."""
    return int(f"{size:.1e}".split("e")[1])


def _decimals(error: float) -> int:
    """Decimals with which a number has two significant digits; less than 0 for tens and more."""
    return 1 - _exponent(error)


def _fixed(value: float, decimals: int, power: int = 0) -> str:
    """A number over a power of ten with so many decimals, or with so many whole digits rounded away."""
    scaled = Decimal(repr(float(value))).scaleb(-power)
    rounded = scaled.quantize(Decimal(1).scaleb(-decimals))
    return f"{rounded:f}".replace("-", "−") if rounded else f"{abs(rounded):.{max(decimals, 0)}f}"


def _times(exponent: int) -> str:
    return f"×10{str(exponent).translate(_RAISED)}"
