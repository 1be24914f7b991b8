"""First and second differences of a volume along z, y and x over the same distance, slice by slice."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.lags import Lag
from txm2sem_core.metrics.tiles import grown, real, strips

Image = NDArray[np.generic]
Real = NDArray[np.float64]


class Means:
    """Means of what is measured over the whole numbers of voxels about a distance, and over the distance itself."""

    def __init__(self, lag: Lag) -> None:
        self.lag = lag
        self._sums = dict.fromkeys(lag.both, 0.0)
        self._numbers = dict.fromkeys(lag.both, 0)

    def add(self, voxels: int, total: float, number: int) -> None:
        """Take a sum of so many values, over so many voxels."""
        self._sums[voxels] += total
        self._numbers[voxels] += number

    @property
    def complete(self) -> bool:
        """Whether all of them fit."""
        return all(self._numbers.values())

    def result(self) -> float:
        """NaN where one of them does not fit."""
        return self.joined([self])

    @staticmethod
    def joined(several: Sequence[Means]) -> float:
        """The mean of the means over one distance, of those that fit."""
        lag = several[0].lag
        found = [[m._sums[voxels] / m._numbers[voxels] for m in several if m._numbers[voxels]] for voxels in lag.both]
        if not all(found):
            return math.nan
        return lag.between(tuple(sum(means) / len(means) for means in found))


class Changes:
    """Mean squared differences over a distance, from slices `[Y, X]` in the order of z.

    Attributes:
        first: of neighbours, along z, y and x.
        second: along the same axes, of three voxels; empty unless they are asked for.
    """

    def __init__(self, lags: Sequence[Lag], *, second: bool = False) -> None:
        self._lags = lags
        self.first = [Means(lag) for lag in lags]
        self.second = [Means(lag) for lag in lags] if second else []
        self._above: deque[Image] = deque(maxlen=lags[0].high * (2 if second else 1))

    def add(self, image: Image) -> None:
        """Take the next slice, which is kept; InputError if its shape is another."""
        if self._above and self._above[-1].shape != image.shape:
            raise InputError(f"slice shapes differ within the volume: {self._above[-1].shape}, {image.shape}")
        for rows in strips(image.shape):
            self._along_z(rows, image)
            for step in self._lags[1].both:
                self._along(1, step, real(image[grown(rows, (2 if self.second else 1) * step)]), rows)
            here = real(image[rows]).T
            for step in self._lags[2].both:
                self._along(2, step, here, slice(0, here.shape[0]))
        self._above.append(image)

    def _along_z(self, rows: slice, image: Image) -> None:
        for step in self._lags[0].both:
            if len(self._above) < step:
                continue
            one = real(self._above[-step][rows])
            change = real(image[rows]) - one
            if self.second and len(self._above) >= 2 * step:
                one = one - real(self._above[-2 * step][rows])
                self._gather(self.second[0], step, change - one)
            self._gather(self.first[0], step, change)

    def _along(self, axis: int, step: int, lines: Real, own: slice) -> None:
        """Differences along the first axis that begin in its `own` part."""
        begun = own.stop - own.start
        change = lines[step:] - lines[:-step]
        if self.second and len(change) > step:
            self._gather(self.second[axis], step, (change[step:] - change[:-step])[:begun])
        if len(change):
            self._gather(self.first[axis], step, change[:begun])

    @staticmethod
    def _gather(means: Means, step: int, change: Real) -> None:
        means.add(step, float(np.square(change).sum()), change.size)
