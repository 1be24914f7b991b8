"""Whether a volume that was predicted slice by slice holds together along z.

Networks that predict one slice at a time give volumes that jitter: each slice is plausible, but neighbours do not fit.
The change from slice to slice is compared with that of the truth, or, where there is none, with the change within the
plane. Slices are read once and in order; two are held at a time, or as many as a pixel is wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.changes import Changes
from txm2sem_core.metrics.image import check_data_range, check_images
from txm2sem_core.metrics.lags import Lag, PlaneStep, equal_lags
from txm2sem_core.metrics.masks import Mask, check_mask
from txm2sem_core.metrics.tiles import real, strips

Image = NDArray[np.generic]


@dataclass(frozen=True)
class Continuity:
    """Change between neighbouring slices, against that of the truth.

    Attributes:
        change_prediction: root mean square of `slice[z + 1] - slice[z]`, as a share of `data_range`.
        change_truth: the same of the truth.
        ratio: `change_prediction / change_truth`: 1 as in the rock, above 1 jitter, below 1 smeared along z. Infinite
            if only the truth does not change, 1 if neither does.
        error: mean absolute difference of the two changes, pixel by pixel, as a share of `data_range`: 0 only if the
            prediction changes from slice to slice exactly as the truth does. A volume without any change has the
            truth's own mean change as its error, which is hard to beat: read `explained`.
        explained: share of the truth's change that the prediction's change gets right, `1 - mean (change_prediction -
            change_truth)^2 / mean change_truth^2` (the efficiency of Nash and Sutcliffe, J. Hydrology 10 (1970) 282): 1
            only if both change alike, 0 for a volume without any change, negative where the change is mostly jitter.
            NaN if the truth does not change.
    """

    change_prediction: float
    change_truth: float
    ratio: float
    error: float
    explained: float


@dataclass(frozen=True)
class SelfContinuity:
    """Change between neighbouring slices against change within the plane, without truth.

    The distance is that of neighbouring slices; where pixels are wider than that, of slices a pixel's width apart.

    Attributes:
        change_z: root mean square change along z over that distance, in grey levels.
        change_plane: root mean square change along y and x over the same distance, in grey levels; where it lies
            between two whole numbers of pixels, so does the change.
        ratio: `change_z / change_plane`: near 1 in isotropic material, above 1 where slices jitter.
        correlation_z: `1 - change_z^2 / (2 variance)`: 1 if neighbours are equal, 0 if they are unrelated. White noise
        has a ratio of 1, and is detected here.
        correlation_plane: the same within the plane.
    """

    change_z: float
    change_plane: float
    ratio: float
    correlation_z: float
    correlation_plane: float


def relative(change: float, reference: float) -> float:
    """`change / reference`, with 1 for nothing against nothing and infinity for something against nothing."""
    if reference == 0:
        return 1.0 if change == 0 else math.inf
    return change / reference


class ContinuityMeter:
    """Gathers `Continuity` from pairs of slices that are given one after another, in the order of z."""

    def __init__(self, data_range: float) -> None:
        check_data_range(data_range)
        self._data_range = data_range
        self._last: tuple[Image, Image] | None = None
        self._last_mask: Mask | None = None
        self._squares_prediction = 0.0
        self._squares_truth = 0.0
        self._error = 0.0
        self._squares_error = 0.0
        self._pixels = 0

    @property
    def pixels(self) -> int:
        """Changes from slice to slice that were counted."""
        return self._pixels

    def add(self, prediction: Image, truth: Image, mask: Mask | None = None) -> None:
        """Take the next slice of both, which are kept; a change counts where the pixel does in both slices."""
        check_images(prediction, truth)
        if self._last is not None:
            if self._last[0].shape != prediction.shape:
                raise InputError(f"slice shapes differ within the volume: {self._last[0].shape}, {prediction.shape}")
            both = None if mask is None or self._last_mask is None else check_mask(mask, prediction) & self._last_mask
            for rows in strips(prediction.shape):
                pairs = zip((prediction, truth), self._last, strict=True)
                changes = [real(image[rows]) - real(last[rows]) for image, last in pairs]
                self._add(*(change if both is None else change[both[rows]] for change in changes))
        self._last, self._last_mask = (prediction, truth), mask

    def _add(self, prediction: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
        error = prediction - truth
        self._pixels += error.size
        self._squares_prediction += float(np.square(prediction).sum())
        self._squares_truth += float(np.square(truth).sum())
        self._squares_error += float(np.square(error).sum())
        self._error += float(np.abs(error, out=error).sum())

    def result(self) -> Continuity:
        """The metrics so far; InputError before the second slice."""
        if self._pixels == 0:
            raise InputError("continuity along z needs at least two slices")
        change_prediction = math.sqrt(self._squares_prediction / self._pixels) / self._data_range
        change_truth = math.sqrt(self._squares_truth / self._pixels) / self._data_range
        return Continuity(
            change_prediction,
            change_truth,
            relative(change_prediction, change_truth),
            self._error / self._pixels / self._data_range,
            1 - self._squares_error / self._squares_truth if self._squares_truth > 0 else math.nan,
        )


def relative_continuity(prediction: Iterable[Image], truth: Iterable[Image], data_range: float) -> Continuity:
    """Change from slice to slice of a prediction against that of the truth.

    Args:
        prediction: slices `[Y, X]` in the order of z, or an array `[Z, Y, X]`.
        truth: as many slices of the same shape.
        data_range: greatest minus least possible grey level.

    Raises:
        InputError: fewer than two slices, shapes or numbers of slices that differ, values that are not finite.
    """
    meter = ContinuityMeter(data_range)
    for predicted, measured in paired_slices(prediction, truth):
        meter.add(np.array(predicted), np.array(measured))
    return meter.result()


def self_continuity(slices: Iterable[Image], plane_step_px: PlaneStep = 1) -> SelfContinuity:
    """Change from slice to slice against change within the plane, where there is no truth.

    Args:
        slices: slices `[Y, X]` in the order of z, or an array `[Z, Y, X]`.
        plane_step_px: the distance in the plane that equals the slice distance, in pixels along y and x, or one number
            for both (1 for cubic voxels, 2 where slices lie two pixel widths apart); see `lags.plane_step`.

    Raises:
        InputError: fewer than two slices, slices not larger than the step, a constant volume, or values not finite.
    """
    meter = SelfContinuityMeter(plane_step_px)
    for image in slices:
        meter.add(np.array(image))
    return meter.result()


class SelfContinuityMeter:
    """Gathers `SelfContinuity` from slices `[Y, X]` in the order of z; see `self_continuity`."""

    def __init__(self, plane_step_px: PlaneStep = 1) -> None:
        self._lags = equal_lags(plane_step_px)
        self._changes = Changes(self._lags)
        self._total = self._squares = 0.0
        self._pixels = 0

    def add(self, image: Image) -> None:
        """Take the next slice."""
        check_images(image, image)
        if any(n <= lag.high for n, lag in zip(image.shape, self._lags[1:], strict=True)):
            y, x = (lag.distance for lag in self._lags[1:])
            raise InputError(f"a step of {y:g} x {x:g} pixels does not fit into slices of shape {image.shape}")
        self._changes.add(image)
        for rows in strips(image.shape):
            current = real(image[rows])
            self._total += float(current.sum())
            self._squares += float(np.square(current).sum())
        self._pixels += image.size

    def add_all(self, images: Iterable[Image]) -> None:
        """Take the next slices, which are kept."""
        for image in images:
            self.add(image)

    def result(self) -> SelfContinuity:
        """The metrics so far; InputError before two slices, or of a constant volume."""
        along_z, *in_plane = self._changes.first
        if not along_z.complete:
            raise InputError("continuity along z needs at least two slices" + _wider(self._lags[0]))
        variance = self._squares / self._pixels - (self._total / self._pixels) ** 2
        if variance <= 1e-12 * self._squares / self._pixels:
            raise InputError("the volume is constant; continuity along z says nothing of it")
        squares_plane = sum(means.result() for means in in_plane) / 2
        change_z, change_plane = math.sqrt(along_z.result()), math.sqrt(squares_plane)
        return SelfContinuity(
            change_z,
            change_plane,
            relative(change_z, change_plane),
            1 - change_z**2 / (2 * variance),
            1 - change_plane**2 / (2 * variance),
        )


def _wider(lag: Lag) -> str:
    return f", and {lag.high + 1} in voxels whose pixels are {lag.distance:g} times as wide" if lag.high > 1 else ""


def paired_slices(prediction: Iterable[Image], truth: Iterable[Image]) -> Iterator[tuple[Image, Image]]:
    """Slices of both volumes side by side; InputError if one ends before the other."""
    end = object()
    first, second = iter(prediction), iter(truth)
    count = 0
    while True:
        predicted, measured = next(first, end), next(second, end)
        if predicted is end and measured is end:
            return
        if predicted is end or measured is end:
            short = "prediction" if predicted is end else "truth"
            raise InputError(f"the {short} ends after {count} slices and the other volume goes on; compare equal parts")
        yield predicted, measured  # type: ignore[misc]  # neither is the sentinel here
        count += 1
