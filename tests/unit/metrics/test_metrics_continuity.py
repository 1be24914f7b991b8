"""Continuity along z: volumes whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import relative_continuity, self_continuity


def isotropic(seed: int, sigma: float = 2.0) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=(40, 40, 40))
    return ndimage.gaussian_filter(noise, sigma, mode="wrap")


def test_a_perfect_prediction_changes_as_the_truth() -> None:
    volume = isotropic(0)
    result = relative_continuity(volume, volume, 1.0)
    assert (result.ratio, result.error, result.explained) == (1.0, 0.0, 1.0)


def test_change_is_the_root_mean_square_over_pixels() -> None:
    prediction, truth = isotropic(0), isotropic(1)
    result = relative_continuity(iter(prediction), iter(truth), 4.0)
    steps = np.diff(prediction, axis=0)
    assert result.change_prediction == pytest.approx(np.sqrt((steps**2).mean()) / 4)
    assert result.error == pytest.approx(np.abs(steps - np.diff(truth, axis=0)).mean() / 4)


def test_jitter_reads_above_one_and_smearing_below() -> None:
    truth = isotropic(2)
    flicker = truth + np.random.default_rng(0).normal(0, truth.std(), 40)[:, None, None]
    smeared = ndimage.gaussian_filter1d(truth, 3.0, axis=0)
    assert relative_continuity(flicker, truth, 1.0).ratio > 2
    assert relative_continuity(smeared, truth, 1.0).ratio < 0.6
    assert relative_continuity(flicker, truth, 1.0).error > 0


def test_a_volume_without_change_explains_nothing_and_jitter_less_than_nothing() -> None:
    truth = isotropic(2)
    rng = np.random.default_rng(0)

    def explained(prediction: NDArray[np.float64]) -> float:
        return relative_continuity(prediction, truth, 1.0).explained

    assert explained(np.zeros_like(truth)) == 0
    assert explained(0.5 * truth) == pytest.approx(0.75)  # half the change leaves a quarter of its power
    assert explained(truth + rng.normal(0, truth.std(), truth.shape)) < 0
    assert math.isnan(relative_continuity(truth, np.zeros_like(truth), 1.0).explained)


def test_against_a_truth_that_does_not_change() -> None:
    still = np.zeros((3, 12, 12))
    assert relative_continuity(still, still, 1.0).ratio == 1.0
    assert relative_continuity(isotropic(0)[:3, :12, :12], still, 1.0).ratio == math.inf


def test_isotropic_volume_reads_good_without_truth() -> None:
    result = self_continuity(isotropic(3))
    assert result.ratio == pytest.approx(1.0, abs=0.05)
    assert result.correlation_z == pytest.approx(result.correlation_plane, abs=0.05)
    # Gaussian field smoothed with sigma s: correlation at distance r is exp(-r^2 / 4 s^2)
    assert result.correlation_z == pytest.approx(math.exp(-1 / 16), abs=0.02)


def test_independent_slices_read_bad_without_truth() -> None:
    slices = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=(40, 40, 40)), (0, 2, 2), mode="wrap")
    smooth_slices, white_noise = (
        self_continuity(slices),
        self_continuity(np.random.default_rng(5).normal(size=(40, 40, 40))),
    )
    assert smooth_slices.ratio > 2
    assert abs(smooth_slices.correlation_z) < 0.05
    assert white_noise.ratio == pytest.approx(1.0, abs=0.05)  # which is why the correlation stands beside it
    assert abs(white_noise.correlation_z) < 0.05


def test_plane_step_makes_anisotropic_voxels_comparable() -> None:
    every_third = isotropic(6, sigma=3.0)[::3]
    assert self_continuity(every_third).ratio > 2
    assert self_continuity(every_third, plane_step_px=3).ratio == pytest.approx(1.0, abs=0.15)


def test_correlation_survives_a_large_offset() -> None:
    volume = isotropic(7)
    plain, raised = self_continuity(volume), self_continuity(volume * 1000 + 20000)
    assert raised.correlation_z == pytest.approx(plain.correlation_z, abs=1e-6)


def test_refuses_volumes_that_do_not_match() -> None:
    volume = isotropic(0)
    with pytest.raises(InputError, match="truth ends after 39 slices"):
        relative_continuity(volume, volume[:-1], 1.0)
    with pytest.raises(InputError, match="at least two slices"):
        relative_continuity(volume[:1], volume[:1], 1.0)
    with pytest.raises(InputError, match="constant"):
        self_continuity(np.ones((3, 8, 8)))
    with pytest.raises(InputError, match="does not fit"):
        self_continuity(volume, plane_step_px=40)
