"""Spectra and Fourier correlations: white noise, waves, and images of known agreement."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import CorrelationMeter, fourier_correlation, radial_power, shell_correlation
from txm2sem_core.metrics.frequency import blocks


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    noise = np.random.default_rng(0).normal(0, 3, (128, 128))
    frequency, power = radial_power(noise, (5.0, 5.0))
    assert power[4:].mean() == pytest.approx(9 * 25, rel=0.03)
    assert frequency[-1] == pytest.approx(0.1)  # Nyquist of 5 nm


def test_a_wave_stands_at_its_frequency() -> None:
    x = np.arange(120) * 10.0
    frequency, power = radial_power(np.sin(2 * np.pi * x / 100)[None] * np.ones((120, 1)), (10.0, 10.0))
    assert frequency[int(power.argmax())] == pytest.approx(0.01)


def test_agreement_ends_where_the_frequencies_are_cut() -> None:
    """Two images that share all below a frequency and nothing above it."""
    rng = np.random.default_rng(1)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    shared, first, second = (np.fft.fft2(rng.normal(size=(256, 256))) for _ in range(3))
    a, b = (np.fft.ifft2(np.where(radius < 0.2, shared, own)).real for own in (first, second))
    curve = fourier_correlation(a, b, (4.0, 4.0))
    assert curve.resolution_nm() == pytest.approx(4 / 0.2, rel=0.03)
    assert curve.resolution_nm(curve.half_bit) == pytest.approx(4 / 0.2, rel=0.03)
    assert curve.correlation[5:45].min() > 0.99


def test_noise_of_equal_power_gives_one_half() -> None:
    """Of S + N1 and S + N2 with equal powers the correlation is 1/2 (signal over signal and noise)."""
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(256, 256))
    a, b = (signal + rng.normal(size=signal.shape) for _ in range(2))
    assert fourier_correlation(a, b, (1.0, 1.0)).correlation[10:].mean() == pytest.approx(0.5, abs=0.02)


def test_brightness_contrast_and_charge_do_not_count() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(64, 64))
    assert fourier_correlation(a, 3 * a + 7, (1.0, 1.0)).correlation[1:] == pytest.approx(np.ones(32))
    charged, mask = a.copy(), np.ones(a.shape, bool)
    charged[20:30, 20:30], mask[20:30, 20:30] = 1e4, False
    assert fourier_correlation(charged, a, (1.0, 1.0), mask).correlation[1:] == pytest.approx(np.ones(32))
    meter = CorrelationMeter((1.0, 1.0))
    meter.add(-a, a)
    assert meter.correlation().correlation[5] == pytest.approx(-1)
    assert meter.correlation(either_sign=True).correlation[5] == pytest.approx(1)


def test_pooled_pairs_against_the_sums_by_hand() -> None:
    rng = np.random.default_rng(4)
    pairs = [(rng.normal(size=(32, 32)), rng.normal(size=(32, 32))) for _ in range(3)]
    meter = CorrelationMeter((1.0, 1.0))
    for pair in pairs:
        meter.add(*pair)
    line = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(32) / 32)
    window = np.outer(line, line)
    radius = np.rint(32 * np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32))))
    sums = np.zeros(3)
    for pair in pairs:
        f, g = (np.fft.fft2((i - (i * window).sum() / window.sum()) * window)[radius == 7] for i in pair)
        sums += [(f * g.conj()).real.sum(), (np.abs(f) ** 2).sum(), (np.abs(g) ** 2).sum()]
    assert meter.correlation().correlation[7] == pytest.approx(sums[0] / math.sqrt(sums[1] * sums[2]))


def test_shells_of_a_volume_are_pooled_over_cubes() -> None:
    rng = np.random.default_rng(5)
    a = ndimage.gaussian_filter(rng.normal(size=(40, 36, 33)), 1)
    b = a + rng.normal(0, a.std(), a.shape)
    curve = shell_correlation(iter(a), iter(b), (8.0, 8.0, 8.0), 16)
    meter = CorrelationMeter((8.0, 8.0, 8.0))
    for z in (0, 16):
        for y in (0, 16):
            for x in (0, 16):
                place = (slice(z, z + 16), slice(y, y + 16), slice(x, x + 16))
                meter.add(a[place], b[place])
    np.testing.assert_allclose(curve.correlation, meter.correlation().correlation)
    assert 16 < curve.resolution_nm() < 128
    assert len(list(blocks(a, 16))) == 8


def test_equal_and_unrelated_images() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 128, 128))
    assert fourier_correlation(a, a, (5.0, 5.0)).resolution_nm() == 10  # two pixels
    unrelated = fourier_correlation(a, b, (5.0, 5.0))
    assert unrelated.resolution_nm(0.5) > 100
    with pytest.raises(InputError, match="at least 8 pixels"):
        fourier_correlation(a[:4], b[:4], (5.0, 5.0))
    with pytest.raises(InputError, match="greater than 0"):
        CorrelationMeter((0.0, 1.0))
