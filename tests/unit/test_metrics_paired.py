"""Tests between variants against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import holm, paired_test

RNG = np.random.default_rng(0)
FIRST = RNG.normal(15.3, 1, 48)
SECOND = FIRST - RNG.normal(0.3, 0.5, 48)


def test_slices_are_the_unit_where_there_are_enough() -> None:
    slices = [str(n // 6) for n in range(48)]
    found = paired_test(FIRST.tolist(), SECOND.tolist(), slices, seed=0)
    means = (FIRST - SECOND).reshape(8, 6).mean(axis=1)
    assert (found.n, found.clusters, found.unit) == (48, 8, "slice")
    assert found.p == wilcoxon(means).pvalue
    assert found.difference == pytest.approx((FIRST - SECOND).mean())
    assert found.low < found.difference < found.high
    assert found.high - found.low == pytest.approx(3.92 * means.std() / math.sqrt(8), rel=0.15)


def test_with_few_slices_patches_are_and_it_says_so() -> None:
    found = paired_test(FIRST.tolist(), SECOND.tolist(), ["a"] * 24 + ["b"] * 24, seed=0)
    assert (found.clusters, found.unit) == (2, "patch")
    assert found.p == wilcoxon(FIRST - SECOND).pvalue


def test_alike_patches_of_a_slice_do_not_count_many_times() -> None:
    """Every slice shifts all its patches alike: forty patches know no more than the eight slices."""
    shifts = np.repeat(np.random.default_rng(1).normal(0.2, 1, 8), 40)
    zeros = [0.0] * shifts.size
    honest = paired_test(shifts.tolist(), zeros, [n // 40 for n in range(shifts.size)], seed=0)
    naive = paired_test(shifts.tolist(), zeros, ["one"] * shifts.size, seed=0)
    assert honest.high - honest.low > 4 * (naive.high - naive.low)
    assert honest.p > naive.p


def test_what_does_not_differ_and_what_cannot_be_compared() -> None:
    same = paired_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "abc", seed=0)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert paired_test([math.inf, 2.0, 3.0], [math.inf, 1.0, 1.0], "abc", seed=0).n == 2
    with pytest.raises(InputError, match="differ in number"):
        paired_test([1.0], [1.0, 2.0], "a", seed=0)
    with pytest.raises(InputError, match="no patch"):
        paired_test([math.inf], [math.inf], "a", seed=0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
