"""What the register stage left, as later stages read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import planes
from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.io.files import path_within
from txm2sem_core.io.images import read_image, read_mask
from txm2sem_core.io.volume import Volume
from txm2sem_core.planes import Matrix


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


def plane_as_text(plane: Matrix) -> str:
    """The twelve numbers of a plane (see `planes`), row by row, for a cell of a table."""
    return " ".join(f"{number:.9g}" for number in plane.ravel())


def plane_of_text(text: str, where: str) -> Matrix:
    """The inverse.

    Raises:
        InputError: these are no twelve numbers; `where` says of what.
    """
    try:
        return np.array([float(number) for number in text.split()]).reshape(3, 4)
    except ValueError as error:
        raise InputError(f"{where}: {text!r} is no plane, which is twelve numbers. Register again.") from error


def volume_on(volume: Volume, plane: Matrix, shape: tuple[int, int], normal: float = 0.0) -> Slice:
    """The volume on a plane [Y, X], `normal` pixels along its normal; not measured beyond the volume."""
    image = planes.sample(volume.read_part, volume.shape, plane, shape, normal)
    within = planes.covered(plane, shape, volume.shape, normal)
    if volume.mask is not None:
        known = planes.sample(volume.mask.read_part, volume.shape, plane, shape, normal, order=0)
        within &= known.astype(bool)
    return Slice(image, None if within.all() else within)
