"""What the register stage left, as later stages read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from txm2sem_core.intensity.measured import Slice
from txm2sem_core.io.files import path_within
from txm2sem_core.io.images import read_image, read_mask


def registered_file(folder: Path, row: Mapping[Any, Any], kind: str) -> Path:
    """An image of a pair in `folder`, by its row of the index: `txm`, `sem`, `mask`, ...

    Raises:
        InputError: the index names none within the folder.
    """
    return path_within(folder, row[kind], folder / "index.csv", f"an image ({kind}) of a pair")


def read_registered(folder: Path, row: Mapping[Any, Any], kind: str) -> Slice:
    """The TXM or the FIB-SEM slice of a pair, with what was measured of it where registration brought a mask along.

    Args:
        folder: of the register stage.
        row: of its index.
        kind: `txm` or `sem`.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    given = f"{kind}_measured"
    mask = read_mask(registered_file(folder, row, given)) if isinstance(row.get(given), str) else None
    return Slice(read_image(registered_file(folder, row, kind)), mask)
