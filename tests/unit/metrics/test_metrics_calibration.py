"""Coverage and calibration against numpy, exact cases, and draws from known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import Calibration, CoverageMeter, fit_calibration


def drawn(scale: float, floor: float, size: int = 100_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian errors whose standard deviation is sqrt(scale^2 spread^2 + floor^2), and the spreads."""
    rng = np.random.default_rng(seed)
    spread = rng.gamma(2.0, 2.0, size)
    return rng.standard_normal(size) * np.sqrt((scale * spread) ** 2 + floor**2), spread


def measured(error: np.ndarray, stated: np.ndarray, **options: int):  # type: ignore[no-untyped-def]
    meter = CoverageMeter()
    meter.add(error, stated)
    return meter.result(**options)


# --- calibration


@pytest.mark.parametrize(("scale", "floor"), [(1.7, 6.0), (0.6, 1.0), (3.0, 20.0)])
def test_calibration_finds_the_scale_and_floor_that_the_errors_were_drawn_with(scale: float, floor: float) -> None:
    found = fit_calibration(*drawn(scale, floor))
    assert found.scale == pytest.approx(scale, rel=0.05)
    assert found.floor == pytest.approx(floor, rel=0.05)


def test_a_spread_that_is_right_already_stays_as_it_is() -> None:
    found = fit_calibration(*drawn(1.0, 0.0))
    assert found.scale == pytest.approx(1.0, rel=0.02)
    assert found.floor < 0.2


def test_a_spread_that_says_nothing_is_left_out() -> None:
    rng = np.random.default_rng(0)
    found = fit_calibration(5 * rng.standard_normal(50_000), rng.gamma(2.0, 2.0, 50_000))
    assert found.floor == pytest.approx(5, rel=0.02)
    assert found.scale < 0.2


def test_calibration_makes_the_coverage_nominal_on_other_pixels() -> None:
    calibration = fit_calibration(*drawn(1.5, 5.0, seed=0))
    error, spread = drawn(1.5, 5.0, seed=1)
    before, after = measured(error, spread), measured(error, calibration.apply(spread))
    assert before.within_1 < 0.45
    assert after.within_1 == pytest.approx(0.6827, abs=0.01)
    assert after.within_2 == pytest.approx(0.9545, abs=0.005)
    assert after.ence < 0.03 < before.ence
    assert after.nll < before.nll


def test_networks_that_all_agree_leave_the_floor_alone() -> None:
    assert fit_calibration(np.array([3.0, -4.0]), np.zeros(2)) == Calibration(1.0, math.sqrt(12.5))


def test_nothing_to_calibrate_with_is_an_error() -> None:
    for error in (np.zeros(0), np.zeros(4)):
        with pytest.raises(InputError, match="no error to calibrate"):
            fit_calibration(error, np.ones(error.shape))
    with pytest.raises(InputError, match="shape"):
        fit_calibration(np.zeros(3), np.zeros(4))


# --- coverage


def test_coverage_of_a_case_counted_by_hand() -> None:
    result = measured(np.array([1.0, -1.0, 3.0, -5.0]), np.array([1.0, 2.0, 2.0, 2.0]))
    assert (result.pixels, result.within_1, result.within_2) == (4, 0.5, 0.75)
    assert result.rms_error == 3.0
    assert result.rms_stated == pytest.approx(math.sqrt(13 / 4))
    assert [(b.stated, b.pixels) for b in result.bins] == [(1.0, 1), (2.0, 3)]
    assert result.bins[1].error == pytest.approx(math.sqrt(35 / 3))
    expected = 0.25 * 0 + 0.75 * abs(2 - math.sqrt(35 / 3)) / 2
    assert result.ence == pytest.approx(expected)


def test_the_likelihood_is_scipys() -> None:
    error, stated = drawn(1.0, 0.0, 1000)
    expected = -norm.logpdf(error, scale=stated).mean()
    assert measured(error, stated).nll == pytest.approx(expected)


def test_no_stated_uncertainty_at_all_is_infinitely_wrong() -> None:
    result = measured(np.array([1.0, 0.0, 2.0]), np.zeros(3))
    assert (result.within_1, result.nll, result.ence) == (1 / 3, math.inf, math.inf)
    assert math.isnan(result.correlation)


def test_right_spreads_lie_on_the_diagonal_and_wrong_order_shows() -> None:
    error, stated = drawn(1.0, 0.0)
    right = measured(error, stated, bins=10)
    for b in right.bins:
        assert b.error == pytest.approx(b.stated, rel=0.05)
        assert b.pixels == pytest.approx(10_000, rel=0.1)
    assert right.correlation == pytest.approx(1.0)
    assert measured(error, stated.max() + 0.1 - stated).correlation < -0.9


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**16))
def test_images_one_by_one_give_what_all_at_once_gives(parts: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    error, stated = rng.normal(size=200).astype(np.float32), rng.integers(1, 9, 200).astype(np.uint8)
    meter = CoverageMeter()
    for some in np.array_split(np.arange(200), parts):
        meter.add(error[some], stated[some])
    whole, piecewise = measured(error, stated), meter.result()
    assert whole.bins == piecewise.bins or np.allclose([b.error for b in whole.bins], [b.error for b in piecewise.bins])
    assert whole.within_1 == piecewise.within_1
    assert whole.nll == pytest.approx(piecewise.nll)


def test_masked_pixels_do_not_count() -> None:
    error, stated = drawn(1.0, 0.0, 100)
    mask = np.arange(100) % 3 == 0
    meter = CoverageMeter()
    meter.add(np.where(mask, error, 1e6).reshape(10, 10), stated.reshape(10, 10), mask.reshape(10, 10))
    assert meter.result().scores() == measured(error[mask], stated[mask]).scores()


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(InputError, match="no pixel"):
        CoverageMeter().result()
