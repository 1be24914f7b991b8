"""Images in parts that lie in the processor's cache with all that is computed from them.

An array operation on a whole image of 2048 pixels a side waits for memory ten times as long as it computes. Sums over
the parts are added in one order, so that a result is the same bytes every time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError

Image = NDArray[np.generic]
Real = NDArray[np.float64]

TILE_VALUES = 2**15  # 256 KiB an array of float64
_TILE_WIDTH = 256


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of an image `[Y, X]`, from the first on."""
    height, width = shape
    rows = max(1, TILE_VALUES // max(width, 1))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of an image `[Y, X]`, from the first on: wide tiles, so that what lies around them is little."""
    height, width = shape
    rows, columns = TILE_VALUES // _TILE_WIDTH, _TILE_WIDTH
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield slice(top, min(top + rows, height)), slice(left, min(left + columns, width))


def grown(part: slice, by: int) -> slice:
    """With so many more behind it."""
    return slice(part.start, part.stop + by)


def real(part: Image) -> Real:
    """In float64; the same array where it is that."""
    return np.asarray(part, dtype=np.float64)


def check_finite(image: Image, name: str) -> None:
    """InputError for values that are not finite; whole numbers are."""
    if image.dtype.kind not in "fc":
        return
    bad = ~np.isfinite(image)
    if bad.any():
        where = tuple(int(index) for index in np.argwhere(bad)[0])
        raise InputError(
            f"the {name} holds {int(bad.sum())} values that are not finite, the first at {where} (Y, X); "
            "mask or repair them first"
        )
