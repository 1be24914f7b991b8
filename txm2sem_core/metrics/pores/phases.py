"""What the grey levels mean: phases, their shares, and how they lie in space.

All functions are pure and take arrays of any dimension (`[Y, X]` or `[Z, Y, X]`) unless they say otherwise. Phases are
numbered from the darkest: in a FIB-SEM image of shale with four phases, 0 is pore, 1 organic matter, 2 mineral matrix,
3 heavy minerals.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.masks import check_mask


class Segmenter(Protocol):
    """Segments an image into phases: `[Y, X]` grey levels to phase numbers of the same shape, 0 the darkest."""

    @property
    def phases(self) -> int:
        """How many there are."""

    def __call__(self, image: NDArray[np.generic], /) -> NDArray[np.uint8]:
        """Phase number of every pixel."""


@dataclass(frozen=True)
class Thresholds:
    """A segmenter by grey levels alone; see `segment`."""

    levels: tuple[float, ...]

    @property
    def phases(self) -> int:
        """One more than there are thresholds."""
        return len(self.levels) + 1

    def __call__(self, image: NDArray[np.generic], /) -> NDArray[np.uint8]:
        """Phase number of every pixel."""
        return segment(image, self.levels)


def segment(image: NDArray[np.generic], thresholds: tuple[float, ...]) -> NDArray[np.uint8]:
    """Phase number of every pixel: how many thresholds its grey level exceeds. Shape kept.

    Raises:
        InputError: thresholds missing or not ascending, or grey levels not finite.
    """
    if not thresholds or any(high <= low for low, high in itertools.pairwise(thresholds)):
        raise InputError(f"thresholds {thresholds} must be one or more ascending grey levels")
    values = np.asarray(image)
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:  # as many grey levels as a table has room for
        table = np.digitize(np.arange(2 ** (8 * values.dtype.itemsize)), thresholds, right=True).astype(np.uint8)
        return table[values]
    if not np.isfinite(values).all():
        raise InputError("the image to segment holds values that are not finite; mask them first")
    return np.digitize(values, thresholds, right=True).astype(np.uint8)


def confusion(
    prediction: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    phases: int,
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Pixel counts `[truth phase, predicted phase]` of two label images of equal shape, within the mask if given."""
    if prediction.shape != truth.shape:
        raise InputError(f"label images differ in shape: prediction {prediction.shape}, truth {truth.shape}")
    if max(int(prediction.max(initial=0)), int(truth.max(initial=0))) >= phases:
        raise InputError(f"a label image holds a phase above {phases - 1}, the last of {phases}")
    codes = truth.astype(np.int64) * phases + prediction
    if mask is not None:
        codes = codes[check_mask(mask, truth)]
    return np.bincount(codes.ravel(), minlength=phases * phases).reshape(phases, phases)


def phase_fractions(labels: NDArray[np.uint8], phases: int) -> NDArray[np.float64]:
    """Share of each phase `[phases]`, sum 1; phase 0 is the darkest."""
    if labels.size == 0 or int(labels.max()) >= phases:
        raise InputError(f"a label image of shape {labels.shape} is empty or holds a phase above {phases - 1}")
    return np.bincount(labels.ravel(), minlength=phases) / labels.size


def dice(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Dice coefficient `2 |A and B| / (|A| + |B|)` of two boolean arrays (Dice, Ecology 26 (1945) 297-302).

    1 where they are equal, 0 where they never meet, NaN where both are empty and there is nothing to agree on.
    """
    if prediction.shape != truth.shape or prediction.dtype != np.bool_ or truth.dtype != np.bool_:
        raise InputError(
            f"Dice needs two boolean arrays of one shape, not {prediction.dtype} {prediction.shape} "
            f"and {truth.dtype} {truth.shape}"
        )
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    return 2 * int(np.count_nonzero(prediction & truth)) / total if total else math.nan


def dice_from_confusion(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Dice coefficient of every phase `[phases]` from `confusion`'s counts; NaN for a phase that neither image has."""
    both = np.diagonal(counts).astype(np.float64)
    total = counts.sum(axis=0) + counts.sum(axis=1)
    return np.divide(2 * both, total, out=np.full(both.shape, math.nan), where=total > 0)


def two_point_probability(
    phase: NDArray[np.bool_], axis: int, max_lag_px: int | None = None, mask: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Probability that two points a distance apart along one axis both lie in the phase, S2(r).

    Torquato, Random Heterogeneous Materials (2002), section 2.2. Every pair of pixels inside the array counts and none
    across its borders: `S2[r]` is (pairs `i`, `i + r` both in the phase) / (pairs), exact up to the last division.
    `S2[0]` is the phase's share; `S2` falls to about its square where the points are no longer correlated.

    Args:
        phase: boolean, True in the phase.
        axis: along which to measure (0 is z in a `[Z, Y, X]` volume).
        max_lag_px: greatest distance in pixels; half the length of the axis if not given.
        mask: True where a pixel counts; only pairs of which both do are counted.

    Returns:
        `[max_lag_px + 1]`, distances 0, 1, 2, ... pixels; multiply the index by the voxel size along the axis. NaN
        where no pair counts.
    """
    if phase.dtype != np.bool_ or phase.size == 0 or not -phase.ndim <= axis < phase.ndim:
        raise InputError(
            f"two-point probability needs a boolean array with axis {axis}, not {phase.dtype} {phase.shape}"
        )
    length = phase.shape[axis]
    max_lag = length // 2 if max_lag_px is None else max_lag_px
    if not 0 <= max_lag < length:
        raise InputError(f"a lag of {max_lag} pixels does not fit into axis {axis} of {length} pixels")
    lags = range(max_lag + 1)
    if mask is None:
        pairs = _pairs(phase, axis, lags)
        possible = np.array([phase.size // length * (length - lag) for lag in lags], np.float64)
    else:
        pairs, possible = _pairs(phase & check_mask(mask, phase), axis, lags), _pairs(mask, axis, lags)
    return np.divide(pairs, possible, out=np.full(pairs.shape, math.nan), where=possible > 0)


def _pairs(field: NDArray[np.bool_], axis: int, lags: Iterable[int]) -> NDArray[np.float64]:
    """How many pairs of pixels so far apart along an axis are both True."""
    lines = np.moveaxis(field, axis, 0)
    words = packed(lines.reshape(len(lines), -1))
    return np.array([both(words[: len(words) - lag], words[lag:]) for lag in lags], np.float64)


def packed(lines: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Lines `[N, M]`, 64 pixels of one in a number; behind its end there are none."""
    held = np.zeros((len(lines), -(-lines.shape[1] // 64) * 8), np.uint8)
    bits = np.packbits(lines, axis=1)
    held[:, : bits.shape[1]] = bits
    return held.view(np.uint64)


def both(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> int:
    """How many pixels are True in both of what `packed` made."""
    return int(np.bitwise_count(first & second).sum(dtype=np.int64))
