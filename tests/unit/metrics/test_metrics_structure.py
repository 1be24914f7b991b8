"""MS-SSIM, local structure, GMSD and the histogram distance against slow second implementations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import convolve2d
from scipy.stats import wasserstein_distance

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import gmsd, histogram_distance, local_structure, ms_ssim, ssim
from txm2sem_core.metrics.structure import HistogramMeter, ms_ssim_scales

Image = NDArray[np.float64]


def images(shape: tuple[int, int] = (192, 200), noise: float = 20.0) -> tuple[Image, Image]:
    rng = np.random.default_rng(0)
    target = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    target = (target - target.min()) / np.ptp(target) * 255
    return np.clip(target + rng.normal(0, noise, shape), 0, 255), target


def windowed_terms(a: Image, b: Image, full: float) -> tuple[Image, Image, Image]:
    """Luminance, contrast x structure, and the weighted correlation, each window by explicit 2D convolution."""
    line = np.exp(-np.square(np.arange(-5, 6)) / (2 * 1.5**2))
    kernel = np.outer(line, line) / line.sum() ** 2

    def mean(x: Image) -> Image:
        return convolve2d(x, kernel, mode="valid")

    c1, c2 = (0.01 * full) ** 2, (0.03 * full) ** 2
    va, vb, cov = mean(a * a) - mean(a) ** 2, mean(b * b) - mean(b) ** 2, mean(a * b) - mean(a) * mean(b)
    luminance = (2 * mean(a) * mean(b) + c1) / (mean(a) ** 2 + mean(b) ** 2 + c1)
    return luminance, (2 * cov + c2) / (va + vb + c2), cov / np.sqrt(va) / np.sqrt(vb).mean()


def test_ms_ssim_against_explicit_windows() -> None:
    a, b = images()
    value, (x, y) = 1.0, (a, b)
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        luminance, contrast_structure, _ = windowed_terms(x, y, 255)
        term = contrast_structure * (luminance if scale == 4 else 1)
        value *= float(term.mean()) ** weight
        x, y = (
            np.mean([i[r::2, c::2][: len(i) // 2, : i.shape[1] // 2] for r in (0, 1) for c in (0, 1)], axis=0)
            for i in (
                np.asarray(x)[: len(x) // 2 * 2, : x.shape[1] // 2 * 2],
                y[: len(y) // 2 * 2, : y.shape[1] // 2 * 2],
            )
        )
    assert ms_ssim(a, b, 255) == pytest.approx(value, rel=1e-4)


def test_ms_ssim_of_one_scale_is_ssim() -> None:
    a, b = images((20, 21))
    assert ms_ssim_scales((20, 21)) == 1
    assert ms_ssim(a, b, 255) == pytest.approx(ssim(a, b, 255), rel=1e-9)
    assert [ms_ssim_scales((n, 999)) for n in (10, 22, 87, 88, 175, 176, 900)] == [0, 2, 3, 4, 4, 5, 5]


def test_local_structure_against_explicit_windows_and_blind_to_brightness() -> None:
    a, b = images()
    assert local_structure(a, b, 255) == pytest.approx(windowed_terms(a, b, 255)[2].mean(), rel=1e-9)
    assert local_structure(0.5 * b + 40, b, 255) == pytest.approx(1, abs=0.02)
    assert ssim(0.5 * b + 40, b, 255) < 0.85
    assert local_structure(255 - b, b, 255) == pytest.approx(-1, abs=1e-9)


def test_local_structure_of_what_is_flat() -> None:
    """A constant prediction has none, however faint the target; flat parts of the target say nothing."""
    _, b = images()
    for target in (b, 100 + b / 1000):
        assert local_structure(np.full_like(b, 100), target, 255) == 0
    half = b.copy()
    half[:, : b.shape[1] // 2] = 50
    noisy = np.where(half == 50, np.random.default_rng(1).normal(50, 10, b.shape), half)
    assert local_structure(noisy, half, 255) > 0.9
    flat = np.full_like(b, 100)
    assert (local_structure(b, flat, 255), local_structure(flat + 1, flat, 255)) == (0, 1)


def test_gmsd_against_explicit_gradients() -> None:
    a, b = images((64, 70))

    def gradient(image: Image) -> Image:
        small = np.array([[image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean() for x in range(35)] for y in range(32)])
        kernel = np.array([[1, 0, -1]] * 3) / 3
        return np.sqrt(convolve2d(small, kernel, "valid") ** 2 + convolve2d(small, kernel.T, "valid") ** 2)

    ga, gb = gradient(a), gradient(b)
    expected = ((2 * ga * gb + 170) / (ga**2 + gb**2 + 170)).std(ddof=1)
    assert gmsd(a, b, 255) == pytest.approx(expected, rel=1e-9)
    assert gmsd(a * 257, b * 257, 65535) == pytest.approx(expected, rel=1e-9)


def test_histogram_distance_against_scipy() -> None:
    a, b = images()
    assert histogram_distance(a, b, 255) * 255 == pytest.approx(wasserstein_distance(a.ravel(), b.ravel()))
    assert histogram_distance(b[::-1], b, 255) == 0  # places do not count
    assert histogram_distance(b + 12.5, b, 250) == pytest.approx(0.05)


@pytest.mark.parametrize("full", [255.0, 65535.0])
def test_the_histogram_of_volumes_is_gathered(full: float) -> None:
    a, b = (np.rint(image * (full / 255)).astype(np.uint16) for image in images())
    meter = HistogramMeter(full)
    for rows in (slice(0, 50), slice(50, None)):
        meter.add(a[rows], b[rows])
    tolerance = 1e-12 if full == 255 else 1 / 4096
    assert meter.result() == pytest.approx(wasserstein_distance(a.ravel(), b.ravel()) / full, abs=tolerance)


@pytest.mark.parametrize("full", [0.5, 1.0, 2.0, 10.0, 255.0, 1023.5, 4096.0, 65535.0])
@pytest.mark.parametrize("whole", [False, True])
def test_the_histogram_of_volumes_is_right_for_any_range(full: float, whole: bool) -> None:
    """Shifts, and what scipy says of float images; of whole grey levels, which float images may hold, to rounding."""
    a, b = (image * (full / 255) for image in images())
    if whole:
        a, b = np.rint(a), np.rint(b)
    meter, shifted = HistogramMeter(full), HistogramMeter(full)
    for rows in (slice(0, 50), slice(50, None)):
        meter.add(a[rows], b[rows])
        shifted.add(b[rows] + 0.1 * full, b[rows])
    exact = whole and full <= 4096 and full.is_integer()
    expected = wasserstein_distance(a.ravel(), b.ravel()) / full
    assert meter.result() == pytest.approx(expected, abs=1e-12 if exact else 1 / 4096)
    assert shifted.result() == pytest.approx(0.1, abs=1e-9)


@pytest.mark.parametrize(("score", "best"), [(ms_ssim, 1), (local_structure, 1), (gmsd, 0), (histogram_distance, 0)])
def test_equal_images_masks_and_mistakes(score, best) -> None:  # type: ignore[no-untyped-def]
    a, b = images()
    assert score(b, b, 255) == pytest.approx(best, abs=1e-9)
    charged, mask = b.copy(), np.ones(b.shape, bool)
    charged[40:60, 40:90] += 3000
    mask[20:80, 20:110] = False
    assert score(charged, b, 255, mask) == pytest.approx(best, abs=0.01)
    assert abs(score(charged, b, 255) - best) > 0.01
    with pytest.raises(InputError, match="mask leaves no pixel"):
        score(a, b, 255, np.zeros(b.shape, bool))
    with pytest.raises(InputError, match="data_range"):
        score(a, b, 0)
