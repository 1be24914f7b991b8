"""Where the data bar of an electron microscope lies: a band at the lower or upper edge of one or two grey levels."""

from __future__ import annotations

import numpy as np

from txm2sem_core.geometry import Array

BAR_SHARE = 0.8  # of a bar's row that its two most frequent grey levels fill; the edges of letters have others
IMAGE_SHARE = 0.6  # the median of the other rows must lie below, or two levels are nothing odd in this image
SMALLEST_ROWS = 4
LARGEST_FRACTION = 0.35  # of the image's height
GAP_ROWS = 2  # rows of a frame or of a blurred seam that may lie within the bar


def bar_rows(image: Array) -> tuple[int, int]:
    """How many rows at the upper and at the lower edge of `image` [Y, X] belong to a data bar or an empty border."""
    shares = np.array([_share_of_two_levels(row) for row in image])
    top, bottom = _rows_from(shares), _rows_from(shares[::-1])
    inner = shares[top : len(shares) - bottom]
    return (top, bottom) if inner.size and np.median(inner) < IMAGE_SHARE else (0, 0)


def _share_of_two_levels(row: Array) -> float:
    counts = np.sort(np.unique(row, return_counts=True)[1])
    return float(counts[-2:].sum() / row.size)


def _rows_from(shares: np.ndarray) -> int:
    """Length of the bar that begins with the first entry; 0 where there is none."""
    last = -1
    for row in np.flatnonzero(shares >= BAR_SHARE):
        if row - last > GAP_ROWS + 1:
            break
        last = int(row)
    length = last + 1
    return length if SMALLEST_ROWS <= length <= LARGEST_FRACTION * shares.size else 0
