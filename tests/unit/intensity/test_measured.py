"""What was measured: planted fields of view are found whatever the rock, and rock is not taken for the outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from txm2sem_core.intensity.measured import filled, measured

SIDE = 160
Y, X = np.mgrid[:SIDE, :SIDE]
MIDDLE = (SIDE - 1) / 2


def rock(seed: int, grain: float = 3.0) -> np.ndarray:
    """A field of mean 0 and standard deviation 1."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), grain)
    return field / field.std()


KINDS = {
    "16 bit": lambda field: (30000 + 3000 * field).astype(np.uint16),
    "float, negative": lambda field: field.astype(np.float32),
    "8 bit, pores clipped at 0": lambda field: np.clip(80 + 70 * field, 0, 255).astype(np.uint8),
    "8 bit, clipped at both ends": lambda field: np.clip(128 + 150 * field, 0, 255).astype(np.uint8),
}
VIEWS = {
    "circle": np.hypot(Y - MIDDLE, X - MIDDLE) > MIDDLE - 1,
    "larger circle": np.hypot(Y - MIDDLE, X - MIDDLE) > 1.25 * MIDDLE,
    "circle off the middle": np.hypot(Y - MIDDLE + 30, X - MIDDLE - 12) > MIDDLE,
    "border": (Y < 12) | (X > SIDE - 9),
    "one side": X < 10,
    "turned": np.abs((Y - MIDDLE) * np.cos(0.1) + (X - MIDDLE) * np.sin(0.1)) > MIDDLE,
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["least", "greatest", "other"])
def test_a_planted_field_of_view_is_found(view: str, kind: str, value: str) -> None:
    for seed in range(4):
        image, outside = KINDS[kind](rock(seed)), VIEWS[view]
        fill = {"least": image.min(), "greatest": image.max(), "other": image.max() // 2 + 1}[value]
        found = measured(np.where(outside, fill, image).astype(image.dtype))
        beside = ndimage.binary_dilation(outside, np.ones((3, 3)), iterations=2)
        assert not found[outside].any()
        assert found[~beside].mean() > 0.99  # a pore of the same value in a corner may go with it


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(sorted(KINDS)), st.floats(1.0, 4.0))
def test_rock_is_measured(seed: int, kind: str, grain: float) -> None:
    assert measured(KINDS[kind](rock(seed, grain))).mean() > 0.98


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 5), st.floats(1.0, 3.0))
def test_labels_are_measured(seed: int, phases: int, grain: float) -> None:
    labels = np.digitize(rock(seed, grain), np.linspace(-1, 1, phases - 1)).astype(np.uint8)
    assert measured(labels).mean() > 0.98


@pytest.mark.parametrize("value", [0, 7])
def test_of_a_blank_image_nothing_was_measured(value: int) -> None:
    assert not measured(np.full((40, 50), value, np.uint8)).any()


def test_values_that_are_not_finite_were_not_measured() -> None:
    image = rock(0).astype(np.float32)
    image[VIEWS["circle"]] = np.nan
    image[80, 80] = np.inf
    assert np.array_equal(measured(image), ~VIEWS["circle"] & ~((Y == 80) & (X == 80)))
    assert not measured(np.full((8, 8), np.nan)).any()


def test_filled_takes_the_nearest_measured_value() -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]])
    mask = np.array([[True, False, False], [True, False, True]])
    assert filled(image, mask).tolist()[1][0] == 4
    assert np.array_equal(filled(image, mask)[mask], image[mask])
    assert set(filled(image, mask).ravel()) <= {1, 4, 6}
    assert filled(image, np.ones_like(mask)) is image
    assert filled(image, np.zeros_like(mask)) is image
