"""Flat parts made flat, against scikit-image's total variation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.restoration import denoise_tv_chambolle

from txm2sem_core.networks.total_variation import STEPS, flattened


def by_us(image: np.ndarray, weight: float) -> np.ndarray:
    return flattened(torch.from_numpy(image)[None, None], torch.tensor(weight, dtype=torch.float64))[0, 0].numpy()


@given(st.integers(0, 2**31), st.floats(1e-4, 10), st.integers(2, 30), st.integers(2, 30))
def test_it_is_that_of_scikit_image(seed: int, weight: float, height: int, width: int) -> None:
    image = np.random.default_rng(seed).standard_normal((height, width))
    expected = denoise_tv_chambolle(image, weight, eps=0, max_num_iter=STEPS)
    np.testing.assert_allclose(by_us(image, weight), expected, atol=1e-9)
    assert expected.mean() == pytest.approx(image.mean(), abs=1e-9)


def test_without_weight_the_image_stays() -> None:
    image = np.random.default_rng(0).standard_normal((20, 30))
    np.testing.assert_array_equal(by_us(image, 0.0), image)


def test_flat_parts_become_flat_and_steps_stay() -> None:
    step = np.repeat([0.0, 1.0], 20)[None].repeat(40, axis=0)
    noisy = step + 0.05 * np.random.default_rng(0).standard_normal(step.shape)
    made = by_us(noisy, 0.1)
    assert np.abs(made - step).std() < 0.3 * 0.05
    assert (made[:, 20] - made[:, 19]).mean() > 0.9


def test_pixels_that_lie_apart_have_no_say() -> None:
    image = np.random.default_rng(0).standard_normal((70, 70))
    other = image.copy()
    other[0, 0] = 9.0
    changed = np.argwhere(by_us(image, 0.5) != by_us(other, 0.5)).max()
    assert 0 < changed <= STEPS
