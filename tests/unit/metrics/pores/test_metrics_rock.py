"""Thresholds, fractions, overlap and two-point probability against exact cases and a transform."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from txm2sem_core import metrics
from txm2sem_core.errors import InputError


def test_thresholds_part_well_separated_phases() -> None:
    generator = np.random.default_rng(0)
    true = generator.choice(4, size=20000, p=[0.1, 0.2, 0.6, 0.1]).astype(np.uint8)
    grey = np.array([20, 80, 140, 220])[true] + generator.normal(0, 6, true.size)
    thresholds = metrics.multi_otsu_thresholds(grey, 4)
    assert np.mean(metrics.segment(grey, thresholds) == true) > 0.999


def test_two_phases_agree_with_otsu() -> None:
    grey = np.concatenate([np.random.default_rng(1).normal(mean, 1.0, 4000) for mean in (0, 6)])
    assert metrics.multi_otsu_thresholds(grey, 2)[0] == pytest.approx(threshold_otsu(grey), abs=(np.ptp(grey)) / 256)


def test_thresholds_of_as_many_levels_as_phases_lie_between_them() -> None:
    assert metrics.multi_otsu_thresholds(np.array([0, 10, 10, 30], np.uint16), 3) == (5.0, 20.0)


def test_thresholds_do_not_depend_on_the_integer_type() -> None:
    grey = np.random.default_rng(2).integers(0, 60000, 5000).astype(np.uint16)
    assert metrics.multi_otsu_thresholds(grey, 3) == metrics.multi_otsu_thresholds(grey.astype(np.float64), 3)


def test_segment_counts_thresholds_exceeded() -> None:
    labels = metrics.segment(np.array([[0, 5, 6], [10, 11, 255]], np.uint8), (5.0, 10.0))
    np.testing.assert_array_equal(labels, [[0, 0, 1], [1, 2, 2]])
    np.testing.assert_allclose(metrics.phase_fractions(labels, 4), [2 / 6, 2 / 6, 2 / 6, 0])


@settings(max_examples=40, deadline=None)
@given(
    npst.arrays(np.uint8, (5, 7), elements=st.integers(0, 2)),
    npst.arrays(np.uint8, (5, 7), elements=st.integers(0, 2)),
)
def test_dice_of_labels_agrees_with_dice_of_sets(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    counts = metrics.confusion(prediction, truth, 3)
    assert counts.sum() == truth.size
    for phase, value in enumerate(metrics.dice_from_confusion(counts)):
        ours = set(np.flatnonzero(prediction == phase).tolist())
        theirs = set(np.flatnonzero(truth == phase).tolist())
        expected = 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours or theirs else math.nan
        assert value == pytest.approx(expected, nan_ok=True)
        assert metrics.dice(prediction == phase, truth == phase) == pytest.approx(expected, nan_ok=True)


def test_confusion_rows_are_truth_and_the_mask_counts() -> None:
    prediction, truth = np.array([[1, 1, 0]], np.uint8), np.array([[0, 1, 0]], np.uint8)
    np.testing.assert_array_equal(metrics.confusion(prediction, truth, 2), [[1, 1], [0, 1]])
    mask = np.array([[False, True, True]])
    np.testing.assert_array_equal(metrics.confusion(prediction, truth, 2, mask), [[1, 0], [0, 1]])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), axis=st.integers(-3, 2))
def test_two_point_probability_agrees_with_a_transform(seed: int, axis: int) -> None:
    phase = np.random.default_rng(seed).random((6, 9, 11)) < 0.4
    length = phase.shape[axis]
    spectrum = np.fft.rfft(phase, n=2 * length, axis=axis)
    correlation = np.moveaxis(np.fft.irfft(np.abs(spectrum) ** 2, n=2 * length, axis=axis), axis, 0)[:length]
    pairs = (phase.size // length) * (length - np.arange(length))
    expected = correlation.sum(axis=(1, 2)) / pairs
    np.testing.assert_allclose(metrics.two_point_probability(phase, axis, length - 1), expected, atol=1e-12)


def test_two_point_probability_of_stripes() -> None:
    stripes = np.tile(np.arange(40) // 4 % 2 == 0, (5, 1))  # 4 pixels in, 4 pixels out, along x
    along = metrics.two_point_probability(stripes, axis=1, max_lag_px=8)
    assert along[0] == 0.5
    assert along[4] == 0.0
    assert along[8] == pytest.approx(0.5)
    np.testing.assert_allclose(metrics.two_point_probability(stripes, axis=0), 0.5)


@pytest.mark.parametrize("axis", [0, 1])
def test_pairs_that_do_not_both_count_are_left_out(axis: int) -> None:
    rng = np.random.default_rng(4)
    phase, mask = rng.random((9, 12)) < 0.4, rng.random((9, 12)) < 0.7
    found = metrics.two_point_probability(phase, axis, 3, mask)
    lines, counts = (np.moveaxis(field, axis, 0).tolist() for field in (phase, mask))
    for lag, value in enumerate(found):
        pairs = [
            lines[i][j] and lines[i + lag][j]
            for i in range(len(lines) - lag)
            for j in range(len(lines[0]))
            if counts[i][j] and counts[i + lag][j]
        ]
        assert value == pytest.approx(np.mean(pairs))
    mask[:], mask[0, 0] = False, True
    assert np.isnan(metrics.two_point_probability(phase, axis, 3, mask)[1:]).all()


def test_two_point_probability_of_unrelated_pixels_falls_to_the_square() -> None:
    phase = np.random.default_rng(3).random((200, 200)) < 0.3
    np.testing.assert_allclose(metrics.two_point_probability(phase, 0, 10)[1:], 0.09, atol=0.006)


def test_refusals() -> None:
    with pytest.raises(InputError, match="2 different grey levels"):
        metrics.multi_otsu_thresholds(np.array([1, 2, 1]), 3)
    with pytest.raises(InputError, match="2 to 5"):
        metrics.multi_otsu_thresholds(np.arange(9), 9)
    with pytest.raises(InputError, match="ascending"):
        metrics.segment(np.zeros((2, 2)), (3.0, 1.0))
    with pytest.raises(InputError, match="not finite"):
        metrics.segment(np.array([np.nan]), (1.0,))
    with pytest.raises(InputError, match="phase above"):
        metrics.confusion(np.array([3], np.uint8), np.array([0], np.uint8), 3)
    with pytest.raises(InputError, match="boolean"):
        metrics.two_point_probability(np.zeros((4, 4)), 0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="does not fit"):
        metrics.two_point_probability(np.zeros((4, 4), bool), 0, 4)
