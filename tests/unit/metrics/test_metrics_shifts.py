"""Shifts between slices: those of scikit-image, found with a third of the transforms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from txm2sem_core.metrics.shifts import ShiftMeter


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(11, 60), st.integers(11, 60)),
    by=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
)
def test_a_shift_is_scikit_image_s(seed: int, shape: tuple[int, int], by: tuple[float, float]) -> None:
    above = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 50, shape), 1.5, mode="wrap") + 100
    image = ndimage.shift(above, by, mode="nearest")
    meter = ShiftMeter()
    meter.add(above)
    meter.add(image)
    windows = np.outer(*(np.hanning(n + 2)[1:-1] for n in shape))
    both = [(plane - plane.mean()) * windows for plane in (above, image)]
    expected, *_ = phase_cross_correlation(*both, upsample_factor=10, normalization=None)  # type: ignore[no-untyped-call]
    (found,) = meter.found
    assert found == pytest.approx(expected, abs=1e-9)


def test_no_shift_is_found_of_constant_or_small_slices() -> None:
    noise, constant = np.random.default_rng(0).random((20, 20)), np.full((20, 20), 7.0)
    meter, small = ShiftMeter(), ShiftMeter()
    for plane in (noise, constant, noise, noise):
        meter.add(plane)
        small.add(plane[:10])
    assert len(meter.found) == 1
    assert small.found == []
