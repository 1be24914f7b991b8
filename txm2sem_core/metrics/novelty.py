"""How unlike the training slices a place of the TXM is: distances between small tiles.

A network can only know what it was shown. The distance of a tile to the nearest tile that was shown is what core-set
selection makes small (Sener and Savarese 2018, arXiv 1708.00489), there between features of a network; here between
six numbers that anyone can recompute.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.masks import Mask

Real = NDArray[np.float64]
TILE_PX = 32
_PERCENTILES = (10, 50, 90)
_WIDTHS_PX = (0.0, 1.0, 2.0, 4.0)  # of Gaussians: what lies between two is one band of detail
NUMBERS = len(_PERCENTILES) + len(_WIDTHS_PX) - 1


def describe_tiles(image: NDArray[np.generic], mask: Mask | None = None) -> tuple[Real, NDArray[np.intp]]:
    """Describe the tiles of a slice that lie wholly within what was measured.

    Args:
        image: TXM slice `[Y, X]`, prepared as for the network.
        mask: of the pixels that were measured; None for all of them.

    Returns:
        Descriptions `[N, 6]`: three percentiles of the grey levels, and the root mean square of the detail of 1, 2 and
        4 pixels; and the first pixel (y, x) of each tile, `[N, 2]`.
    """
    known = np.ones(image.shape, bool) if mask is None else mask
    plane = np.where(known, image, 0).astype(np.float64)
    smooth = [ndimage.gaussian_filter(plane, width) if width else plane for width in _WIDTHS_PX]
    details = [_in_tiles((finer - coarser) ** 2) for finer, coarser in itertools.pairwise(smooth)]
    whole = _in_tiles(known).all(axis=-1)
    levels = np.percentile(_in_tiles(plane).astype(np.float64), _PERCENTILES, axis=-1)
    described = np.stack([*levels, *(np.sqrt(detail.mean(axis=-1)) for detail in details)], axis=-1)
    return described[whole], np.argwhere(whole) * TILE_PX


def _in_tiles(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """`[Y, X]` as `[rows, columns, pixels of a tile]`, without what is left at the ends."""
    rows, columns = (n // TILE_PX for n in image.shape)
    cut = image[: rows * TILE_PX, : columns * TILE_PX].reshape(rows, TILE_PX, columns, TILE_PX)
    return cut.swapaxes(1, 2).reshape(rows, columns, TILE_PX**2)


@dataclass(frozen=True)
class Novelty:
    """Distances to the training slices, in units of the distances that these have between one another.

    Attributes:
        unit: the median distance of a tile of one training slice to the nearest of another.
        spread: standard deviation of each number over the training tiles, by which it is divided.
        known: descriptions of all training tiles, so divided.
    """

    unit: float
    spread: Real
    known: cKDTree

    @classmethod
    def of(cls, slices: Sequence[Real]) -> Novelty:
        """Learn what is known.

        Args:
            slices: descriptions `[N, 6]` of the tiles of each training slice.

        Raises:
            InputError: fewer than two slices have a tile, or all tiles are the same.
        """
        filled = [one for one in slices if len(one)]
        if len(filled) < 2:
            raise InputError(
                f"novelty needs two training slices that hold a measured tile of {TILE_PX} x {TILE_PX} pixels, but "
                f"{len(filled)} of {len(slices)} do."
            )
        spread = np.concatenate(filled).std(axis=0)
        spread[spread == 0] = np.inf  # a number that never changes tells nothing
        scaled = [one / spread for one in filled]
        between = [
            cKDTree(np.concatenate([*scaled[:at], *scaled[at + 1 :]])).query(one)[0] for at, one in enumerate(scaled)
        ]
        unit = float(np.median(np.concatenate(between)))
        if unit == 0:
            raise InputError("all tiles of the training slices are the same, so that nothing can be told from them.")
        return cls(unit, spread, cKDTree(np.concatenate(scaled)))

    def __call__(self, described: Real) -> Real:
        """Of tiles `[N, 6]`: `[N]`, 1 where a tile is as new as one training slice is to the others."""
        return self.known.query(described / self.spread)[0] / self.unit

    def distances(self, described: Real, others: Real) -> Real:
        """Of tiles `[N, 6]` to the nearest of others `[M, 6]`, in the same unit: `[N]`."""
        return cKDTree(others / self.spread).query(described / self.spread)[0] / self.unit


def choose_next(
    novelty: Novelty, places: Sequence[Real], weight: Real, free: NDArray[np.bool_], count: int
) -> tuple[list[int], Real]:
    """Choose places one after the other, each of which takes away most novelty of all, knowing those before it.

    Args:
        novelty: of what is known before.
        places: descriptions `[N, 6]` of the tiles of each place, as of a slice.
        weight: what each tile of all places counts, in their order; 1 in the mean.
        free: of each place, whether it may be chosen.
        count: places to choose; fewer where fewer are free.

    Returns:
        The indices of those chosen, in order; and of each place the fall in novelty by it alone, mean over all tiles.
    """
    everything = np.concatenate(places)
    now = novelty(everything)
    falls = np.stack([now - np.minimum(now, novelty.distances(everything, own)) for own in places])
    chosen: list[int] = []
    gone = np.zeros_like(now)
    for _ in range(min(count, int(free.sum()))):
        saved = (np.maximum(falls - gone, 0) * weight).mean(axis=1)
        open_to = free & ~np.isin(np.arange(len(places)), chosen)
        chosen.append(int(np.argmax(np.where(open_to, saved, -np.inf))))
        gone = np.maximum(gone, falls[chosen[-1]])
    return chosen, (falls * weight).mean(axis=1)
