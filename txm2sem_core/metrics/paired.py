"""Whether one variant is better than another, on the patches that both predicted."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError

FEWEST_CLUSTERS = 6  # with fewer, Wilcoxon's p cannot fall below 0.05, and a bootstrap draws the same few over again
RESAMPLES = 2000


@dataclass(frozen=True)
class PairedTest:
    """The difference of two sets of scores of the same patches, first minus second.

    Attributes:
        n: patches whose difference is finite.
        clusters: slices that they lie in.
        unit: what was taken as independent: `slice`, or `patch` where there are too few slices; then the interval is
            too narrow and p too small, as far as patches of one slice are alike.
        difference: mean difference.
        low: lower end of the bootstrap interval of the mean difference; NaN of one unit.
        high: upper end of it.
        p: two-sided, of Wilcoxon's signed-rank test (Biometrics Bull. 1 (1945) 80); 1 where nothing differs.
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
    seed: int,
    confidence: float = 0.95,
) -> PairedTest:
    """Compare scores of the same patches under two variants.

    Patches of one slice share its charge, its registration and its rock, so with at least six slices the slices are
    what is drawn by the bootstrap (with all their patches; Davison and Hinkley 1997, 3.8) and what the test ranks (by
    their mean difference). With fewer, single patches are, and `unit` says so.

    Args:
        first: scores `[N]` of one variant.
        second: scores `[N]` of the other, of the same patches in the same order.
        clusters: which slice each patch is of, `[N]`.
        seed: of the bootstrap.
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
    differences = differences[finite]
    names = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    labels = np.array([names[name] for name in clusters])[finite]
    present, labels = np.unique(labels, return_inverse=True)
    by_slice = present.size >= FEWEST_CLUSTERS
    sums = np.bincount(labels, differences).astype(np.float64) if by_slice else differences
    counts = np.bincount(labels).astype(np.float64) if by_slice else np.ones(differences.size)
    low, high = _interval(sums, counts, seed, confidence)
    return PairedTest(
        differences.size,
        int(present.size),
        "slice" if by_slice else "patch",
        float(differences.mean()),
        low,
        high,
        _signed_rank(sums / counts),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number: the chance of any false finding stays what it says.

    Holm, Scand. J. Statist. 6 (1979) 65.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def _interval(
    sums: NDArray[np.float64], counts: NDArray[np.float64], seed: int, confidence: float
) -> tuple[float, float]:
    """Percentile interval of the mean over units, each drawn whole."""
    if sums.size < 2:
        return math.nan, math.nan
    generator = np.random.default_rng([seed, sums.size])
    drawn = generator.integers(sums.size, size=(RESAMPLES, sums.size))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _signed_rank(differences: NDArray[np.float64]) -> float:
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0
