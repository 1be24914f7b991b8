"""Where the data bar of an electron microscope lies: a band at the lower or upper edge of one or two grey levels.

Where the file states how many rows at its lower edge are a bar, these are; what is left is looked at all the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from txm2sem_core.geometry import Array, Mask
from txm2sem_core.intensity.measured import Slice

BAR_SHARE = 0.8  # of a bar's row that its two most frequent grey levels fill; the edges of letters have others
IMAGE_SHARE = 0.6  # the median of the other rows must lie below, or two levels are nothing odd in this image
LEAST_MEASURED = 0.5
SMALLEST_ROWS = 4
LARGEST_FRACTION = 0.35  # of the image's height
GAP_ROWS = 2  # rows of a frame or of a blurred seam that may lie within the bar


class Bar(NamedTuple):
    """Rows of a slice that are a data bar or an empty border."""

    top: int = 0
    bottom: int = 0
    stated: int = 0  # of those at the bottom, by the file

    @property
    def in_words(self) -> list[str]:
        """What was cut off; nothing where nothing was."""
        said = f" ({self.stated} of them a data bar by the file's metadata)" if self.stated else ""
        sides = ((self.top, "top", ""), (self.bottom, "bottom", said))
        return [
            f"{rows} rows of data bar or empty border cut off at the {side}{by}" for rows, side, by in sides if rows
        ]


NO_BAR = Bar()


def cut_bar(image: Slice) -> tuple[Slice, Bar]:
    """The slice, of whose data bar nothing counts as measured, and the bar's rows at the top and at the bottom.

    Nothing is looked for where a mask of what was measured was given; rows that are found not to be measured anyway,
    as the border of an aligned stack, are no bar.
    """
    if image.given is not None:
        return image, NO_BAR
    stated = image.bar_rows
    rest = Slice(image.image[: image.shape[0] - stated]) if stated else image
    rows = bar_rows(rest.image, rest.mask)
    top = rows[0] if rest.mask[: rows[0]].any() else 0
    bottom = stated + (rows[1] if rest.mask[rest.shape[0] - rows[1] :].any() else 0)
    if not top and not bottom:
        return image, NO_BAR
    within = slice(top, image.shape[0] - bottom)
    mask = np.zeros(image.shape, dtype=bool)
    mask[within] = Slice(image.image[within]).mask
    return Slice(image.image, mask), Bar(top, bottom, stated)


def bar_rows(image: Array, known: Mask | None = None) -> tuple[int, int]:
    """How many rows at the upper and at the lower edge of `image` [Y, X] belong to a data bar or an empty border.

    A row that was measured in part by `known` [Y, X], but by less than half, crosses the border of a turned image.
    """
    shares = np.array([_share_of_two_levels(row) for row in image])
    if known is not None:
        part = known.mean(axis=1)
        shares[(part > 0) & (part < LEAST_MEASURED)] = 0
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
