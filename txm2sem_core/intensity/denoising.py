"""FIB-SEM slices without the noise of the microscope, by non-local means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PATCH_PX = 5  # patches that are compared
DISTANCE_PX = 9  # how far away similar ones are looked for
_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


def denoised(image: NDArray[np.generic], strength: float) -> NDArray[np.float32]:
    """An image `[Y, X]` without noise, by non-local means (Buades, Coll and Morel 2005).

    Args:
        image: grey levels.
        strength: the filter's `h` in standard deviations of the noise.
    """
    from skimage.restoration import denoise_nl_means

    values = image.astype(np.float32)
    sigma = noise_deviation(values)
    if sigma == 0:
        return values
    found = denoise_nl_means(
        values, patch_size=PATCH_PX, patch_distance=DISTANCE_PX, h=strength * sigma, sigma=sigma, fast_mode=False
    )
    return np.asarray(found, dtype=np.float32)


def noise_deviation(image: NDArray[np.float32]) -> float:
    """Standard deviation of the noise of an image, by what is left of it after a Laplacian (Immerkaer 1996).

    The median instead of the mean, so that edges do not count.
    """
    from scipy import ndimage

    left = ndimage.convolve(image, _LAPLACIAN)
    return float(np.median(np.abs(left)) / (0.6745 * np.sqrt((_LAPLACIAN**2).sum())))
