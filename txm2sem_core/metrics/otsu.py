"""Thresholds that separate phases: exact multi-Otsu over the grey levels that occur, without outliers.

scikit-image's `threshold_multiotsu` tries every set of thresholds, which of 16-bit data takes years; over fewer bins a
level falls on the wrong side of a threshold. Here the same greatest variance is found by dynamic programming (Fisher,
J. Amer. Statist. Assoc. 53 (1958) 789), whose best cuts move up with the level that they end at (Gronlund et al. 2017,
arXiv 1701.07204): 65,536 levels take a quarter of a second.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError

MOST_LEVELS = 2**16  # so many are distinguished exactly; float data of more is put into bins
FLOAT_BINS = 4096  # of the believed range
TAIL = 0.001  # of the pixels at each end may be hot, dead, or dust
MARGIN = 0.5  # of the range without the tails, by which a tail may go beyond it and still be believed
SAMPLED = 2**21  # pixels at most, evenly taken, by which the tails of data of many levels are found

Real = NDArray[np.float64]
Parts = Callable[[], Iterable[NDArray[np.generic]]]


@dataclass(frozen=True)
class ThresholdFit:
    """Thresholds, and which pixels they were fitted on.

    Attributes:
        levels: ascending; a grey level above `n` of them belongs to phase `n`.
        low: least grey level that was believed.
        high: greatest of them.
        pixels: number of pixels in all.
        outside: how many of them lie beyond `low` and `high`, or are not finite. They do not move the thresholds.
    """

    levels: tuple[float, ...]
    low: float
    high: float
    pixels: int
    outside: int

    @property
    def remark(self) -> str:
        """One sentence on the pixels that were left out; empty where none was."""
        if not self.outside:
            return ""
        return (
            f"{self.outside} of {self.pixels} pixels lie outside the grey levels {self.low:g} to {self.high:g}, or are "
            "not finite; the thresholds were fitted without them"
        )


def multi_otsu_thresholds(pixels: NDArray[np.generic], phases: int) -> tuple[float, ...]:
    """Grey levels that separate `phases` phases with the greatest variance between them; see `fit_thresholds`.

    Warns of pixels outside the accepted range.
    """
    return thresholds_of_slices(lambda: [pixels], phases)


def thresholds_of_slices(slices: Parts, phases: int) -> tuple[float, ...]:
    """`multi_otsu_thresholds` of a volume, read slice by slice."""
    found = fit_thresholds(slices, phases)
    if found.remark:
        warnings.warn(f"{found.remark}.", stacklevel=3)
    return found.levels


def fit_thresholds(parts: Parts, phases: int) -> ThresholdFit:
    """Thresholds with the greatest variance between the phases (Otsu 1979), and what they were fitted on.

    Fit them once, on pixels of the truth, and use the same on truth and prediction: thresholds fitted to each hide a
    shift in grey level. A grey level belongs to the phase above a threshold if it is greater (`segment`). Each
    threshold lies midway between the two neighbouring levels that it separates.

    Exact for data of up to 65,536 different levels, 8-bit and 16-bit ones among them; float data of more is put into
    4096 bins of the believed range, so that a threshold is off by one bin at most.

    A few hot pixels must not form a phase of their own. Of at least 1000 pixels those are left out that lie further
    beyond the 0.1 and 99.9 percentiles than half of the distance of these two, and those that are not finite. Where
    fewer levels than phases would be left, all finite ones are used.

    Args:
        parts: gives the pixels, part by part, in any shapes; called again if there are too many levels to count.
        phases: number of phases, 2 to 5.

    Raises:
        InputError: `phases` out of range, or fewer different grey levels than phases.
    """
    if not 2 <= phases <= 5:
        raise InputError(f"phases is {phases}; multi-Otsu thresholds are fitted for 2 to 5 phases")
    seen = _Seen()
    for part in parts():
        seen.add(part)
    if seen.levels is not None:
        levels, counts, low, high = _inliers(seen.levels, seen.counts, phases)
        cuts = best_cuts(levels, counts, phases)
        thresholds = (levels[cuts - 1] + levels[cuts]) / 2
    else:
        low, high = seen.range_of_sample()
        levels, counts, edges = _binned(parts, low, high)
        cuts = best_cuts(levels, counts, phases)
        thresholds = (edges[cuts - 1, 1] + edges[cuts, 0]) / 2
    inside = int(counts.sum())
    return ThresholdFit(tuple(map(float, thresholds)), low, high, seen.pixels, seen.pixels - inside)


class _Seen:
    """Different levels with their counts as long as there are not too many, and a sample for when there are."""

    def __init__(self) -> None:
        self.levels: Real | None = np.empty(0)
        self.counts = np.empty(0, np.int64)
        self.pixels = 0
        self._least, self._greatest = math.inf, -math.inf
        self._sample: list[NDArray[np.generic]] = []
        self._step = 1

    def add(self, part: NDArray[np.generic]) -> None:
        """Take all pixels of a part."""
        values = np.asarray(part).ravel()
        self.pixels += values.size
        values = values[np.isfinite(values)]
        if not values.size:
            return
        self._least, self._greatest = min(self._least, float(values.min())), max(self._greatest, float(values.max()))
        self._keep(values)
        if self.levels is None:
            return
        own, numbers = _different(values)
        merged, positions = np.unique(np.concatenate([self.levels, own]), return_inverse=True)
        self.counts = np.bincount(positions, np.concatenate([self.counts, numbers]), merged.size).astype(np.int64)
        self.levels = merged if merged.size <= MOST_LEVELS else None

    def _keep(self, values: NDArray[np.generic]) -> None:
        self._sample.append(values[:: self._step].copy())
        if sum(kept.size for kept in self._sample) > SAMPLED:
            self._sample = [kept[::2].copy() for kept in self._sample]
            self._step *= 2

    def range_of_sample(self) -> tuple[float, float]:
        """The range without outliers of data of many levels; the whole range where nearly all pixels are equal."""
        sample = np.sort(np.concatenate(self._sample).astype(np.float64))
        tail = int(TAIL * sample.size)
        low, high = _widened(float(sample[tail]), float(sample[-1 - tail]))
        low, high = max(low, self._least), min(high, self._greatest)
        return (low, high) if high > low else (self._least, self._greatest)


def _different(values: NDArray[np.generic]) -> tuple[Real, NDArray[np.int64]]:
    """Different values, ascending, and how often each comes; of 8 and 16 bits without sorting them."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        counted = np.bincount(values)
        there = np.flatnonzero(counted)
        return there.astype(np.float64), counted[there]
    own, numbers = np.unique(values.astype(np.float64), return_counts=True)
    return own, numbers


def _inliers(levels: Real, counts: NDArray[np.int64], phases: int) -> tuple[Real, NDArray[np.int64], float, float]:
    """The levels without those far beyond the others, and the range that they span."""
    if levels.size < phases:
        raise InputError(
            f"{levels.size} different grey levels cannot be separated into {phases} phases. Lower measure.phases "
            "(--phases), give thresholds of your own (measure.thresholds, --threshold), or see whether this is the "
            "right image."
        )
    below = np.cumsum(counts)
    tail = int(TAIL * below[-1])
    low, high = _widened(
        float(levels[np.searchsorted(below, tail, side="right")]),
        float(levels[np.searchsorted(below, below[-1] - tail, side="left")]),
    )
    inside = (levels >= low) & (levels <= high)
    if np.count_nonzero(inside) >= phases:
        levels, counts = levels[inside], counts[inside]
    return levels, counts, float(levels[0]), float(levels[-1])


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = MARGIN * (high - low)
    return low - margin, high + margin


def _binned(parts: Parts, low: float, high: float) -> tuple[Real, NDArray[np.int64], Real]:
    """Means of the values in each bin that holds any, their numbers, and the bins' edges `[bins, 2]`."""
    counts, sums = np.zeros(FLOAT_BINS), np.zeros(FLOAT_BINS)
    edges = np.linspace(low, high, FLOAT_BINS + 1)
    for part in parts():
        values = np.asarray(part, dtype=np.float64).ravel()
        values = values[(values >= low) & (values <= high)]
        counts += np.histogram(values, edges)[0]
        sums += np.histogram(values, edges, weights=values)[0]
    held = counts > 0
    return sums[held] / counts[held], counts[held].astype(np.int64), np.stack([edges[:-1], edges[1:]], axis=1)[held]


def best_cuts(levels: Real, counts: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Where ascending levels are cut into `classes` with the greatest variance between them: the first
    level of each class but the darkest.

    Args:
        levels: different grey levels `[N]`, ascending.
        counts: pixels of each `[N]`.
        classes: at most `N`.
    """
    centred = levels - np.average(levels, weights=counts)  # the sums' squares would lose digits otherwise
    number = np.concatenate([[0.0], np.cumsum(counts)])
    total = np.concatenate([[0.0], np.cumsum(counts * centred)])
    best = np.full(number.size, -math.inf)
    best[1:] = total[1:] ** 2 / number[1:]
    leaders = []
    for made in range(1, classes):
        best, leader = _one_class_more(best, number, total, made)
        leaders.append(leader)
    cuts, end = [], levels.size
    for leader in reversed(leaders):
        end = int(leader[end])
        cuts.append(end)
    return np.array(cuts[::-1], dtype=np.int64)


def _one_class_more(best: Real, number: Real, total: Real, made: int) -> tuple[Real, NDArray[np.int64]]:
    """The greatest sum of squares over sizes of the first `e` levels in one class more, and where that class begins.

    The best beginning never falls as `e` rises, so of a stretch of `e` the middle is solved and bounds both halves; all
    stretches of one depth at once.
    """
    ends = number.size
    result, leader = np.full(ends, -math.inf), np.zeros(ends, np.int64)
    first, last = np.array([made + 1]), np.array([ends - 1])  # a stretch of ends
    least, greatest = np.array([made]), np.array([ends - 2])  # where their class may begin
    while first.size:
        middle = (first + last) // 2
        top = np.minimum(greatest, middle - 1)
        sizes = top - least + 1
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        begin = np.arange(sizes.sum()) - np.repeat(starts - least, sizes)
        end = np.repeat(middle, sizes)
        value = best[begin] + (total[end] - total[begin]) ** 2 / (number[end] - number[begin])
        greatest_value = np.maximum.reduceat(value, starts)
        hits = np.flatnonzero(value == np.repeat(greatest_value, sizes))
        chosen = begin[hits[np.searchsorted(hits, starts)]]
        result[middle], leader[middle] = greatest_value, chosen
        lower, upper = first < middle, middle < last
        first, last, least, greatest = (
            np.concatenate([first[lower], middle[upper] + 1]),
            np.concatenate([middle[lower] - 1, last[upper]]),
            np.concatenate([least[lower], chosen[upper]]),
            np.concatenate([chosen[lower], greatest[upper]]),
        )
    return result, leader
