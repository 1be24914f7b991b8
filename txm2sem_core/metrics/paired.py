"""Whether one variant is better than another, on the patches that both predicted."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.summary import means_of, student_interval

FEWEST_CLUSTERS = 2  # of one slice there is no telling how much another would differ


@dataclass(frozen=True)
class PairedTest:
    """The difference of two sets of scores of the same patches, first minus second.

    Attributes:
        n: patches with a finite difference.
        clusters: slices that they lie in.
        unit: what is taken as independent: always `slice`.
        difference: mean over the slices of their mean differences.
        low: lower end of Student's interval of it, with `clusters - 1` degrees of freedom; NaN of one slice.
        high: upper end of it.
        p: two-sided, of Student's paired test over the slices' means; 1 where nothing differs, NaN of one slice.
    """

    n: int
    clusters: int
    unit: str
    difference: float
    low: float
    high: float
    p: float


def paired_test(
    first: Sequence[float],
    second: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    seed: int | None = None,
    confidence: float = 0.95,
) -> PairedTest:
    """Compare scores of the same patches under two variants.

    Patches of one slice share its charge, its registration and its rock, so the slices are the independent units: each
    has one mean difference and the same weight; see `summarise`. Slices so near each other that they show the same
    grains are not independent either, and then the interval is too narrow.

    Args:
        first: scores `[N]` of one variant.
        second: scores `[N]` of the other, of the same patches in the same order.
        clusters: which slice each patch is of, `[N]`.
        seed: not used, since nothing is random; kept for callers from when the interval was a bootstrap.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        InputError: lengths differ, or no difference is finite.
    """
    if not len(first) == len(second) == len(clusters):
        raise InputError(f"paired scores differ in number: {len(first)}, {len(second)}, of {len(clusters)} patches")
    with np.errstate(invalid="ignore"):
        differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    finite = np.isfinite(differences)
    if not finite.any():
        raise InputError("there is no patch of which both variants have a finite score")
    means = means_of(differences[finite], [name for name, known in zip(clusters, finite, strict=True) if known])
    low, high, _ = student_interval(means, confidence)
    count = int(np.count_nonzero(finite))
    return PairedTest(count, means.size, "slice", float(means.mean()), low, high, _student_p(means))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number (Holm), so that they hold for all tests together.

    Holm, Scand. J. Statist. 6 (1979) 65. What is NaN was not tested, stays NaN, and does not count.
    """
    given = np.asarray(p_values, dtype=np.float64)
    tested = ~np.isnan(given)
    p = given[tested]
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    result = np.full(given.size, math.nan)
    result[tested] = adjusted
    return [float(value) for value in result]


def _student_p(means: NDArray[np.float64]) -> float:
    from scipy.special import stdtr  # here, not above: every prediction imports this module

    if means.size < FEWEST_CLUSTERS:
        return math.nan
    if not means.any():
        return 1.0
    stderr = float(means.std(ddof=1)) / math.sqrt(means.size)
    return 0.0 if stderr == 0 else float(2 * stdtr(means.size - 1, -abs(float(means.mean())) / stderr))
