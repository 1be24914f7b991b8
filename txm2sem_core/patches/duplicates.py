"""Slices of two splits that show the same rock: copies under two numbers, also cropped, compressed or recorded
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.geometry import Array, Crop, Mask

SIDE = 64  # blocks along the longer side: each averages noise away
SAME_PLACE = 0.99  # correlation of the blocks' means above which two slices show one place
LEAST_BLOCKS = 64  # that two slices must share to be compared


@dataclass(frozen=True)
class PlacedSlice:
    """A slice [Y, X] on the TXM's grid, where on it the slice lies, and where it can be used [Y, X]."""

    pair: str
    split: str
    image: Array
    crop: Crop
    mask: Mask


def duplicates(slices: Sequence[PlacedSlice], kind: str) -> list[str]:
    """Warnings of slices in different splits that show the same rock.

    Args:
        slices: of one kind, on one grid.
        kind: what the warning calls them.
    """
    side = max((max(one.crop.y1, one.crop.x1) for one in slices), default=0)
    means = {one.pair: _block_means(one, max(1, side // SIDE), side) for one in slices}
    return [
        f"The {kind} slices of the pairs {first.pair} ({first.split}) and {second.pair} ({second.split}) are the same "
        f"slice, or nearly so (correlation {agreement:.4f}): one was trained on or chosen by, the other is to judge. "
        "Look whether one is a copy of the other under two numbers, and leave one of the pairs out."
        for first, second in combinations(slices, 2)
        if first.split != second.split and (agreement := _agreement(means, first.pair, second.pair)) > SAME_PLACE
    ]


def _block_means(placed: PlacedSlice, block: int, side: int) -> NDArray[np.float64]:
    """Means over blocks of the TXM's grid; NaN where a block is not whole within the slice."""
    blocks = -(-side // block)
    whole = np.full((blocks * block,) * 2, np.nan)
    crop = placed.crop
    inside = whole[crop.y0 : crop.y1, crop.x0 : crop.x1]
    height, width = (min(a, b) for a, b in zip(inside.shape, placed.image.shape, strict=True))
    inside[:height, :width] = np.where(placed.mask, placed.image, np.nan)[:height, :width]
    return np.asarray(whole.reshape(blocks, block, blocks, block).mean(axis=(1, 3)))


def _agreement(means: Mapping[str, NDArray[np.float64]], first: str, second: str) -> float:
    """Correlation of two slices' blocks where both have them; 0 where they share too few."""
    a, b = means[first], means[second]
    shared = np.isfinite(a) & np.isfinite(b)
    if shared.sum() < LEAST_BLOCKS or np.ptp(a[shared]) == 0 or np.ptp(b[shared]) == 0:
        return 0.0
    return float(np.corrcoef(a[shared], b[shared])[0, 1])
