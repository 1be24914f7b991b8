"""Whether a stated standard deviation covers the true error, and how to make it do so.

The spread of several predictions says how far the networks disagree (epistemic uncertainty, Kendall and Gal 2017). It
does not hold what no network can know: the measured image's own noise, and what registration left (aleatoric). So it
is too small, which `fit_calibration` corrects on held-out images, and `CoverageMeter` shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError

Image = NDArray[np.generic]

NOMINAL_1, NOMINAL_2 = (math.erf(k / math.sqrt(2)) for k in (1, 2))  # 0.683 and 0.954 of a Gaussian
_SMALLEST_FLOOR = 1e-6  # of the mean squared error: a variance of 0 has no likelihood
_EDGES = np.geomspace(1e-4, 1e6, 2001)  # grey levels; classes are 1.2 % wide, so small whole numbers stay apart


@dataclass(frozen=True)
class Calibration:
    """A calibrated standard deviation sqrt(scale^2 spread^2 + floor^2); `floor` in SEM grey levels."""

    scale: float
    floor: float

    def apply(self, spread: Image) -> NDArray[np.float32]:
        """Convert the spread (standard deviation) of predictions to a standard deviation of the error, in grey
        levels.
        """
        variance = (self.scale * spread.astype(np.float64)) ** 2 + self.floor**2
        return np.sqrt(variance).astype(np.float32)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Of what `as_dict` gave; KeyError, TypeError or ValueError if it is something else."""
        return cls(float(values["scale"]), float(values["floor"]))

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


UNCALIBRATED = Calibration(1.0, 0.0)
"""Leaves the spread as it is. No fit gives it: a floor of 0 has no likelihood."""


def fit_calibration(error: Image, spread: Image) -> Calibration:
    """Fit scale and floor by maximum likelihood of Gaussian errors of variance scale^2 spread^2 + floor^2.

    With floor = 0 this is the sigma scaling of Laves et al. (2021); the floor is the part of the error that the
    networks agree upon: noise of the measured image above all.

    Args:
        error: prediction minus measurement, in grey levels, of images that no network was trained on.
        spread: standard deviation of the predictions, of the same shape.

    Raises:
        InputError: no pixels, shapes that differ, no error at all, or no finite fit.
    """
    squared_error, squared_spread = _squares(error, spread)
    if squared_error.size == 0 or not squared_error.any():
        raise InputError("there is no error to calibrate the uncertainty with: the images are empty or all alike")
    mean_error, mean_spread = squared_error.mean(), squared_spread.mean()
    if mean_spread == 0:
        return Calibration(1.0, math.sqrt(mean_error))
    # in units in which both unknowns are about 1
    squared_error, squared_spread = squared_error / mean_error, squared_spread / mean_spread

    def objective(unknowns: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Twice the negative log-likelihood a pixel, save constants, and its gradient."""
        variance = unknowns[0] * squared_spread + unknowns[1]
        ratio = squared_error / variance
        slope = (1 - ratio) / variance
        return float(np.mean(np.log(variance) + ratio)), np.array([np.mean(slope * squared_spread), slope.mean()])

    # here, not above: a prediction, which applies what was fitted, is spared 50 MB
    from scipy.optimize import minimize

    found = minimize(objective, (0.5, 0.5), jac=True, bounds=((0, None), (_SMALLEST_FLOOR, None)), method="L-BFGS-B")
    scale, floor = found.x
    if not (math.isfinite(scale) and math.isfinite(floor)):
        raise InputError("no scale and floor make the uncertainty fit the errors of the validation patches")
    return Calibration(math.sqrt(scale * mean_error / mean_spread), math.sqrt(floor * mean_error))


def _squares(error: Image, spread: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if error.shape != spread.shape:
        raise InputError(f"error and spread differ in shape: {error.shape} and {spread.shape}")
    return np.square(error.astype(np.float64)).ravel(), np.square(spread.astype(np.float64)).ravel()


@dataclass(frozen=True)
class ReliabilityBin:
    """Pixels of about the same stated standard deviation: root mean squares of it and of the error, grey levels."""

    stated: float
    error: float
    pixels: int


@dataclass(frozen=True)
class Coverage:
    """How a stated standard deviation compares with the error.

    Attributes:
        pixels: how many.
        within_1: share of pixels whose error is at most the stated standard deviation; 0.683 of Gaussian errors.
        within_2: the same of twice as much; 0.954.
        rms_error: root mean squared error, grey levels.
        rms_stated: root mean squared stated standard deviation.
        correlation: Spearman's, of stated and true error over the bins; NaN of fewer than three.
        nll: negative log-likelihood a pixel of Gaussian errors, nats; infinite where 0 was stated of any pixel.
        ence: expected normalised calibration error (Levi et al. 2019): mean of |stated - error| / stated over the bins,
            weighted by their pixels.
        bins: the reliability curve, bins of about equally many pixels in the order of what was stated.
    """

    pixels: int
    within_1: float
    within_2: float
    rms_error: float
    rms_stated: float
    correlation: float
    nll: float
    ence: float
    bins: tuple[ReliabilityBin, ...]

    def scores(self) -> dict[str, Any]:
        """All but the bins."""
        return {key: value for key, value in asdict(self).items() if key != "bins"}


class CoverageMeter:
    """Collects error and stated standard deviation image by image; memory does not grow with them."""

    def __init__(self) -> None:
        classes = _EDGES.size + 1
        self._pixels = np.zeros(classes, dtype=np.int64)
        self._squared_error = np.zeros(classes)
        self._squared_stated = np.zeros(classes)
        self._within = np.zeros(2, dtype=np.int64)
        self._log_likelihood = 0.0

    def add(self, error: Image, stated: Image, mask: NDArray[np.bool_] | None = None) -> None:
        """Add an image.

        Args:
            error: prediction minus truth, grey levels.
            stated: standard deviation, of the same shape.
            mask: True where a pixel counts.
        """
        if mask is not None:
            error, stated = error[mask], stated[mask]
        squared_error, squared_stated = _squares(error, stated)
        bins = np.searchsorted(_EDGES, stated.astype(np.float64).ravel(), side="right")
        self._pixels += np.bincount(bins, minlength=self._pixels.size)
        self._squared_error += np.bincount(bins, squared_error, minlength=self._pixels.size)
        self._squared_stated += np.bincount(bins, squared_stated, minlength=self._pixels.size)
        self._within += [np.count_nonzero(squared_error <= k * k * squared_stated) for k in (1, 2)]
        if (squared_stated == 0).any():
            self._log_likelihood = -math.inf
        else:
            exponent = squared_error / squared_stated
            self._log_likelihood -= 0.5 * float(np.sum(np.log(2 * np.pi * squared_stated) + exponent))

    def result(self, bins: int = 20) -> Coverage:
        """Coverage of all that was added, with a reliability curve of at most so many bins.

        Raises:
            InputError: nothing was added.
        """
        pixels = int(self._pixels.sum())
        if pixels == 0:
            raise InputError("no pixel was given to compare a stated uncertainty with")
        from scipy.stats import spearmanr

        curve = self._curve(bins)
        stated, error = (np.array([getattr(b, name) for b in curve]) for name in ("stated", "error"))
        shares = np.array([b.pixels for b in curve]) / pixels
        with np.errstate(divide="ignore", invalid="ignore"):
            deviations = np.where(stated > 0, np.abs(stated - error) / stated, np.where(error > 0, np.inf, 0.0))
        within_1, within_2 = self._within / pixels
        return Coverage(
            pixels=pixels,
            within_1=float(within_1),
            within_2=float(within_2),
            rms_error=math.sqrt(self._squared_error.sum() / pixels),
            rms_stated=math.sqrt(self._squared_stated.sum() / pixels),
            correlation=float(spearmanr(stated, error).statistic) if len(curve) > 2 else math.nan,
            nll=-self._log_likelihood / pixels,
            ence=float(np.sum(shares * deviations)),
            bins=curve,
        )

    def _curve(self, bins: int) -> tuple[ReliabilityBin, ...]:
        """Neighbouring classes of stated values joined to bins of about equally many pixels."""
        before = np.cumsum(self._pixels) - self._pixels
        group = np.minimum((before + self._pixels / 2) / self._pixels.sum() * bins, bins - 1).astype(int)
        sums = np.array(
            [np.bincount(group, values) for values in (self._pixels, self._squared_stated, self._squared_error)]
        )
        return tuple(
            ReliabilityBin(math.sqrt(stated / n), math.sqrt(error / n), int(n)) for n, stated, error in sums.T if n > 0
        )
