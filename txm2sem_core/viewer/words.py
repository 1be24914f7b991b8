"""Numbers as words, the same in text and tables; and names as words of a command."""

from __future__ import annotations

import math
import numbers
import shlex
from collections.abc import Sequence
from typing import Any

from txm2sem_core.errors import printable

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


def shell_word(path: str) -> str:
    r"""A path as one word of a command that is copied into a terminal: it does nothing there but stand for the path.

    A shell's quotes do not help against signs that the terminal itself obeys: those are written as `$'\x1b'`, which
    bash and zsh know.
    """
    path = f"./{path}" if path.startswith("-") else path  # no option
    shown = printable(path)
    if shown == path:
        return shlex.quote(path)
    escaped = "".join(sign if printable(sign) == sign else _in_bytes(sign) for sign in path.replace("\\", "\\\\"))
    return "$'" + escaped.replace("'", "\\'") + "'"


def _in_bytes(sign: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8", "surrogateescape"))


def voxels(size_nm: Sequence[float | None]) -> str:
    """Voxel size in words."""
    if all(side is None for side in size_nm):
        return "not recorded"
    return " × ".join("?" if side is None else f"{side:g}" for side in size_nm) + " nm (Z × Y × X)"
