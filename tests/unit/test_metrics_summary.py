"""Mean, standard error and bootstrap interval against scipy and exact cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import summarise


def test_mean_and_standard_error_agree_with_scipy() -> None:
    values = np.random.default_rng(0).normal(15.8, 1.5, 60)
    summary = summarise(values, seed=0)
    assert (summary.n, summary.n_infinite) == (60, 0)
    assert summary.mean == pytest.approx(values.mean())
    assert summary.stderr == pytest.approx(stats.sem(values))


def test_interval_agrees_with_scipy_s_bootstrap() -> None:
    values = np.random.default_rng(1).gamma(2.0, 3.0, 80)
    summary = summarise(values, seed=3, confidence=0.9)
    expected = stats.bootstrap((values,), np.mean, confidence_level=0.9, method="percentile", rng=7).confidence_interval
    assert summary.low == pytest.approx(expected.low, abs=0.15 * summary.stderr)
    assert summary.high == pytest.approx(expected.high, abs=0.15 * summary.stderr)


def test_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    intervals = [summarise(generator.normal(5, 1, 40), seed=i, confidence=0.8, resamples=200) for i in range(200)]
    covered = sum(interval.low <= 5 <= interval.high for interval in intervals) / len(intervals)
    assert 0.7 < covered < 0.9


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(3).normal(size=30)
    assert summarise(values, seed=5) == summarise(values, seed=5)
    assert summarise(values, seed=5).low != summarise(values, seed=6).low


def test_infinite_psnr_makes_the_mean_infinite_and_is_counted() -> None:
    summary = summarise([20.0, math.inf, 22.0], seed=0)
    assert (summary.mean, summary.n, summary.n_infinite) == (math.inf, 3, 1)
    assert math.isnan(summary.stderr)


def test_one_value_has_no_spread() -> None:
    summary = summarise([3.5], seed=0)
    assert summary.mean == 3.5
    assert math.isnan(summary.stderr)
    assert math.isnan(summary.low)


@pytest.mark.parametrize(("values", "message"), [([], "no value"), ([1.0, math.nan], "value 1 of 2 is NaN")])
def test_refuses_nothing_and_nan(values: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        summarise(values, seed=0)
