"""The two-point probability of a volume along its three axes, gathered slice by slice."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.phases import both, packed, two_point_probability

AXES = ("z", "y", "x")


class TwoPointMeter:
    """Gathers S2(r) of one phase (see `phases.two_point_probability`) along z, y and x.

    Held are `max_lag_px` slices, at a bit a voxel.
    """

    def __init__(self, max_lag_px: int) -> None:
        self._max_lag = max_lag_px
        self._above: deque[NDArray[np.uint64]] = deque(maxlen=max_lag_px)
        self._sums = np.zeros((3, max_lag_px + 1))
        self._weights = np.zeros((3, max_lag_px + 1))

    def add(self, plane: NDArray[np.bool_]) -> None:
        """Take the next slice `[Y, X]`, True in the phase."""
        if min(plane.shape) <= self._max_lag:
            raise InputError(f"a lag of {self._max_lag} pixels does not fit into slices of shape {plane.shape}")
        words = packed(plane)
        for lag, earlier in enumerate([words, *reversed(self._above)]):
            self._sums[0, lag] += both(words, earlier) / plane.size
            self._weights[0, lag] += 1
        for axis in (0, 1):
            self._sums[axis + 1] += two_point_probability(plane, axis, self._max_lag)
            self._weights[axis + 1] += 1
        self._above.append(words)

    def result(self) -> NDArray[np.float64]:
        """S2 `[3, max_lag_px + 1]` along z, y, x; NaN at distances that the slices so far do not span."""
        return np.divide(self._sums, self._weights, out=np.full_like(self._sums, np.nan), where=self._weights > 0)


def two_point_errors(prediction: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, float]:
    """Mean absolute difference of two results of `TwoPointMeter` over the distances that both span, for z, y and x.

    Distance 0, the phase's share, is left out: it is a metric of its own.
    """
    return {
        f"two_point_error_{axis}": float(np.nanmean(np.abs(prediction[row, 1:] - truth[row, 1:])))
        for row, axis in enumerate(AXES)
    }
