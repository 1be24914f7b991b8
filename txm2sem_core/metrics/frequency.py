"""Power spectra of images, and the size down to which a prediction agrees with the measurement.

Images and blocks are windowed by a Hann window along every axis after their mean is taken off, so that their borders
leave no cross in the spectrum. Frequencies are in cycles per nanometre. Meters pool power over the images that they
are given (Welch, IEEE Trans. Audio Electroacoust. 15 (1967) 70), so that memory does not grow with them; volumes are
taken in blocks, of which one slab is held at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError

Real = NDArray[np.float64]
Block = NDArray[np.generic]

ONE_SEVENTH = 1 / 7  # Rosenthal and Henderson, J. Mol. Biol. 333 (2003) 721
BLOCK_PX = 64  # of volumes


@dataclass(frozen=True)
class Rings:
    """Frequencies gathered in rings (or shells) about 0.

    Attributes:
        frequency_per_nm: middle of each ring, `[R]`.
        pixels: independent Fourier pixels in each, `[R]`: half of all, since the images are real.
    """

    frequency_per_nm: Real
    pixels: Real


@dataclass(frozen=True)
class Correlation:
    """Fourier ring (2D) or shell (3D) correlation.

    Attributes:
        rings: the frequencies.
        correlation: `[R]`, 1 where both images are equal up to a factor, about 0 where they are unrelated.
    """

    rings: Rings
    correlation: Real

    @property
    def half_bit(self) -> Real:
        """The half-bit threshold in each ring (van Heel and Schatz, J. Struct. Biol. 151 (2005) 250, eq. 17)."""
        root = np.sqrt(self.rings.pixels)
        threshold: Real = (0.2071 * root + 1.9102) / (1.2071 * root + 0.9102)
        return threshold

    def resolution_nm(self, threshold: float | Real = ONE_SEVENTH) -> float:
        """Size, in nm, down to which both agree: 1 / the first frequency at which the curve falls below `threshold`.

        Linear between rings. The ring of frequency 0 does not count. Twice the pixel size, the least that pixels can
        show, if the curve never falls below; infinite if it starts below.
        """
        frequency = self.rings.frequency_per_nm[1:]
        above = (self.correlation - np.broadcast_to(threshold, self.correlation.shape))[1:]
        below = np.flatnonzero(~(above >= 0))
        if below.size == 0:
            return float(1 / frequency[-1])
        at = int(below[0])
        if at == 0:
            return math.inf
        share = above[at - 1] / (above[at - 1] - above[at])
        return float(1 / (frequency[at - 1] + share * (frequency[at] - frequency[at - 1])))


class CorrelationMeter:
    """Pools power and correlation of pairs of images `[Y, X]` or blocks `[Z, Y, X]`, all of one shape.

    The correlation of a ring is `sum Re(F G*) / sqrt(sum |F|^2 sum |G|^2)` over its pixels and all pairs (Saxton and
    Baumeister, J. Microsc. 127 (1982) 127; shells: Harauz and van Heel, Optik 73 (1986) 146).

    The thresholds are meant for two images of equal noise. For a prediction and a measurement they say down to which
    size the prediction agrees with the measured image, noise included. Compare it with the same metric of the TXM; it
    is not an instrument's resolution.
    """

    def __init__(self, spacing_nm: tuple[float, ...]) -> None:
        if any(not (math.isfinite(step) and step > 0) for step in spacing_nm):
            raise InputError(f"voxel size: steps must be greater than 0 nm, they are {spacing_nm}")
        self._spacing = spacing_nm
        self._shape: tuple[int, ...] = ()
        self._pairs = 0
        self._lock = Lock()

    def add(self, first: Block, second: Block, mask: NDArray[np.bool_] | None = None) -> None:
        """Take a pair; where `mask` is False, both count as their mean."""
        self.add_sums(self.sums_of(first, second, mask))

    def sums_of(self, first: Block, second: Block, mask: NDArray[np.bool_] | None = None) -> Real:
        """What `add` adds of a pair, `[3, R]`; several threads may ask at once."""
        if first.shape != second.shape or first.ndim != len(self._spacing):
            raise InputError(f"shapes {first.shape} and {second.shape}, with {len(self._spacing)} voxel sizes")
        with self._lock:
            if not self._shape:
                self._prepare(first.shape)
        if first.shape != self._shape:
            raise InputError(f"images of one shape are pooled: {self._shape}, then {first.shape}")
        f, g = (np.fft.rfftn(self._windowed(image, mask)) for image in (first, second))
        cross, own, other = f.real * g.real, np.square(f.real), np.square(g.real)
        for product, pair in ((cross, (f, g)), (own, (f, f)), (other, (g, g))):
            product += pair[0].imag * pair[1].imag
        values = (product * self._counted for product in (cross, own, other))
        rings = self._numbers.size
        return np.stack([np.bincount(self._ring, value.ravel(), minlength=rings + 1)[:rings] for value in values])

    def add_sums(self, sums: Real) -> None:
        """Take what `sums_of` made of the next pair."""
        self._sums += sums
        self._pairs += 1

    def _prepare(self, shape: tuple[int, ...]) -> None:
        if min(shape) < 8:
            raise InputError(f"a spectrum needs at least 8 pixels along every axis; the shape is {shape}")
        axes = [np.fft.fftfreq(n, step) for n, step in zip(shape, self._spacing, strict=True)]
        distance = np.sqrt(sum(f**2 for f in np.meshgrid(*axes, indexing="ij", sparse=True)))
        width = max(1 / (n * step) for n, step in zip(shape, self._spacing, strict=True))
        count = int(min(0.5 / step for step in self._spacing) / width + 1e-9) + 1
        ring = np.minimum(np.rint(distance / width).astype(np.int64), count)  # the last one holds what lies beyond
        half = shape[-1] // 2 + 1
        self._ring = ring[..., :half].ravel()  # of a real image the rest is the same once more
        self._counted = np.full(half, 2.0)
        self._counted[[0, *([half - 1] if shape[-1] % 2 == 0 else [])]] = 1.0
        window = np.ones(shape)
        for axis, n in enumerate(shape):
            window *= np.hanning(n + 1)[:-1].reshape([-1 if a == axis else 1 for a in range(len(shape))])
        self._window, self._width = window, width
        self._numbers = np.bincount(ring.ravel(), minlength=count + 1)[:count]
        self._sums = np.zeros((3, count))
        self._shape = shape

    def _windowed(self, image: Block, mask: NDArray[np.bool_] | None) -> Real:
        values = image.astype(np.float64)
        weight = self._window if mask is None else self._window * mask
        if not weight.any():
            raise InputError("the mask leaves no pixel to compare; check that it is True where pixels count")
        windowed: Real = (values - np.average(values, weights=weight)) * weight
        return windowed

    @property
    def rings(self) -> Rings:
        """The frequencies; InputError before the first pair."""
        if self._pairs == 0:
            raise InputError("no image was given to take a spectrum of")
        frequency = np.arange(self._numbers.size) * self._width
        return Rings(frequency.astype(np.float64), np.maximum(self._numbers * self._pairs / 2, 1.0))

    def correlation(self, *, either_sign: bool = False) -> Correlation:
        """Correlation a ring; 0 where one of the images has no power.

        Args:
            either_sign: turn the curve over if the images are opposites on the whole, as TXM and SEM may be.
        """
        rings = self.rings
        cross, first, second = self._sums
        if either_sign and cross[1:].sum() < 0:
            cross = -cross
        product = np.sqrt(first * second)
        return Correlation(rings, np.divide(cross, product, out=np.zeros_like(cross), where=product > 0))

    def power(self) -> tuple[Real, Real]:
        """Radially averaged power spectral density of the first and the second images.

        In squared grey levels times nm^2 (nm^3 of blocks): its integral over all frequencies is the variance. Masked
        pixels lower it by their share.
        """
        if self._pairs == 0:
            raise InputError("no image was given to take a spectrum of")
        scale = math.prod(self._spacing) / np.square(self._window).sum() / self._pairs
        first, second = (sums * scale / np.maximum(self._numbers, 1) for sums in self._sums[1:])
        return first, second


def radial_power(image: Block, spacing_nm: tuple[float, ...]) -> tuple[Real, Real]:
    """Frequency, 1/nm, and radially averaged power spectral density of one image; see `CorrelationMeter.power`."""
    meter = CorrelationMeter(spacing_nm)
    meter.add(image, image)
    return meter.rings.frequency_per_nm, meter.power()[0]


def fourier_correlation(
    first: Block, second: Block, spacing_nm: tuple[float, ...], mask: NDArray[np.bool_] | None = None
) -> Correlation:
    """Fourier ring or shell correlation of one pair of images or blocks; see `CorrelationMeter`."""
    meter = CorrelationMeter(spacing_nm)
    meter.add(first, second, mask)
    return meter.correlation()


def blocks(slices: Iterable[Block], size_px: int) -> Iterator[Block]:
    """Adjacent cubes of a volume, from its first corner on; what remains at the ends is left out.

    Holds `size_px` slices.
    """
    slab: list[Block] = []
    for plane in slices:
        slab.append(plane)
        if len(slab) == size_px:
            held = np.stack(slab)
            slab.clear()
            for y in range(0, held.shape[1] - size_px + 1, size_px):
                for x in range(0, held.shape[2] - size_px + 1, size_px):
                    yield held[:, y : y + size_px, x : x + size_px]
