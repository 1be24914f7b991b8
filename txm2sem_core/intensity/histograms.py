"""Distributions of intensities, and the distance of a volume's distribution from that of the training slices.

The distance is Wasserstein-1 (the earth mover's): the mean by which the intensities of one image must be shifted to
have the histogram of the other. In one dimension it is the mean distance of equal quantiles (Villani 2003, Topics in
Optimal Transportation, theorem 2.18). It is in units in which the training intensities span -1 to 1, so that one rule
serves every bit depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 320
REACH = 2.5  # bins cover -2.5 to 2.5 in units of the training range; what lies beyond is counted in the last ones
QUANTILES = 64
MOST_PIXELS = 2**16  # of a plane; larger ones are counted by every n-th row and column
LEAST_LIMIT = 0.1  # docs/method/what-would-mislead.md says what this and the next were chosen by
WITHIN_FACTOR = 2.0

_EDGES = np.linspace(-REACH, REACH, BINS + 1)
_SHARES = (np.arange(QUANTILES) + 0.5) / QUANTILES


@dataclass(frozen=True)
class Histogram:
    """Whole numbers of pixels in `BINS` bins: sums of parts do not depend on their order."""

    counts: np.ndarray  # int64 [BINS]

    @classmethod
    def empty(cls) -> Histogram:
        """Of no pixel."""
        return cls(np.zeros(BINS, dtype=np.int64))

    @classmethod
    def of_pixels(cls, unit: np.ndarray) -> Histogram:
        """Of intensities in which the training range is -1 to 1; any shape."""
        positions = (np.clip(unit.ravel(), -REACH, REACH) + np.float32(REACH)) * np.float32(BINS / (2 * REACH))
        bins = np.minimum(positions.astype(np.int64), BINS - 1)
        return cls(np.bincount(bins, minlength=BINS).astype(np.int64))

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(self.counts + other.counts)

    def __sub__(self, other: Histogram) -> Histogram:
        return Histogram(self.counts - other.counts)

    @property
    def total(self) -> int:
        """Pixels in all."""
        return int(self.counts.sum())

    def quantiles(self) -> np.ndarray:
        """Intensities at `QUANTILES` equal shares of the pixels, evenly spread within each bin; NaN without pixels."""
        if self.total == 0:
            return np.full(QUANTILES, np.nan)
        below = np.concatenate([[0.0], np.cumsum(self.counts) / self.total])
        return np.interp(_SHARES, below, _EDGES)

    def as_text(self) -> str:
        """The counts in one line, for JSON."""
        return " ".join(map(str, self.counts.tolist()))

    @classmethod
    def from_text(cls, text: str) -> Histogram:
        """The inverse of `as_text`; ValueError where it is none."""
        counts = np.array([int(word) for word in text.split()], dtype=np.int64)
        if counts.shape != (BINS,) or (counts < 0).any():
            raise ValueError(f"{BINS} counts are needed")
        return cls(counts)


def thinned(plane: np.ndarray) -> np.ndarray:
    """Every n-th row and column of [..., Y, X], at most about `MOST_PIXELS` pixels."""
    step = max(1, math.isqrt(plane.shape[-2] * plane.shape[-1] // MOST_PIXELS))
    return plane[..., ::step, ::step]


@dataclass(frozen=True)
class TrainingDistribution:
    """Distribution of the training slices' grey levels, and how much one slice differs from the others.

    Attributes:
        quantiles: [QUANTILES] of all slices together.
        within: largest Wasserstein distance of one slice to all others together; 0 of a single slice.
    """

    quantiles: tuple[float, ...]
    within: float

    @property
    def limit(self) -> float:
        """The distance beyond which a histogram is unlike the training's."""
        return max(LEAST_LIMIT, WITHIN_FACTOR * self.within)

    def distance(self, histogram: Histogram) -> float:
        """Wasserstein-1 distance, in units in which the training range spans -1 to 1."""
        return wasserstein(np.array(self.quantiles), histogram.quantiles())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"quantiles": list(self.quantiles), "within": self.within}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingDistribution:
        """The inverse of `as_dict`."""
        return cls(tuple(values["quantiles"]), values["within"])


def wasserstein(first: np.ndarray, second: np.ndarray) -> float:
    """Wasserstein-1 distance of two histograms by their equally spaced quantiles [N]."""
    return float(np.abs(first - second).mean())


def distribution_of(slices: Iterable[np.ndarray]) -> TrainingDistribution:
    """The distribution of the training slices.

    Args:
        slices: the usable pixels of each, in which the training range is -1 to 1; any shape.
    """
    each: Sequence[Histogram] = [found for pixels in slices if (found := Histogram.of_pixels(pixels)).total]
    whole = sum(each, Histogram.empty())
    others = [wasserstein(one.quantiles(), (whole - one).quantiles()) for one in each] if len(each) > 1 else [0.0]
    return TrainingDistribution(tuple(round(float(q), 5) for q in whole.quantiles()), round(max(others), 5))
