"""Two-point probabilities gathered slice by slice, against those of the whole volume."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.phases import two_point_probability
from txm2sem_core.metrics.pores.two_point import TwoPointMeter, two_point_errors


def gathered(volume: np.ndarray, lag: int) -> np.ndarray:
    meter = TwoPointMeter(lag)
    for plane in volume:
        meter.add(plane)
    return meter.result()


def test_agrees_with_the_whole_volume_along_each_axis() -> None:
    noise = np.random.default_rng(0).standard_normal((14, 20, 24))
    volume = ndimage.gaussian_filter(noise, (1, 2, 3)) > 0.02
    found = gathered(volume, 6)
    for axis in range(3):
        np.testing.assert_allclose(found[axis], two_point_probability(volume, axis, 6), rtol=1e-12)


def test_distances_beyond_the_volume_are_not_counted() -> None:
    volume = np.random.default_rng(0).random((3, 16, 16)) > 0.5
    found = gathered(volume, 5)
    assert np.isnan(found[0]).tolist() == [False] * 3 + [True] * 3
    errors = two_point_errors(found, gathered(~volume, 5))
    expected = np.abs(found[0, 1:3] - gathered(~volume, 5)[0, 1:3]).mean()
    assert errors["two_point_error_z"] == pytest.approx(expected)
    assert set(two_point_errors(found, found).values()) == {0.0}


def test_smearing_along_z_shows_along_z() -> None:
    truth = np.random.default_rng(0).random((32, 32, 32)) > 0.7
    smeared = np.repeat(truth[::4], 4, axis=0)
    errors = two_point_errors(gathered(smeared, 8), gathered(truth, 8))
    assert errors["two_point_error_z"] > 5 * max(errors["two_point_error_y"], errors["two_point_error_x"])


def test_slices_smaller_than_the_distance_are_refused() -> None:
    with pytest.raises(InputError, match="a lag of 8 pixels"):
        TwoPointMeter(8).add(np.ones((8, 20), dtype=bool))
