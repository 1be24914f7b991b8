"""One figure from many: mean, standard error, and a bootstrap interval over patches or slices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from txm2sem_core.errors import InputError


@dataclass(frozen=True)
class Summary:
    """What is known of a mean.

    Attributes:
        n: number of values.
        n_infinite: how many of them are infinite (PSNR of equal images).
        mean: arithmetic mean; infinite if any value is.
        stderr: standard error of the mean, sample standard deviation / sqrt(n); NaN for one value or an infinite mean.
        low: lower end of the bootstrap interval of the mean; NaN where `stderr` is.
        high: upper end of it.
    """

    n: int
    n_infinite: int
    mean: float
    stderr: float
    low: float
    high: float


def summarise(values: Iterable[float], *, seed: int, confidence: float = 0.95, resamples: int = 2000) -> Summary:
    """Mean, standard error and percentile-bootstrap interval of the mean (Efron, Ann. Statist. 7 (1979) 1-26).

    The values are taken as independent. Patches of one slice are not quite: both spreads are then too narrow, and the
    spread over slices or seeds is the safer one.

    Args:
        values: figures of single patches or slices, in any unit.
        seed: of the bootstrap; same values and seed, same interval.
        confidence: coverage of the interval, in (0, 1).
        resamples: number of bootstrap samples.

    Raises:
        InputError: no values, or one of them is NaN.
    """
    figures = np.asarray(list(values), dtype=np.float64)
    if figures.size == 0:
        raise InputError("there is no value to average; the set of patches or slices is empty")
    if np.isnan(figures).any():
        raise InputError(
            f"value {int(np.flatnonzero(np.isnan(figures))[0])} of {figures.size} is NaN; nothing averaged"
        )
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; it must lie between 0 and 1")
    n_infinite = int(np.isinf(figures).sum())
    n = int(figures.size)
    mean = float(figures.mean())
    if n == 1 or n_infinite:
        return Summary(n, n_infinite, mean, math.nan, math.nan, math.nan)
    generator = np.random.default_rng([seed, n])
    means = [float(generator.choice(figures, n).mean()) for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Summary(n, 0, mean, float(figures.std(ddof=1)) / math.sqrt(n), float(low), float(high))
