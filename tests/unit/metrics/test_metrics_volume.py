"""Streaming volume figures against the same figures of the whole arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

from txm2sem_core import metrics
from txm2sem_core.errors import InputError


@pytest.fixture(scope="module")
def volumes() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    generator = np.random.default_rng(0)
    levels = np.array([4000, 20000, 40000], np.uint16)
    truth = levels[generator.choice(3, size=(5, 20, 24), p=[0.2, 0.3, 0.5])]
    noise = generator.integers(-3000, 3000, truth.shape)
    return (truth.astype(np.int64) + noise).astype(np.uint16), truth


def test_streams_and_agrees_with_the_whole_arrays(volumes: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    prediction, truth = volumes
    figures = metrics.compare_volumes(iter(prediction), iter(truth), 65535)
    assert figures["slices"] == 5
    assert figures["psnr"] == pytest.approx(peak_signal_noise_ratio(truth, prediction, data_range=65535))
    ssims = [metrics.ssim(a, b, 65535) for a, b in zip(prediction, truth, strict=True)]
    assert figures["ssim"] == pytest.approx(np.mean(ssims))
    assert figures["mae"] == pytest.approx(np.abs(prediction.astype(float) - truth).mean() / 65535)
    assert figures["continuity_ratio"] == metrics.relative_continuity(prediction, truth, 65535).ratio
    assert "fraction_0" not in figures


def test_phase_figures(volumes: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    prediction, truth = volumes
    thresholds = metrics.Thresholds((12000.0, 30000.0))
    figures = metrics.compare_volumes(prediction, truth, 65535, thresholds)
    assert figures["fraction_0_truth"] == pytest.approx((truth <= 12000).mean())
    assert figures["fraction_0_error"] == pytest.approx((prediction <= 12000).mean() - (truth <= 12000).mean())
    assert figures["dice_2"] == pytest.approx(metrics.dice(prediction > 30000, truth > 30000))
    assert sum(figures[f"fraction_{phase}"] for phase in range(3)) == pytest.approx(1)


def test_a_perfect_prediction(volumes: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    _, truth = volumes
    figures = metrics.compare_volumes(truth, truth, 65535, metrics.Thresholds((12000.0, 30000.0)))
    assert figures["psnr"] == math.inf
    assert (figures["ssim"], figures["mae"], figures["continuity_error"]) == (pytest.approx(1), 0, 0)
    assert (figures["fraction_0_error"], figures["dice_0"]) == (0, 1)


def test_masks_leave_pixels_out(volumes: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    prediction, truth = volumes
    charged = truth.copy()
    charged[:, :, 20:] = 65535
    masks = np.ones(truth.shape, bool)
    masks[:, :, 20:] = False
    figures = metrics.compare_volumes(prediction, charged, 65535, metrics.Thresholds((12000.0, 30000.0)), masks=masks)
    expected = metrics.compare_volumes(
        prediction[:, :, :20], truth[:, :, :20], 65535, metrics.Thresholds((12000.0, 30000.0))
    )
    for name in ("psnr", "mae", "fraction_0", "fraction_0_truth", "dice_1"):
        assert figures[name] == pytest.approx(expected[name])


def test_one_slice_has_no_continuity(volumes: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    prediction, truth = volumes
    assert "continuity_ratio" not in metrics.compare_volumes(prediction[:1], truth[:1], 65535)


def test_refuses_volumes_that_do_not_match(volumes: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    prediction, truth = volumes
    with pytest.raises(InputError, match="prediction ends after 4"):
        metrics.compare_volumes(prediction[:-1], truth, 65535)
    with pytest.raises(InputError, match="no slice"):
        metrics.compare_volumes([], [], 65535)
    with pytest.raises(InputError, match="masks end after 2"):
        metrics.compare_volumes(prediction, truth, 65535, masks=np.ones((2, 20, 24), bool))
