"""What images hold within SSIM's Gaussian window around each pixel.

Several scores ask for the same means, variances and covariances, which take most of the time of measuring: here they
are computed once for all of them, tile by tile (see `tiles`). Only windows that lie wholly in the image are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.tiles import Image, grown, real, tiles

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
        variance = _smooth(np.square(image), axes)
        variance -= np.square(mean)
        np.maximum(variance, 0, out=variance)  # rounding may leave less than nothing
        return cls(image, mean, variance, axes)

    def lines(self, first: int, end: int) -> Windows:
        """Of lines along x alone: the same of the rows `first` to `end - 1`."""
        return Windows(self.image[first:end], self.mean[first:end], self.variance[first:end], self.axes)


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
        covariance = _smooth(self.first.image * self.second.image, self.first.axes)
        covariance -= self.first.mean * self.second.mean
        return covariance

    def luminance(self, data_range: float) -> Real:
        """How the means agree (eq. 6)."""
        c1 = (0.01 * data_range) ** 2
        one, two = self.first.mean, self.second.mean
        product = one * two
        product *= 2
        product += c1
        squares = np.square(one)
        squares += np.square(two)
        squares += c1
        product /= squares
        return product

    def contrast_structure(self, data_range: float) -> Real:
        """How contrasts agree, times how structures do (eqs. 9 and 10, with C3 = C2 / 2)."""
        c2 = (0.03 * data_range) ** 2
        doubled = 2 * self.covariance
        doubled += c2
        variances = self.first.variance + self.second.variance
        variances += c2
        doubled /= variances
        return doubled

    def similarity(self, data_range: float) -> Real:
        """SSIM of each window (eq. 13)."""
        return self.luminance(data_range) * self.contrast_structure(data_range)


def check_window(image: Image, window_px: int, axes: tuple[int, ...] = (0, 1)) -> None:
    """InputError unless a window of so many pixels along the axes fits into the image `[Y, X]`."""
    height, width = image.shape
    if min(image.shape[axis] for axis in axes) < window_px:
        raise InputError(f"images of {height} x {width} pixels are smaller than SSIM's window of {window_px} pixels")


@dataclass(frozen=True)
class Agreement:
    """Sums over all windows of two images; see `agreement`.

    Attributes:
        weight: of the windows.
        similarity: SSIM times the weight.
        contrast_structure: SSIM without luminance, times the weight.
        structure: the correlation within a window, times the weight and the second image's standard deviation.
        deviation: the second image's standard deviation, times the weight.
        own_deviation: the first image's.
    """

    weight: float = 0.0
    similarity: float = 0.0
    contrast_structure: float = 0.0
    structure: float = 0.0
    deviation: float = 0.0
    own_deviation: float = 0.0


def agreement(
    first: Image, second: Image, data_range: float, weights: Real | None = None, *, flat: float | None = None
) -> Agreement:
    """How two images `[Y, X]` agree, summed over their windows.

    Args:
        first: integer or float, finite.
        second: of the same shape.
        data_range: greatest minus least possible grey level.
        weights: of the pixels on which windows are centred, 1 without.
        flat: standard deviation up to which a window counts as flat; without it there is no structure.

    Raises:
        InputError: images smaller than the window.
    """
    check_window(first, SSIM_WINDOW_PX)
    total = np.zeros(6)
    inside = tuple(n - 2 * BORDER_PX for n in first.shape)
    inner = None if weights is None else weights[INTERIOR]
    for rows, columns in tiles(inside):
        around = grown(rows, 2 * BORDER_PX), grown(columns, 2 * BORDER_PX)
        pair = WindowPair.of(real(first[around]), real(second[around]))
        total += _sums(pair, data_range, None if inner is None else inner[rows, columns], flat)
    return Agreement(*total.tolist())


def _sums(pair: WindowPair, data_range: float, weights: Real | None, flat: float | None) -> Real:
    maps = [pair.contrast_structure(data_range)]
    maps.insert(0, pair.luminance(data_range))
    maps[0] *= maps[1]
    if flat is not None:
        deviations = [np.sqrt(np.where(v > flat**2, v, 0.0)) for v in (pair.first.variance, pair.second.variance)]
        either = (deviations[0] > 0) & (deviations[1] > 0)
        maps.append(np.divide(pair.covariance, deviations[0], out=np.zeros_like(deviations[0]), where=either))
        maps += deviations[::-1]
    weight = float(pair.first.mean.size) if weights is None else float(weights.sum())
    sums = [float((values if weights is None else values * weights).sum()) for values in maps]
    return np.array([weight, *sums, *[0.0] * (5 - len(sums))])


def _weights() -> list[float]:
    """Of the Gaussian, up to its middle."""
    weights = np.exp(-0.5 / _SIGMA_PX**2 * np.arange(-BORDER_PX, BORDER_PX + 1) ** 2)
    return [float(weight) for weight in (weights / weights.sum())[: BORDER_PX + 1]]


_WEIGHTS = _weights()


def _smooth(image: Real, axes: tuple[int, ...]) -> Real:
    """Gaussian means of all windows that lie in the image."""
    for axis in axes:
        inside = image.shape[axis] - 2 * BORDER_PX
        before: tuple[slice, ...] = (slice(None),) * axis
        moved = [image[(*before, slice(by, by + inside))] for by in range(SSIM_WINDOW_PX)]
        total = moved[BORDER_PX] * _WEIGHTS[BORDER_PX]
        both = np.empty_like(total)
        for by in range(BORDER_PX):  # whole arrays added in the cache: faster than a filter line by line
            np.add(moved[by], moved[-1 - by], out=both)
            both *= _WEIGHTS[by]
            total += both
        image = total
    return image
