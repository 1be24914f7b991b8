"""Targets without the microscope's noise: nearer to the truth, and only those that a network learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from small_data import make_store

from txm2sem_core.intensity.denoising import denoised, noise_deviation
from txm2sem_core.training.denoised import with_denoised_targets


def grains(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Sharp grains of two grey levels, and the same with noise."""
    rng = np.random.default_rng(0)
    clean = np.where(ndimage.gaussian_filter(rng.standard_normal((96, 96)), 4) > 0, 160.0, 80.0)
    return clean, clean + sigma * rng.standard_normal(clean.shape)


@pytest.mark.parametrize("sigma", [3.0, 8.0, 15.0])
def test_the_noise_is_measured_beside_edges(sigma: float) -> None:
    _, noisy = grains(sigma)
    assert noise_deviation(noisy.astype(np.float32)) == pytest.approx(sigma, rel=0.25)  # edges add a little


@pytest.mark.parametrize("sigma", [3.0, 8.0, 15.0])
def test_the_error_falls_and_edges_stay(sigma: float) -> None:
    clean, noisy = grains(sigma)
    made = denoised(noisy, 0.8)
    assert (made - clean).std() < 0.6 * sigma
    assert made[clean > 100].mean() - made[clean < 100].mean() == pytest.approx(80, abs=4)
    assert made.mean() == pytest.approx(noisy.mean(), abs=0.3)


def test_an_image_without_noise_stays_as_it_is() -> None:
    flat = np.full((20, 20), 7, np.uint16)
    np.testing.assert_array_equal(denoised(flat, 0.8), flat)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_only_training_slices_change(tmp_path: Path, dtype: type) -> None:
    store = make_store(tmp_path, dtype=dtype).in_memory()
    found = with_denoised_targets(store, 0.8, "model")
    changed = [pair for pair, images in found.pairs.items() if (images.sem != store.pairs[pair].sem).any()]
    assert changed == ["000"]
    assert {images.sem.dtype for images in found.pairs.values()} == {np.dtype(dtype)}
    np.testing.assert_array_equal(found.pairs["000"].mask, store.pairs["000"].mask)
    assert found.digest == store.digest
