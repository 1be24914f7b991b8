"""Voxel sizes in words, and names as words of a command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from txm2sem_core.errors import printable


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
