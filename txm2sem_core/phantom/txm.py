"""TXM: X-ray attenuation of the rock, as a tomographic reconstruction shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from txm2sem_core.phantom import phases
from txm2sem_core.phantom.rock import RockSlice

Floats = NDArray[np.float32]

FWHM_PER_SIGMA = float(2.0 * np.sqrt(2.0 * np.log(2.0)))
PROJECTIONS = 901
SAMPLE_DIAMETER_CM = 30e-4  # the field of view of a nano-CT's high-resolution optic
RECONSTRUCTION_SHARE = 0.5  # share of the point-spread function's variance that the reconstruction's filter makes
RING_PER_CM = 2.2  # standard deviation of the ring artefacts far from the axis
DRIFT_SHARE = 0.01  # standard deviation of a slice's brightness drift


@dataclass(frozen=True)
class Scale:
    """How attenuation is stored: `stored = (attenuation - low) / (high - low) * 65535`, attenuations in 1/cm."""

    low_per_cm: float
    high_per_cm: float


def slice_attenuation(rock: RockSlice, attenuation: NDArray[np.float64]) -> Floats:
    """Linear attenuation `[Y, X]` in 1/cm; that of clay is reduced by its voids below the voxel's size."""
    result = attenuation.astype(np.float32)[rock.labels]
    clay = rock.labels == phases.CLAY
    result[clay] *= 1.0 - rock.clay_porosity[clay]
    return np.asarray(result, dtype=np.float32)


def in_wider_pixels(plane: Floats, factor: int) -> Floats:
    """The mean attenuation `[Y, X]` on pixels so many times as wide."""
    height, width = plane.shape
    blocks = plane.reshape(height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3)) if factor > 1 else plane, dtype=np.float32)


def blur_by_psf(volume: Floats, fwhm_nm: tuple[float, ...], voxel_size_nm: tuple[float, ...]) -> None:
    """Convolve `volume` `[Z, Y, X]` in place with a Gaussian of `fwhm_nm` (Z, Y, X)."""
    sigmas = [fwhm / step / FWHM_PER_SIGMA for fwhm, step in zip(fwhm_nm, voxel_size_nm, strict=True)]
    for plane in volume:
        plane[:] = ndimage.gaussian_filter(plane, sigmas[1:], mode="nearest")
    for row in range(volume.shape[1]):  # a row at a time: no second volume is held
        volume[:, row] = ndimage.gaussian_filter1d(volume[:, row], sigmas[0], axis=0, mode="nearest")


def voxel_noise_per_cm(photons: float, pixel_cm: float, mean_attenuation: float) -> float:
    """Standard deviation in 1/cm of one voxel reconstructed by filtered back-projection with the full ramp filter.

    sigma^2 = pi^2 / (12 * projections * N * pixel^2), with N the photons detected behind the sample (Kak and Slaney
    1988, section 5.2, for counting noise).
    """
    detected = photons * np.exp(-mean_attenuation * SAMPLE_DIAMETER_CM)
    return float(np.pi / np.sqrt(12.0 * PROJECTIONS * detected) / pixel_cm)


def ramp_noise(shape: tuple[int, int, int], sigma_px: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    """Correlated noise `[Z, Y, X]` of a reconstruction whose raw voxels have unit variance.

    Within a slice its power grows with frequency, as back-projection of independent counts leaves it; slices are
    independent; then the reconstruction's Gaussian filter of `sigma_px` (Z, Y, X) smooths it.
    """
    noise = rng.standard_normal(shape, dtype=np.float32)
    frequency_y = fft.fftfreq(shape[1])[:, None]
    frequency_x = fft.rfftfreq(shape[2])[None, :]
    power = np.hypot(frequency_y, frequency_x)
    white = fft.fftfreq(shape[1])[:, None], fft.fftfreq(shape[2])[None, :]
    power /= np.mean(np.hypot(*white))
    exponent = (sigma_px[1] * frequency_y) ** 2 + (sigma_px[2] * frequency_x) ** 2
    transfer = (np.sqrt(power) * np.exp(-2.0 * np.pi**2 * exponent)).astype(np.float32)
    for plane in noise:
        plane[:] = fft.irfft2(fft.rfft2(plane) * transfer, s=plane.shape)
    for row in range(shape[1]):
        noise[:, row] = ndimage.gaussian_filter(noise[:, row], (sigma_px[0], 0.0), mode="nearest")
    return noise


def ring_artefacts(shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Rings about an axis along Z: `profiles` `[Z, radii]` of unit variance, and each pixel's `radius` `[Y, X]`.

    The axis stands near the slice's centre. A bad detector pixel's ring lasts over some slices, and is weaker near the
    edge, where it is spread over a longer circle.
    """
    centre = (np.array(shape[1:]) - 1) / 2.0 + rng.uniform(-4.0, 4.0, 2)
    radius = np.hypot(np.arange(shape[1])[:, None] - centre[0], np.arange(shape[2]) - centre[1]).astype(np.float32)
    count = int(radius.max()) + 2
    profiles = ndimage.gaussian_filter(rng.standard_normal((shape[0], count)), (6.0, 0.7), mode="wrap")
    profiles /= max(float(profiles.std()), 1e-12)
    profiles *= 1.0 / np.sqrt(1.0 + np.arange(count) / 60.0)
    return profiles.astype(np.float32), radius


def add_rings(volume: Floats, rng: np.random.Generator) -> None:
    """Add ring artefacts to `volume` `[Z, Y, X]` (1/cm) in place."""
    depth, height, width = volume.shape
    profiles, radius = ring_artefacts((depth, height, width), rng)
    inner = radius.astype(np.int32)
    part = radius - inner
    for plane, profile in zip(volume, profiles, strict=True):
        plane += RING_PER_CM * (profile[inner] * (1.0 - part) + profile[inner + 1] * part)


def reconstruct(
    volume: Floats,
    voxel_size_nm: tuple[float, float, float],
    psf_fwhm_nm: tuple[float, float, float],
    photons: float,
    rng: np.random.Generator,
) -> None:
    """Turn true attenuation `[Z, Y, X]` in 1/cm, in place, into what the microscope reconstructs."""
    mean = float(volume.mean(dtype=np.float64))
    blur_by_psf(volume, psf_fwhm_nm, voxel_size_nm)
    depth, height, width = volume.shape
    filter_px = [
        float(np.sqrt(RECONSTRUCTION_SHARE)) * fwhm / step / FWHM_PER_SIGMA
        for fwhm, step in zip(psf_fwhm_nm, voxel_size_nm, strict=True)
    ]
    noise = ramp_noise((depth, height, width), (filter_px[0], filter_px[1], filter_px[2]), rng)
    noise *= np.float32(voxel_noise_per_cm(photons, voxel_size_nm[2] * 1e-7, mean))
    volume += noise
    add_rings(volume, rng)
    drift = ndimage.gaussian_filter1d(rng.standard_normal(depth), 4.0, mode="reflect")
    drift *= DRIFT_SHARE / max(float(drift.std()), 1e-12)
    volume *= (1.0 + drift).astype(np.float32)[:, None, None]


def storage_scale(volume: Floats, attenuation: NDArray[np.float64]) -> Scale:
    """The attenuations that 0 and 65535 stand for: set by the phases, and widened if a voxel would be clipped."""
    largest = float(attenuation.max())
    return Scale(min(-0.2 * largest, float(volume.min())), max(1.3 * largest, float(volume.max())))


def to_uint16(plane: Floats, scale: Scale) -> NDArray[np.uint16]:
    """`plane` in 1/cm as stored 16-bit values."""
    stored = (plane.astype(np.float64) - scale.low_per_cm) * (65535.0 / (scale.high_per_cm - scale.low_per_cm))
    return np.rint(stored).astype(np.uint16)
