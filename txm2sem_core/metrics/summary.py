"""One number from many: mean, standard error, and Student's interval over independent units."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError


@dataclass(frozen=True)
class Summary:
    """What is known of a mean.

    Attributes:
        n: number of values.
        n_infinite: how many of them are infinite (PSNR of equal images).
        units: number of independent units that they are of; with one, nothing is known of the mean's error.
        mean: mean over the units of their means; infinite if any value is.
        stderr: standard error of the mean, standard deviation of the units' means / sqrt(units); NaN of one unit or an
            infinite mean.
        low: lower end of Student's interval of the mean; NaN where `stderr` is.
        high: upper end of it.
    """

    n: int
    n_infinite: int
    units: int
    mean: float
    stderr: float
    low: float
    high: float


def summarise(
    values: Iterable[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
    seed: int | None = None,
) -> Summary:
    """Mean, standard error and Student's interval (Biometrika 6 (1908) 1) over independent units.

    Patches of one slice share its charge, its registration and its rock: they are not independent, slices are. So each
    slice has one mean and the same weight, and the interval has `units - 1` degrees of freedom. It holds of few slices
    and of unequal ones (Ibragimov and Mueller, J. Bus. Econ. Stat. 28 (2010) 453), which no bootstrap of patches does:
    docs/method/measures.md has the coverage.

    Args:
        values: scores of single patches, in any unit.
        clusters: the unit, such as a slice, of each value; None if every value is a unit of its own, as seeds are.
        confidence: coverage of the interval, in (0, 1).
        seed: not used, since nothing is random; kept for callers from when the interval was a bootstrap.

    Raises:
        InputError: no values, one of them is NaN, or as many clusters are not given.
    """
    numbers = np.asarray(list(values), dtype=np.float64)
    if numbers.size == 0:
        raise InputError("there is no value to average; the set of patches or slices is empty")
    if np.isnan(numbers).any():
        raise InputError(
            f"value {int(np.flatnonzero(np.isnan(numbers))[0])} of {numbers.size} is NaN; nothing averaged"
        )
    means = numbers if clusters is None else means_of(numbers, clusters)
    low, high, stderr = student_interval(means, confidence)
    return Summary(numbers.size, int(np.isinf(numbers).sum()), means.size, float(means.mean()), stderr, low, high)


def means_of(values: NDArray[np.float64], clusters: Sequence[Hashable]) -> NDArray[np.float64]:
    """Mean of the values of each cluster, in the order in which they come first.

    Raises:
        InputError: not as many clusters as values.
    """
    if len(clusters) != values.size:
        raise InputError(f"{values.size} values cannot be of {len(clusters)} clusters; give one for each")
    numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    labels = np.array([numbers[name] for name in clusters])
    means: NDArray[np.float64] = np.bincount(labels, values) / np.bincount(labels)
    return means


def student_interval(units: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float, float]:
    """Lower and upper end of Student's interval of the mean of independent values, and its standard error.

    All NaN for a single value, which gives no error, or where one is infinite.

    Raises:
        InputError: `confidence` is not between 0 and 1.
    """
    from scipy.special import stdtrit  # here, not above: every prediction imports this module

    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; it must lie between 0 and 1")
    if units.size < 2 or not np.isfinite(units).all():
        return math.nan, math.nan, math.nan
    mean, stderr = float(units.mean()), float(units.std(ddof=1)) / math.sqrt(units.size)
    margin = float(stdtrit(units.size - 1, (1 + confidence) / 2)) * stderr
    return mean - margin, mean + margin, stderr
