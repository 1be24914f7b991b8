"""Masked normalised cross-correlation of one image with many others, at every whole shift up to a bound.

Padfield, IEEE Transactions on Image Processing 21 (2012) 2706. SimpleITK and scikit-image have it for two images; here
the fixed image's spectra are taken once for all turns and scales of the moving one, and no shift beyond the bound is
computed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from txm2sem_core.geometry import Mask

Image = NDArray[np.float32]
Real = NDArray[np.float64]

_LEAST_VARIANCE = 1e-9  # of all of an image, below which what it shares with another counts as flat


class FixedImage:
    """An image `[Y, X]` that others of its shape are correlated with.

    Attributes:
        reach: most pixels of a shift along y and x, at least 1.
    """

    def __init__(self, image: Image, mask: Mask, max_shift_px: float) -> None:
        """Of the image, where it was measured, for shifts of at most so many pixels."""
        self.reach = tuple(min(max(math.floor(max_shift_px), 1), side - 1) for side in image.shape)
        sides = [
            fft.next_fast_len(side + reach, real=True) for side, reach in zip(image.shape, self.reach, strict=True)
        ]
        self._shape = (sides[0], sides[1])
        self._spectra, self._variance = self._spectra_of(image, mask)

    def correlation(self, moving: Image, mask: Mask, min_overlap: float) -> Real:
        """The correlation of what both share, by shift: `[2 reach + 1, 2 reach + 1]`, no shift in the middle.

        A shift of (y, x) moves the moving image by so much towards larger y and x. 0 where less than `min_overlap` of
        the most pixels are shared that any of these shifts shares, or where what is shared is flat.
        """
        spectra, variance = self._spectra_of(moving, mask)
        values, squares, ones = map(np.conj, spectra)
        of_values, of_squares, of_ones = self._spectra
        shared = np.rint(self._shifted(of_ones, ones))
        count = np.maximum(shared, 1)
        sums, sums_moving = self._shifted(of_values, ones), self._shifted(of_ones, values)
        spread = self._shifted(of_squares, ones) - sums**2 / count
        spread_moving = self._shifted(of_ones, squares) - sums_moving**2 / count
        together = self._shifted(of_values, values) - sums * sums_moving / count
        told = (spread > _LEAST_VARIANCE * self._variance * count) & (
            spread_moving > _LEAST_VARIANCE * variance * count
        )
        told &= shared >= max(min_overlap * shared.max(), 1)
        scale = np.sqrt(np.where(told, spread * spread_moving, 1))
        return np.clip(np.where(told, together / scale, 0), -1, 1)

    def _spectra_of(self, image: Image, mask: Mask) -> tuple[tuple[NDArray[np.complex128], ...], float]:
        """Spectra of the values about their mean, of their squares, and of the mask; and the variance."""
        values = np.where(mask, image, 0).astype(np.float64)
        values = np.where(mask, values - values.sum() / max(mask.sum(), 1), 0)
        squares = values**2
        spectra = tuple(fft.rfft2(each, self._shape) for each in (values, squares, mask.astype(np.float64)))
        return spectra, float(squares.sum() / max(mask.sum(), 1))

    def _shifted(self, fixed: NDArray[np.complex128], moving: NDArray[np.complex128]) -> Real:
        """The sum of products at each shift, of a spectrum of the fixed image and a conjugate one of the moving."""
        found = fft.irfft2(fixed * moving, self._shape)
        rows, columns = (np.arange(-reach, reach + 1) for reach in self.reach)
        return np.asarray(found[np.ix_(rows, columns)])
