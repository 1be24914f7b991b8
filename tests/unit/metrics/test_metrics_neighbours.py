"""What each measure of neighbouring slices says of volumes whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, signal

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import LineSpectra, NeighbourMeter, Neighbours, neighbours

Volume = NDArray[np.float64]
NOISE = np.random.default_rng(0).normal(size=(64, 64, 64))
ISOTROPIC = ndimage.gaussian_filter(NOISE, 2, mode="wrap")


def read(volume: Volume) -> Neighbours:
    return neighbours(iter(volume), float(np.ptp(volume)))


def test_an_isotropic_volume_reads_good() -> None:
    found = read(ISOTROPIC)
    assert found.ssim_z == pytest.approx(found.ssim_plane, abs=0.06)
    # Gaussian field smoothed with sigma s: correlation at distance r is exp(-r^2 / 4 s^2)
    near, far = math.exp(-1 / 16), math.exp(-4 / 16)
    exact = (6 - 8 * near + 2 * far) / (3 * (2 - 2 * near))
    assert (found.jitter_z, found.jitter_plane) == (pytest.approx(exact, rel=0.05), pytest.approx(exact, rel=0.05))
    assert found.brightness_jitter < 0.25
    assert found.shift_jitter_px < 0.5
    assert found.high_z < 0.01
    assert found.high_ratio == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("smooth", [0, 2])
def test_independent_slices_read_bad_by_every_measure(smooth: float) -> None:
    """White noise, and slices each of which is smooth as the isotropic volume's are."""
    found = read(ndimage.gaussian_filter(NOISE, (0, smooth, smooth), mode="wrap") if smooth else NOISE)
    assert abs(found.ssim_z) < 0.05
    assert found.jitter_z == pytest.approx(1, abs=0.02)
    assert found.brightness_jitter == pytest.approx(1, abs=0.25)
    assert found.shift_jitter_px > 3
    assert found.high_z == pytest.approx(0.5, abs=0.03)
    if smooth:
        assert found.ssim_plane > 0.6
        assert found.jitter_plane < 0.15
        assert found.high_ratio > 100


def test_a_smeared_volume_says_so() -> None:
    smeared, constant = ndimage.gaussian_filter1d(ISOTROPIC, 4, axis=0, mode="wrap"), np.repeat(ISOTROPIC[:1], 40, 0)
    assert read(smeared).high_ratio < 0.2
    assert read(smeared).jitter_z < 0.3 * read(smeared).jitter_plane
    assert read(smeared).ssim_z > read(smeared).ssim_plane + 0.1
    assert read(constant).high_ratio < 1e-20
    assert read(constant).ssim_z == pytest.approx(1)
    assert math.isnan(read(constant).jitter_z)  # there is no change that could be rough


def test_flicker_and_shifts_are_distinguished() -> None:
    rng = np.random.default_rng(1)
    flicker = read(ISOTROPIC + rng.normal(0, ISOTROPIC.std(), 64)[:, None, None])
    moved = rng.integers(-3, 4, (64, 2))
    shifted = read(np.stack([np.roll(p, by, (0, 1)) for p, by in zip(ISOTROPIC, moved, strict=True)]))
    assert flicker.brightness_jitter > 0.7
    assert flicker.shift_jitter_px < 0.5
    assert shifted.brightness_jitter < 0.25
    steps = np.diff(moved, axis=0)
    exact = math.sqrt(np.square(steps - np.median(steps, axis=0)).sum(axis=1).mean())
    assert shifted.shift_jitter_px == pytest.approx(exact, rel=0.1)


def test_line_spectra_against_scipy() -> None:
    spectra = LineSpectra(16)
    volume = NOISE[:40, :24, :33]
    for plane in volume:
        spectra.add(plane)
    for row in range(3):
        options = {"nperseg": 16, "noverlap": 8, "detrend": False, "return_onesided": False, "axis": row}
        _, power = signal.welch(volume, window="hann", **options)
        found = spectra.power()[row]
        expected = np.moveaxis(power, row, -1).mean(axis=(0, 1))[:9]
        np.testing.assert_allclose(found[3:], expected[3:], rtol=1e-9)  # below, ours has lost its mean


def test_voxels_that_are_not_cubes() -> None:
    third = ISOTROPIC[::3]
    cubes, right = neighbours(third, 1.0, line_px=16), neighbours(third, 1.0, plane_step_px=3, line_px=16)
    assert cubes.jitter_z > 2 * cubes.jitter_plane
    assert right.jitter_z == pytest.approx(right.jitter_plane, rel=0.15)
    assert abs(math.log(right.high_ratio)) < abs(math.log(cubes.high_ratio))


def test_small_volumes_and_mistakes() -> None:
    found = neighbours(ISOTROPIC[:2, :12, :12], 1.0)
    assert math.isnan(found.high_z)
    assert math.isnan(found.jitter_z)
    assert math.isfinite(found.ssim_z)
    with pytest.raises(InputError, match="at least two slices"):
        neighbours(ISOTROPIC[:1], 1.0)
    with pytest.raises(InputError, match="shapes differ"):
        neighbours([ISOTROPIC[0], ISOTROPIC[1, :20]], 1.0)


@pytest.mark.parametrize("voxel", [(0.1, 2.0, 4e6), (4e6, 0.1, 2.0), (1.0, 1.0, 1e12)])
def test_voxels_of_absurd_lengths_take_no_memory_for_lines_that_do_not_fit(voxel: tuple[float, float, float]) -> None:
    """As of a table in mixed units: lines were prepared that were as many voxels longer as the axes differ."""
    shape = (8, 40, 36)
    meter = NeighbourMeter.of_volume(shape, voxel, 255.0)
    assert all(length <= n + 1 for length, n in zip(meter.spectra.lengths_px, shape, strict=True))
    longest = int(np.argmax(voxel))
    assert meter.spectra.lengths_px[longest] == 4
    for image in np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8):
        meter.add(image)
    powers = meter.spectra.power()
    assert [bool(np.isnan(power).all()) for power in powers] == [axis != longest for axis in range(3)]
    assert math.isnan(meter.result().high_ratio)
