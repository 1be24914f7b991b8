"""Moments within SSIM's windows, which several scores share: the same as each computes by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.metrics import structural_similarity

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import NeighbourMeter, compare_volumes, local_structure, ms_ssim, ssim
from txm2sem_core.metrics.windows import WindowPair, Windows, agreement

SHAPES = st.tuples(st.integers(11, 40), st.sampled_from([11, 24, 37, 128, 256]))


def noisy(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, shape)


def by_skimage(first: np.ndarray, second: np.ndarray) -> float:
    options = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(first, second, **options))


def by_lines(first: np.ndarray, second: np.ndarray) -> float:
    """SSIM within windows of 11 pixels along the rows."""
    weights = np.exp(-np.square(np.arange(-5, 6)) / 4.5)
    weights /= weights.sum()
    one, two = (np.lib.stride_tricks.sliding_window_view(image, 11, axis=1) for image in (first, second))
    means = [windows @ weights for windows in (one, two)]
    variances = [np.square(w) @ weights - m**2 for w, m in zip((one, two), means, strict=True)]
    c1, c2 = 2.55**2, 7.65**2
    luminance = (2 * means[0] * means[1] + c1) / (means[0] ** 2 + means[1] ** 2 + c1)
    contrast = (2 * ((one * two) @ weights - means[0] * means[1]) + c2) / (sum(variances) + c2)
    return float((luminance * contrast).mean())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES)
def test_similarity_is_scikit_image_s(seed: int, shape: tuple[int, int]) -> None:
    first, second = noisy(seed, *shape), noisy(seed + 1, *shape)
    second = 0.7 * first + 0.3 * second
    found = WindowPair.of(first, second).similarity(255.0)
    assert found.shape == (shape[0] - 10, shape[1] - 10)
    assert found.mean() == pytest.approx(by_skimage(first, second), abs=1e-12)
    assert ssim(first, second, 255.0) == pytest.approx(found.mean(), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(st.integers(11, 300), st.integers(11, 600)), whole=st.booleans())
def test_sums_over_tiles_are_those_of_the_whole_image(seed: int, shape: tuple[int, int], whole: bool) -> None:
    first, second = noisy(seed, *shape), noisy(seed + 1, *shape)
    if whole:
        first, second = first.astype(np.uint8), second.astype(np.uint8)
    weights = np.random.default_rng(seed).random(shape)
    pair, inner = WindowPair.of(first.astype(float), second.astype(float)), weights[5:-5, 5:-5]
    found = agreement(first, second, 255.0, weights, flat=1.0)
    deviation = np.sqrt(pair.second.variance)
    assert found.weight == pytest.approx(inner.sum(), rel=1e-12)
    assert found.similarity == pytest.approx((pair.similarity(255.0) * inner).sum(), rel=1e-9, abs=1e-9)
    assert found.contrast_structure == pytest.approx((pair.contrast_structure(255.0) * inner).sum(), rel=1e-9, abs=1e-9)
    assert found.deviation == pytest.approx((deviation * inner).sum(), rel=1e-12)
    correlation = pair.covariance / np.sqrt(pair.first.variance)
    assert found.structure == pytest.approx((correlation * inner).sum(), rel=1e-9, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES)
def test_moments_are_those_of_scipy_s_filter(seed: int, shape: tuple[int, int]) -> None:
    image, inside = noisy(seed, *shape), (slice(5, -5), slice(5, -5))
    found = Windows.of(image)
    mean = ndimage.gaussian_filter(image, 1.5, radius=5)[inside]
    squares = ndimage.gaussian_filter(image**2, 1.5, radius=5)[inside]
    np.testing.assert_allclose(found.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(found.variance, squares - mean**2, rtol=1e-9)


def test_an_image_below_the_window_has_none() -> None:
    with pytest.raises(InputError, match="10 x 30 pixels are smaller than SSIM's window of 11"):
        Windows.of(np.zeros((10, 30)))


@pytest.mark.parametrize(("shape", "step"), [((4, 20, 31), 1), ((3, 24, 128), 3), ((3, 40, 12), 2)])
def test_neighbours_are_as_similar_as_pair_by_pair(shape: tuple[int, int, int], step: int) -> None:
    """By windows that are lines across the distance: along x for slices and for a move along y."""
    volume = noisy(3, *shape)
    volume[1:] = 0.5 * volume[1:] + 0.5 * volume[:-1]
    meter = NeighbourMeter(255.0, plane_step_px=step)
    for plane in volume:
        meter.add(plane)
    turned = volume.transpose(0, 2, 1)
    pairs = [by_lines(along[z], along[z - 1]) for along in (volume, turned) for z in range(1, len(volume))]
    moved = [
        np.mean([by_lines(plane[step:], plane[:-step]) for plane in along])
        for along in (volume, turned)
        if along.shape[1] > step
    ]
    assert meter.result().ssim_z == pytest.approx(np.mean(pairs), abs=1e-12)
    assert meter.result().ssim_plane == pytest.approx(np.mean(moved), abs=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_scores_of_a_volume_are_means_of_its_slices_scores(masked: bool) -> None:
    truth = noisy(0, 3, 48, 56)
    prediction = 0.6 * truth + 0.4 * noisy(1, 3, 48, 56)
    masks = noisy(2, 3, 48, 56) > 100 if masked else None
    found = compare_volumes(prediction, truth, 255.0, masks=masks)
    for name, score in (("ssim", ssim), ("ms_ssim", ms_ssim), ("structure", local_structure)):
        scores = [score(prediction[z], truth[z], 255.0, masks[z] if masked else None) for z in range(3)]
        assert found[name] == pytest.approx(np.mean(scores), rel=1e-12)
