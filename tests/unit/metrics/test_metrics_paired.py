"""Tests between variants against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import holm, paired_test

RNG = np.random.default_rng(0)
FIRST = RNG.normal(15.3, 1, 48)
SECOND = FIRST - RNG.normal(0.3, 0.5, 48)


@pytest.mark.parametrize("count", [2, 4, 8, 24])
def test_slices_are_the_unit_and_scipy_says_the_same(count: int) -> None:
    slices = [f"slice {n % count}" for n in range(48)]
    found = paired_test(FIRST.tolist(), SECOND.tolist(), slices)
    first, second = (scores.reshape(-1, count).mean(axis=0) for scores in (FIRST, SECOND))
    expected = ttest_rel(first, second)
    assert (found.n, found.clusters, found.unit) == (48, count, "slice")
    assert found.p == pytest.approx(expected.pvalue)
    assert found.difference == pytest.approx((FIRST - SECOND).mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_every_slice_counts_alike_however_many_patches_it_has() -> None:
    scores, slices = [1.0] * 9 + [2.0, 4.0], ["a"] * 9 + ["b", "c"]
    found = paired_test(scores, [0.0] * 11, slices)
    assert (found.n, found.clusters) == (11, 3)
    assert found.difference == pytest.approx(7 / 3)
    assert found.p == pytest.approx(ttest_1samp([1, 2, 4], 0).pvalue)


def test_of_one_slice_nothing_can_be_decided() -> None:
    found = paired_test(FIRST.tolist(), SECOND.tolist(), ["a"] * 48)
    assert found.difference == pytest.approx((FIRST - SECOND).mean())
    assert (found.clusters, found.unit) == (1, "slice")
    assert all(math.isnan(value) for value in (found.low, found.high, found.p))


def test_what_does_not_differ_and_what_cannot_be_compared() -> None:
    same = paired_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "abc")
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    always = paired_test([1.5, 2.5, 3.5], [1.0, 2.0, 3.0], "abc")
    assert (always.low, always.high, always.p) == (0.5, 0.5, 0)
    assert paired_test([math.inf, 2.0, 3.0], [math.inf, 1.0, 1.0], "abc").n == 2
    with pytest.raises(InputError, match="differ in number"):
        paired_test([1.0], [1.0, 2.0], "a")
    with pytest.raises(InputError, match="no patch"):
        paired_test([math.inf], [math.inf], "a")


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([math.nan, 0.03, 0.02]) == pytest.approx([math.nan, 0.04, 0.04], nan_ok=True)
