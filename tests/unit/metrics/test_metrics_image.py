"""PSNR, SSIM and mean absolute error against scikit-image, a direct sum, and exact cases."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from txm2sem_core import metrics
from txm2sem_core.errors import InputError


def noisy_pair(seed: int, shape: tuple[int, int] = (32, 40)) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    target = generator.uniform(-1, 1, shape)
    return target + generator.normal(0, 0.2, shape), target


def ssim_by_windows(x: NDArray[np.float64], y: NDArray[np.float64], data_range: float) -> float:
    """Wang et al. 2004, equations 13 to 17, window by window."""
    offsets = np.arange(-5, 6)
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarities = []
    for row in range(x.shape[0] - 10):
        for column in range(x.shape[1] - 10):
            part = np.s_[row : row + 11, column : column + 11]
            mean_x, mean_y = (window * x[part]).sum(), (window * y[part]).sum()
            variance_x = (window * (x[part] - mean_x) ** 2).sum()
            variance_y = (window * (y[part] - mean_y) ** 2).sum()
            covariance = (window * (x[part] - mean_x) * (y[part] - mean_y)).sum()
            similarities.append(
                (2 * mean_x * mean_y + c1)
                * (2 * covariance + c2)
                / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
            )
    return float(np.mean(similarities))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data_range=st.floats(0.5, 500))
def test_psnr_agrees_with_scikit_image(seed: int, data_range: float) -> None:
    prediction, target = noisy_pair(seed)
    expected = peak_signal_noise_ratio(target, prediction, data_range=data_range)
    assert metrics.psnr(prediction, target, data_range) == pytest.approx(expected, rel=1e-12)


def test_psnr_of_a_known_error() -> None:
    target = np.zeros((4, 5))
    assert metrics.psnr(target + 0.1, target, 1.0) == pytest.approx(20.0)
    assert metrics.mae(target + 0.1, target, 2.0) == pytest.approx(0.05)
    assert metrics.psnr(target, target, 1.0) == math.inf


def test_integers_do_not_wrap_round() -> None:
    black, white = np.zeros((16, 16), np.uint8), np.full((16, 16), 255, np.uint8)
    assert metrics.mae(black, white, 255) == 1.0
    assert metrics.psnr(black, white, 255) == pytest.approx(0.0)
    assert metrics.psnr(white.astype(np.uint16) * 257, black.astype(np.uint16), 65535) == pytest.approx(0.0)


@pytest.mark.parametrize("seed", range(3))
def test_ssim_agrees_with_the_paper_s_sums(seed: int) -> None:
    prediction, target = noisy_pair(seed, (18, 23))
    assert metrics.ssim(prediction, target, 2.0) == pytest.approx(ssim_by_windows(prediction, target, 2.0), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_ssim_is_symmetric_bounded_and_one_for_equal_images(seed: int) -> None:
    prediction, target = noisy_pair(seed)
    value = metrics.ssim(prediction, target, 2.0)
    assert -1 <= value < 1
    assert value == pytest.approx(metrics.ssim(target, prediction, 2.0), abs=1e-12)
    assert metrics.ssim(target, target, 2.0) == pytest.approx(1.0)


def test_ssim_does_not_depend_on_the_unit_of_grey_levels() -> None:
    prediction, target = noisy_pair(5)
    scaled = metrics.ssim(
        ((prediction + 1) * 32767).astype(np.float32), ((target + 1) * 32767).astype(np.float32), 65534
    )
    assert scaled == pytest.approx(metrics.ssim(prediction + 1, target + 1, 2.0), abs=1e-5)


def test_a_full_mask_changes_nothing() -> None:
    prediction, target = noisy_pair(1)
    everything = np.ones(target.shape, bool)
    for measure in (metrics.psnr, metrics.ssim, metrics.mae):
        assert measure(prediction, target, 2.0, everything) == measure(prediction, target, 2.0)


def test_the_mask_leaves_out_what_is_charged() -> None:
    prediction, target = noisy_pair(2, (32, 64))
    charged = target.copy()
    charged[:, 40:] = 50.0
    mask = np.zeros(target.shape, bool)
    mask[:, :30] = True  # SSIM's window reaches 5 pixels, so it sees no charge from here
    assert metrics.psnr(prediction, charged, 2.0, mask) == metrics.psnr(prediction[:, :30], target[:, :30], 2.0)
    assert metrics.ssim(prediction, charged, 2.0, mask) == pytest.approx(metrics.ssim(prediction, target, 2.0, mask))
    assert metrics.psnr(prediction, charged, 2.0) < 0


def test_published_8bit_figures_are_scikit_image_s_defaults() -> None:
    prediction, target = (metrics.to_8bit(image, -1, 1) for image in noisy_pair(3))
    assert metrics.psnr_8bit(prediction, target) == pytest.approx(peak_signal_noise_ratio(target, prediction))
    assert metrics.ssim_8bit(prediction, target) == pytest.approx(structural_similarity(prediction, target))
    with pytest.raises(InputError, match="to_8bit"):
        metrics.psnr_8bit(prediction.astype(np.float32), target)  # type: ignore[arg-type]


def test_8bit_conversion_returns_8bit_data_whole_and_cuts_off() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    mapped = levels.astype(np.float32) / np.float32(127.5) - 1
    np.testing.assert_array_equal(metrics.to_8bit(mapped, -1, 1), levels)
    np.testing.assert_array_equal(metrics.to_8bit(np.array([[-9.0, 9.0, 0.0]]), -1, 1), [[0, 255, 127]])


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim, metrics.mae])
def test_refuses_what_cannot_be_compared(measure: Callable[..., float]) -> None:
    prediction, target = noisy_pair(4)
    broken = prediction.copy()
    broken[3, 7] = np.nan
    with pytest.raises(InputError, match=r"first at \(3, 7\)"):
        measure(broken, target, 2.0)
    with pytest.raises(InputError, match="crop or resample"):
        measure(prediction[:-1], target, 2.0)
    with pytest.raises(InputError, match="data_range is 0"):
        measure(prediction, target, 0)
    with pytest.raises(InputError, match="no pixel"):
        measure(prediction, target, 2.0, np.zeros(target.shape, bool))
    with pytest.raises(InputError, match="mask must be boolean"):
        measure(prediction, target, 2.0, np.ones(target.shape))
    with pytest.raises(InputError, match=r"\[Y, X\]"):
        measure(prediction[None], target[None], 2.0)


def test_ssim_refuses_an_image_below_its_window() -> None:
    with pytest.raises(InputError, match="window of 11"):
        metrics.ssim(np.zeros((10, 30)), np.zeros((10, 30)), 1.0)
