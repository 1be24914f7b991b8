"""Points that someone has marked in two images, as BigWarp and napari save them. Coordinates are pixels, (x, y)."""

from __future__ import annotations

import csv
import math
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.io.tables import read_text

Points = NDArray[np.float64]

BIGWARP_COLUMNS = 6  # name, active, x and y of the moving point, x and y of the fixed one; two more in three dimensions
NAPARI_COLUMNS = ("axis-0", "axis-1")
FEWEST = 2


def read_bigwarp(path: Path) -> tuple[Points, Points]:
    """The active points of BigWarp's "Export landmarks": those of the moving image, and of the fixed one, [N, 2].

    Raises:
        InputError: not of this form, in three dimensions, or fewer than two points.
    """
    rows = [[cell.strip() for cell in row] for row in csv.reader(StringIO(read_text(path))) if any(row)]
    if any(len(row) != BIGWARP_COLUMNS for row in rows):
        raise InputError(
            f"{path}: landmarks of two images have {BIGWARP_COLUMNS} columns: name, active, x, y of the FIB-SEM slice, "
            "x, y of the TXM slice, as BigWarp exports them. Export them from two-dimensional images."
        )
    active = [row for row in rows if row[1].lower() == "true"]
    points = _numbers(path, [row[2:] for row in active])
    return points[:, :2], points[:, 2:]


def read_napari(path: Path) -> Points:
    """The points [N, 2] of one of napari's layers of points, in their order.

    Raises:
        InputError: no columns `axis-0` and `axis-1`, further axes, or fewer than two points.
    """
    reader = csv.DictReader(StringIO(read_text(path)))
    axes = [name for name in reader.fieldnames or () if name.startswith("axis-")]
    if tuple(axes) != NAPARI_COLUMNS:
        raise InputError(
            f"{path}: columns {' and '.join(NAPARI_COLUMNS)} are needed, as napari saves points of a plane."
        )
    return _numbers(path, [[row[name] for name in reversed(NAPARI_COLUMNS)] for row in reader])


def _numbers(path: Path, rows: list[list[str]]) -> Points:
    try:
        points = np.array([[float(cell) for cell in row] for row in rows], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: a coordinate is no number ({error}).") from error
    if len(points) < FEWEST or not all(math.isfinite(value) for value in points.flat):
        raise InputError(f"{path}: {FEWEST} points or more, with finite coordinates, are needed; it has {len(points)}.")
    return points
