"""How far the TXM spreads what it sees, from single FIB-SEM slices and the TXM slices about them.

A slice shows the rock in one plane, while the TXM mixes neighbouring planes, so a fit of the one by the other would
take the unknown neighbours for a wider blur in the plane. Two-point functions know of them: where the rock's depends on
distance alone, the one that is measured within the slices is also that between planes, and the correlation of a slice
with the TXM at any lag in y, x and z is that function, blurred once. Noise of the TXM is not in it, and noise of the
FIB-SEM is the part of a slice's own two-point function at lag 0 that its other lags do not continue.

The two-point function is a sum of Gaussians, and the point-spread function one Gaussian, so that every step is in
closed form but the two widths and a factor. Lengths are in the unit of `spacing`, that of `Lags`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError

Real = NDArray[np.float64]

LAG_PX = 14  # the largest lag that is looked at
LENGTHS = (1.2, 1.7, 2.4, 3.4, 4.8, 6.8, 9.6, 14.0, 20.0, 40.0)  # of the rock's Gaussians
_LEAST, _MOST = 0.05, 20.0  # of the point-spread function's standard deviation within the plane
_RATIO = 3.0  # by which that along z may differ, up and down: a rock with bedding could pretend more


class Spacing(NamedTuple):
    """Edges of a voxel in units of the mean edge within the plane."""

    z: float
    y: float
    x: float

    @classmethod
    def of(cls, voxel_size_nm: tuple[float | None, float | None, float | None] | None) -> Spacing:
        """Of a voxel size; of cubes where it is not known."""
        z, y, x = voxel_size_nm or (None, None, None)
        if z is None or y is None or x is None:
            return cls(1.0, 1.0, 1.0)
        unit = float(np.sqrt(float(y) * float(x)))
        return cls(float(z) / unit, float(y) / unit, float(x) / unit)


@dataclass(frozen=True)
class Lags:
    """Mean products of a slice with itself, and with the TXM slices about it.

    Attributes:
        own: `[L]`, by lag within the plane.
        txm: `[2k + 1, L]`, for the TXM slices from k below to k above.
        squared: `[L]` squared distance of each lag within the plane.
    """

    own: Real
    txm: Real
    squared: Real


class LagMeter:
    """Gathers `Lags` over slices."""

    def __init__(self, spacing: Spacing, lag_px: int = LAG_PX) -> None:
        steps = np.arange(-lag_px, lag_px + 1)
        squared = (steps[:, None] * spacing.y) ** 2 + (steps * spacing.x) ** 2
        self._steps = steps
        self._used = squared <= (lag_px * min(spacing.y, spacing.x)) ** 2
        self._squared = squared[self._used]
        self._own: Real = np.zeros(self._squared.size)
        self._txm: Real = np.zeros((1, self._squared.size))
        self._pixels: Real = np.zeros(self._squared.size)

    def add(self, image: NDArray[Any], txm: NDArray[Any], mask: NDArray[np.bool_]) -> None:
        """Take a slice `[Y, X]` and the TXM slices about it `[2k + 1, Y, X]`, both about their means."""
        from scipy import fft

        shape = [fft.next_fast_len(n + len(self._steps), real=True) for n in mask.shape]
        first, where = (np.conj(fft.rfft2(part * 1.0, shape)) for part in (image * mask, mask))

        def products(other: NDArray[Any], with_: NDArray[Any]) -> Real:
            found = fft.irfft2(with_ * fft.rfft2(other * 1.0, shape), shape)
            return np.asarray(found[np.ix_(self._steps, self._steps)][self._used])

        self._pixels = self._pixels + products(mask, where)
        self._own = self._own + products(image * mask, first)
        self._txm = self._txm + np.stack([products(plane * mask, first) for plane in txm])

    def result(self) -> Lags:
        """Of all slices; InputError where no pixel could be used."""
        if not (self._pixels > 0.5).all():
            raise InputError("the slices are too small for their two-point function")
        return Lags(self._own / self._pixels, self._txm / self._pixels, self._squared)


@dataclass(frozen=True)
class PointSpread:
    """The point-spread function, and the rock and the noise that it was fitted with.

    Attributes:
        plane, z: standard deviations within the plane and along z.
        gain: by which the image must be multiplied to be what the TXM blurs.
        weights: `[len(LENGTHS)]`, variance of the rock in each of its Gaussians.
        noise: variance of the image that is not the rock's, pixel by pixel.
    """

    plane: float
    z: float
    gain: float
    weights: Real
    noise: float

    def of_slice(self, squared_frequency: Real) -> Real:
        """Transfer function of the best linear estimate of a TXM slice from the one slice in its plane.

        That of the TXM, times how much of the neighbouring planes, which it mixes in, a slice shows, and of its own
        variance, how much is rock (Wiener 1949).

        Args:
            squared_frequency: squared angular frequency within the plane.
        """
        lengths = np.square(LENGTHS)
        blurred = lengths * np.sqrt(lengths / (lengths + self.z**2))
        seen, shown = np.zeros_like(squared_frequency), np.full_like(squared_frequency, self.noise / (2 * np.pi))
        for weight, own, wide in zip(self.weights, lengths, blurred, strict=True):
            seen += weight * wide * np.exp(-squared_frequency * (own + self.plane**2) / 2)
            shown += weight * own * np.exp(-squared_frequency * own / 2)
        return seen / np.maximum(shown, 1e-12 * max(float(shown.max()), 1e-300))


def fit_point_spread(lags: Lags, spacing: Spacing, start: tuple[float, float] = (1.3, 1.3)) -> PointSpread:
    """The widths that explain how the TXM slices follow a slice and its neighbours.

    Without TXM slices above and below, the width along z cannot be seen, and is that within the plane.

    Args:
        lags: of slices that are about proportional to what the TXM blurs.
        spacing: edges of the voxels.
        start: where the search begins, within the plane and along z.

    Raises:
        InputError: the slices are constant.
    """
    from scipy.optimize import least_squares, nnls

    if not lags.own.max() > 0:
        raise InputError("the FIB-SEM slices are constant, and say nothing of the TXM")
    near = 1 / np.sqrt(1 + np.sqrt(lags.squared))  # there are many far lags, and they say less
    rock = lags.squared > 0
    terms = np.exp(-lags.squared[rock, None] / 2 / np.square(LENGTHS))
    weights, _ = nnls(terms * near[rock, None], lags.own[rock] * near[rock])
    context = len(lags.txm) // 2

    def missed(values: Real) -> Real:
        plane, gain, ratio = (*values, 1.0)[:3]
        steps = spacing.z * np.arange(-context, context + 1, dtype=np.float64)
        found = gain * _blurred(weights, lags.squared, steps, plane, plane * ratio)
        return np.asarray(((found - lags.txm) * near).ravel() / lags.own.max())

    ends = [(_LEAST, _MOST), (1e-3, 1e3), (1 / _RATIO, _RATIO)]
    first = [start[0], 1.0, float(np.clip(start[1] / start[0], *ends[2]))]
    number = 3 if context else 2
    low, high = zip(*ends[:number], strict=True)
    plane, gain, ratio = (*least_squares(missed, first[:number], bounds=(low, high)).x, 1.0)[:3]
    noise = max(float(lags.own.max() - weights.sum()), 0.0)
    return PointSpread(float(plane), float(plane * ratio), float(gain), weights, noise)


def _blurred(weights: Real, squared: Real, steps: Real, plane: float, z: float) -> Real:
    """The rock's two-point function `[len(steps), L]`, blurred by the point-spread function once."""
    lengths = np.square(LENGTHS)
    wide, deep = lengths + plane**2, lengths + z**2
    within = np.exp(-squared / 2 / wide[:, None])
    across = np.exp(-np.square(steps) / 2 / deep[:, None])
    return np.asarray(np.einsum("m,ml,ms->sl", weights * lengths / wide * np.sqrt(lengths / deep), within, across))
