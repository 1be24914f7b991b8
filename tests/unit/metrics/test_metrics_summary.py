"""Mean, standard error and interval over independent units: against scipy, exact cases, and in simulations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from interval_coverage import coverage_of_seeds, coverage_of_slices
from scipy import stats

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import summarise


def test_mean_error_and_interval_agree_with_scipy() -> None:
    values = np.random.default_rng(0).normal(15.8, 1.5, 60)
    summary = summarise(values, confidence=0.9)
    assert (summary.n, summary.n_infinite, summary.units) == (60, 0, 60)
    assert summary.mean == pytest.approx(values.mean())
    assert summary.stderr == pytest.approx(stats.sem(values))
    expected = stats.t.interval(0.9, 59, values.mean(), stats.sem(values))
    assert (summary.low, summary.high) == pytest.approx(expected)


def test_patches_of_a_slice_have_one_mean_and_every_slice_counts_alike() -> None:
    found = summarise([1, 3, 10, 10, 10, 10, 6], list("aabbbbc"))
    assert found == replace(summarise([2, 10, 6]), n=7)
    assert (found.units, found.mean) == (3, 6)


def test_infinite_psnr_makes_the_mean_infinite_and_is_counted() -> None:
    summary = summarise([20.0, math.inf, 22.0])
    assert (summary.mean, summary.n, summary.n_infinite) == (math.inf, 3, 1)
    assert math.isnan(summary.stderr)


@pytest.mark.parametrize(("values", "clusters"), [([3.5], None), ([3.0, 4.0], "aa")])
def test_one_unit_has_no_spread(values: list[float], clusters: str | None) -> None:
    summary = summarise(values, clusters)
    assert (summary.units, summary.mean) == (1, 3.5)
    assert all(math.isnan(value) for value in (summary.stderr, summary.low, summary.high))


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        ([], None, "no value"),
        ([1.0, math.nan], None, "value 1 of 2 is NaN"),
        ([1.0, 2.0], "a", "2 values .* 1 clusters"),
    ],
)
def test_refuses_nothing_and_nan(values: list[float], clusters: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        summarise(values, clusters)


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_refuses_a_confidence_that_is_none(confidence: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        summarise([1.0, 2.0], confidence=confidence)


# 3000 simulations: three standard errors of a coverage of 95 % are 1.2 %
@pytest.mark.parametrize("effect", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("slices", [2, 4, 8, 20])
def test_intervals_over_slices_hold_what_they_say(slices: int, effect: float) -> None:
    assert 0.935 < coverage_of_slices(slices, 6, effect, runs=3000) < 0.965


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_over_seeds_hold_what_they_say(seeds: int) -> None:
    assert 0.935 < coverage_of_seeds(seeds, runs=3000) < 0.965
