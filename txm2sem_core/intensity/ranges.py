"""Mapping intensities to [-1, 1] and back by a recorded range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

_MOSTLY = (0.05, 0.95)  # quantiles between which a data range must hold the pixels
_WIDE = 4.0  # a data range so many times as wide as the grey levels makes every score too good: 12 dB of PSNR


@dataclass(frozen=True)
class IntensityRange:
    """The intensities that become -1 and 1. Values beyond are kept, they lie beyond -1 and 1."""

    low: float
    high: float

    def to_unit(self, image: np.ndarray) -> np.ndarray:
        """Intensities to float32, `low` to -1 and `high` to 1.

        What float32 does not hold exactly, as a small contrast on a large 32-bit number, is subtracted before.
        """
        if np.can_cast(image.dtype, np.float32):
            unit = image.astype(np.float32)
            unit -= np.float32(self.low)
        else:
            unit = (image - np.float64(self.low)).astype(np.float32)
        unit *= np.float32(2.0 / (self.high - self.low))
        unit -= np.float32(1.0)
        return unit

    def from_unit(self, image: np.ndarray) -> np.ndarray:
        """The inverse of `to_unit`, as float32 intensities."""
        grey = image.astype(np.float32)
        grey += np.float32(1.0)
        grey *= np.float32((self.high - self.low) / 2.0)
        grey += np.float32(self.low)
        return grey

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ScanRanges(IntensityRange):
    """The ranges of several scans. `low` and `high`, and so `from_unit`, are of the first.

    Attributes:
        further: of the second scan and on.
    """

    further: tuple[IntensityRange, ...] = ()

    def to_unit(self, image: np.ndarray) -> np.ndarray:
        """A slab [..., C, Y, X] to float32, each scan by its own range.

        The slab has as many slices of each scan, all those of the first, then those of the second, and so on.
        """
        ranges = (IntensityRange(self.low, self.high), *self.further)
        parts = np.split(image, len(ranges), axis=-3)
        return np.concatenate([each.to_unit(part) for each, part in zip(ranges, parts, strict=True)], axis=-3)


def range_of_scans(first: IntensityRange, further: Sequence[IntensityRange]) -> IntensityRange:
    """What maps a slab of one scan or several: the range itself where there is one."""
    return ScanRanges(first.low, first.high, tuple(further)) if further else first


@dataclass(frozen=True)
class DataRangeFit:
    """How the data range that scores refer to fits the grey levels of some pixels.

    Attributes:
        full: the data range.
        low, high: between these lie nine tenths of the pixels.
        least, greatest: of all pixels.
    """

    full: float
    low: float
    high: float
    least: float
    greatest: float

    @classmethod
    def of(cls, pixels: np.ndarray, full: float) -> DataRangeFit:
        """Of pixels [N], of which there is one at least."""
        low, high = np.quantile(pixels, _MOSTLY)
        return cls(full, float(low), float(high), float(pixels.min()), float(pixels.max()))

    @property
    def span(self) -> float:
        """From the least grey level to the greatest."""
        return self.greatest - self.least

    @property
    def is_too_small(self) -> bool:
        """Whether it does not hold nine tenths of the pixels: every score is too low."""
        return self.high - self.low > self.full

    @property
    def is_far_too_wide(self) -> bool:
        """Whether every score is too good; not of a constant."""
        return 0 < _WIDE * self.span <= self.full

    @property
    def psnr_excess_db(self) -> float:
        """By how many dB PSNR exceeds that of the grey levels' own span."""
        return 20 * math.log10(self.full / self.span)


def percentile_range(pixels: np.ndarray, low: float, high: float) -> IntensityRange:
    """The range between two percentiles (0 to 100) of `pixels`.

    Raises:
        ValueError: the pixels are constant, so that they have no range.
    """
    bottom, top = np.percentile(pixels, [low, high])
    if bottom == top:
        bottom, top = float(pixels.min()), float(pixels.max())
    if bottom == top:
        raise ValueError(f"all pixels have the value {bottom:g}")
    return IntensityRange(float(bottom), float(top))


def to_dtype(image: np.ndarray, dtype: np.dtype | str) -> tuple[np.ndarray, int]:
    """Round float intensities to an integer dtype, and say how many pixels had to be clipped to its bounds.

    A float dtype is only cast.
    """
    dtype = np.dtype(dtype)
    if dtype.kind not in "iu":
        return image.astype(dtype), 0
    rounded = np.rint(image)
    low, high = _bounds(dtype, rounded.dtype)
    if low <= rounded.min(initial=0) and rounded.max(initial=0) <= high:  # by far the most images
        return rounded.astype(dtype), 0
    clipped = int(np.count_nonzero((rounded < low) | (rounded > high)))
    return np.clip(rounded, low, high).astype(dtype), clipped


def _bounds(dtype: np.dtype, real: np.dtype) -> tuple[np.floating, np.floating]:
    """The least and the greatest value of a real dtype that an integer dtype holds."""
    info, floating = np.iinfo(dtype), np.dtype(real).type
    low, high = floating(info.min), floating(info.max)
    return low, high if float(high) <= info.max else np.nextafter(high, floating(0))  # float32 knows no 2^32 - 1


def deviation_to_dtype(deviation: np.ndarray, dtype: np.dtype | str) -> tuple[np.ndarray, int]:
    """Round standard deviations as `to_dtype` does, but up to 1 where they are less than 1 and not zero.

    So 0 still means no deviation at all, and the others are not shifted.
    """
    small = (deviation > 0) & (deviation < 1) & (np.dtype(dtype).kind in "iu")
    return to_dtype(np.where(small, np.float32(1), deviation), dtype)


@dataclass(frozen=True)
class Preparation:
    """What is done to TXM slices before anything else sees them, in training and in prediction alike.

    Attributes:
        equalise: clip limit of contrast-limited adaptive histogram equalisation (Zuiderveld 1994), over an eighth of
            the slice's height and width, as a share of a tile's pixels; 0 for none.
        contrast: factor by which a slice is stretched about its mean; 1 for none.
    """

    equalise: float = 0.0
    contrast: float = 1.0

    @property
    def is_none(self) -> bool:
        """Whether slices stay as they are."""
        return self.equalise == 0 and self.contrast == 1

    def apply(self, slices: np.ndarray) -> np.ndarray:
        """Prepare `[..., Y, X]`, each slice by itself, to float32 intensities on the same scale; as it is if none."""
        if self.is_none:
            return slices
        planes = slices.reshape(-1, *slices.shape[-2:]).astype(np.float32)
        return np.stack([self._apply(plane) for plane in planes]).reshape(slices.shape)

    def _apply(self, plane: np.ndarray) -> np.ndarray:
        low, high = float(plane.min()), float(plane.max())
        if self.equalise and high > low:
            from skimage import exposure  # here, not above: few prepare, and every prediction imports this module

            share = exposure.equalize_adapthist((plane - low) / (high - low), clip_limit=self.equalise)
            plane = (low + share * (high - low)).astype(np.float32)
        mean = plane.mean(dtype=np.float64)
        return (mean + self.contrast * (plane - mean)).astype(np.float32)
