"""How alike two slices of different contrast are, and how alike unrelated ones would look."""

# mypy: disable-error-code="no-untyped-call"
# (scikit-image carries types in part)

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import normalized_mutual_information

from txm2sem_core.geometry import Array, Mask

BINS = 32
CLIP_PERCENTILES = (0.5, 99.5)
DISPLACEMENTS = 5  # a side, the undisplaced one among them


def prefilter(image: Array, median_px: int, smooth_px: float) -> NDArray[np.float32]:
    """Median filter, Gaussian filter, clip to percentiles, and map to [0, 1]: float32 [Y, X].

    Without it the noise, of which a mutual information over all pixels sees most, hides the structures. A blank image
    comes back as zeros.
    """
    filtered = image.astype(np.float32)
    if median_px > 1:
        filtered = ndimage.median_filter(filtered, size=median_px, mode="nearest")
    if smooth_px > 0:
        filtered = ndimage.gaussian_filter(filtered, smooth_px, mode="nearest")
    low, high = np.percentile(filtered, CLIP_PERCENTILES)
    if high <= low:
        return np.zeros_like(filtered)
    return np.clip((filtered - low) / (high - low), 0, 1).astype(np.float32)


def similarity(first: Array, second: Array, mask: Mask) -> float:
    """Normalised mutual information (H(A) + H(B)) / H(A, B) of two images [Y, X] over `mask`: 1 unrelated, 2 equal.

    Studholme, Hill, Hawkes, Pattern Recognition 32 (1999) 71. NaN where the mask holds fewer than two pixels or an
    image is constant.
    """
    a, b = first[mask], second[mask]
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(normalized_mutual_information(a, b, bins=BINS))


def correlation(first: Array, second: Array, mask: Mask) -> float:
    """Pearson correlation of two images [Y, X] over `mask`; NaN as in `similarity`. Negative if one is inverted."""
    a, b = first[mask].astype(np.float64), second[mask].astype(np.float64)
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def chance_similarity(first: Array, second: Array) -> float:
    """The highest `similarity` of two registered images [Y, X] displaced against each other, with wrap-around.

    Twenty-four displacements by fifths of the sides. What this leaves is owed to grey-level histograms, to structures
    as large as the image, and to chance: a registration that found the right place stands clear above it.
    """
    height, width = first.shape
    everywhere = np.ones(first.shape, dtype=bool)
    steps = [(y, x) for y in range(DISPLACEMENTS) for x in range(DISPLACEMENTS) if (y, x) != (0, 0)]
    values = []
    for y, x in steps:
        by = (round(y * height / DISPLACEMENTS), round(x * width / DISPLACEMENTS))
        values.append(similarity(first, np.roll(second, by, axis=(0, 1)), everywhere))
    return max(values)
