"""Curtains taken out of a FIB-SEM slice: stripes along which the ion beam came.

Münch, Trtik, Marone and Stampanoni, Optics Express 17 (2009) 8567, as pystripe has it: in a wavelet decomposition, the
details across the stripes hold them as what hardly varies along them; there, low frequencies along the stripes are
damped by a Gaussian. PyWavelets decomposes.
"""

from __future__ import annotations

import math

import numpy as np

from txm2sem_core.config import CurtainSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.geometry import Array
from txm2sem_core.intensity.measured import Slice

WAVELET = "db8"  # shorter ones (db3) took more of the rock with the curtains of phantoms, longer ones allow few levels


def without_curtains(image: Slice, settings: CurtainSettings) -> tuple[Slice, float]:
    """The slice without curtains, in its own type, and the share of pixels that had to be clipped to that type.

    What was not measured keeps its value, and has no part in it.

    Raises:
        ConfigError: PyWavelets is not installed.
    """
    if settings.direction == "none" or not image.mask.any():
        return image, 0.0
    rows, columns = (np.flatnonzero(image.mask.any(axis=axis)) for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    seen = image.filled[box].astype(np.float64)
    upright = seen if settings.direction == "vertical" else seen.T
    smooth = _without_vertical(upright, settings.width_px, settings.length_px)
    found, clipped = _in_type(smooth if settings.direction == "vertical" else smooth.T, image.image.dtype)
    kept = image.image.copy()
    kept[box] = np.where(image.mask[box], found, kept[box])
    return Slice(kept, image.mask), float(np.mean(clipped[image.mask[box]]))


def _without_vertical(image: Array, width_px: float, length_px: float) -> Array:
    """`image` [Y, X], float64, without stripes along Y."""
    try:
        import pywt
    except ImportError as error:
        raise ConfigError(
            "register.curtains.direction: taking out curtains needs PyWavelets. Install it (pip install pywavelets), "
            "or choose none."
        ) from error
    levels = min(math.ceil(math.log2(width_px)), pywt.dwt_max_level(min(image.shape), WAVELET))
    coarse, *details = pywt.wavedec2(image, WAVELET, mode="symmetric", level=levels)
    damped = [(along, _damped(across, image.shape[0] / length_px), both) for along, across, both in details]
    made = pywt.waverec2([coarse, *damped], WAVELET, mode="symmetric")
    return np.asarray(made[: image.shape[0], : image.shape[1]])


def _damped(details: Array, sigma: float) -> Array:
    """Details [Y, X] without what varies along Y by fewer than about `sigma` waves over the image."""
    waves = np.fft.rfft(details, axis=0)
    kept = -np.expm1(-(np.arange(len(waves)) ** 2) / (2 * sigma**2))
    return np.fft.irfft(waves * kept[:, None], n=details.shape[0], axis=0)


def _in_type(image: Array, dtype: np.dtype) -> tuple[Array, Array]:
    """`image` as `dtype`, and where it had to be clipped for that."""
    if dtype.kind == "f":
        return image.astype(dtype), np.zeros(image.shape, dtype=bool)
    rounded = np.rint(image)
    limits = np.iinfo(dtype)
    return rounded.clip(limits.min, limits.max).astype(dtype), (rounded < limits.min) | (rounded > limits.max)
