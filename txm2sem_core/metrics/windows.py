"""What images hold within SSIM's Gaussian window around each pixel.

Several scores ask for the same means, variances and covariances, which take most of the time of measuring: here they
are computed once for all of them. Only windows that lie wholly in the image are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError

SSIM_WINDOW_PX = 11  # of Wang et al. 2004: sigma 1.5, cut at 5 pixels
BORDER_PX = SSIM_WINDOW_PX // 2
INTERIOR = (slice(BORDER_PX, -BORDER_PX), slice(BORDER_PX, -BORDER_PX))
"""The pixels of an image that have a window."""
_SIGMA_PX = 1.5

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Windows:
    """An image with the moments of its windows.

    Attributes:
        image: `[Y, X]`.
        mean: Gaussian mean around each pixel of the interior, `[Y - 10, X - 10]`.
        variance: of the same windows, population variance.
        axes: along which the windows extend. Along one axis they are lines, and only that axis has an interior.
    """

    image: Real
    mean: Real
    variance: Real
    axes: tuple[int, ...] = (0, 1)

    @classmethod
    def of(cls, image: Real, axes: tuple[int, ...] = (0, 1)) -> Windows:
        """Compute them; InputError for an image smaller than the window."""
        check_window(image, SSIM_WINDOW_PX, axes)
        mean = _smooth(image, axes)
        squares = _smooth(np.square(image), axes)
        variance = np.maximum(squares - np.square(mean), 0)  # rounding may leave less than nothing
        return cls(image, mean, variance, axes)

    def without(self, axis: int, first: int = 0, last: int = 0) -> Windows:
        """The same of the image without its `first` and `last` lines along an axis."""
        maps = (np.moveaxis(values, axis, 0) for values in (self.image, self.mean, self.variance))
        image, mean, variance = (np.moveaxis(values[first : len(values) - last], 0, axis) for values in maps)
        return Windows(image, mean, variance, self.axes)


class WindowPair:
    """The windows of two images of one shape, and how they agree: maps `[Y - 10, X - 10]`.

    Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13 (2004) 600-612, with K1 = 0.01, K2 = 0.03.
    """

    def __init__(self, first: Windows, second: Windows) -> None:
        self.first, self.second = first, second

    @classmethod
    def of(cls, first: Real, second: Real) -> WindowPair:
        """Of two images `[Y, X]`; InputError for images smaller than the window."""
        return cls(Windows.of(first), Windows.of(second))

    @cached_property
    def covariance(self) -> Real:
        """Of both images within each window."""
        products = _smooth(self.first.image * self.second.image, self.first.axes)
        covariance: Real = products - self.first.mean * self.second.mean
        return covariance

    def luminance(self, data_range: float) -> Real:
        """How the means agree (eq. 6)."""
        c1 = (0.01 * data_range) ** 2
        one, two = self.first.mean, self.second.mean
        agreement: Real = (2 * one * two + c1) / (np.square(one) + np.square(two) + c1)
        return agreement

    def contrast_structure(self, data_range: float) -> Real:
        """How contrasts agree, times how structures do (eqs. 9 and 10, with C3 = C2 / 2)."""
        c2 = (0.03 * data_range) ** 2
        agreement: Real = (2 * self.covariance + c2) / (self.first.variance + self.second.variance + c2)
        return agreement

    def similarity(self, data_range: float) -> Real:
        """SSIM of each window (eq. 13)."""
        return self.luminance(data_range) * self.contrast_structure(data_range)


def check_window(image: Real, window_px: int, axes: tuple[int, ...] = (0, 1)) -> None:
    """InputError unless a window of so many pixels along the axes fits into the image `[Y, X]`."""
    height, width = image.shape
    if min(image.shape[axis] for axis in axes) < window_px:
        raise InputError(f"images of {height} x {width} pixels are smaller than SSIM's window of {window_px} pixels")


def _smooth(image: Real, axes: tuple[int, ...]) -> Real:
    """Gaussian means of all windows that lie in the image."""
    from scipy import ndimage

    filtered: Real = ndimage.gaussian_filter(_with_odd_rows(image), _SIGMA_PX, radius=BORDER_PX, axes=axes)
    interior = tuple(INTERIOR[axis] if axis in axes else slice(None) for axis in (0, 1))
    return filtered[:, : image.shape[1]][interior]


def _with_odd_rows(image: Real) -> Real:
    """The image, with one more column where its width is a multiple of 128.

    Pixels below each other would otherwise share a few places of the processor's cache, and a filter along y takes
    two to three times as long.
    """
    return np.pad(image, ((0, 0), (0, 1)), mode="edge") if image.shape[1] % 128 == 0 else image
