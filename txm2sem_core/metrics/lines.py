"""Power spectra along the axes of a volume, over lines that overlap by half."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.lags import PlaneStep, equal_lags
from txm2sem_core.metrics.tiles import TILE_VALUES, real

Image = NDArray[np.generic]
Real = NDArray[np.float64]

SHORTEST_LINE_PX = 4
LINE_PX = 32


class AxisSpectrum:
    """Power of the lines along one axis (0: z), from slices `[Y, X]` in the order of z."""

    def __init__(self, axis: int, length_px: int) -> None:
        self._axis, self.length_px = axis, length_px
        self._held: deque[Image] = deque(maxlen=length_px if axis == 0 else 1)
        self._slices = 0
        self._sum = np.zeros(length_px // 2 + 1)
        self._lines = 0
        self._window = np.hanning(length_px + 1)[:-1]

    def add(self, image: Image) -> None:
        """Take the next slice, which is kept."""
        self._held.append(image)
        self._slices += 1
        for lines in self._along_z() if self._axis == 0 else self._in_plane(image):
            self._gather(lines)

    def _along_z(self) -> Iterator[Real]:
        length = self.length_px
        if self._slices < length or (self._slices - length) % (length // 2):
            return
        height, width = self._held[0].shape
        rows = max(1, TILE_VALUES // (width * length))
        for top in range(0, height, rows):
            yield np.stack([real(held[top : top + rows]) for held in self._held], axis=-1)

    def _in_plane(self, image: Image) -> Iterator[Real]:
        lines = np.moveaxis(image, self._axis - 1, -1)
        length, many = self.length_px, max(1, TILE_VALUES // self.length_px)
        for start in range(0, lines.shape[-1] - length + 1, length // 2):
            for first in range(0, len(lines), many):
                yield np.array(lines[first : first + many, start : start + length], np.float64, order="C")

    def _gather(self, lines: Real) -> None:
        lines -= (lines * self._window).sum(axis=-1, keepdims=True) / self._window.sum()
        lines *= self._window
        parts = np.fft.rfft(lines).view(np.float64).reshape(-1, 2 * self._sum.size)
        np.square(parts, out=parts)
        self._sum += parts.sum(axis=0).reshape(-1, 2).sum(axis=1)
        self._lines += len(parts)

    def power(self) -> Real:
        """Mean power `[length_px // 2 + 1]`; NaN where no line fits."""
        if not self._lines:
            return np.full_like(self._sum, np.nan)
        return self._sum / np.square(self._window).sum() / self._lines


class LineSpectra:
    """Power spectra along z, y and x over lines that overlap by half (Welch 1967).

    Lines lose their mean and are windowed by a Hann window. Volumes smaller than a line along an axis give none there.

    Args:
        length_px: voxels of a line along z, y and x, or one number for all.
    """

    def __init__(self, length_px: int | tuple[int, int, int] = LINE_PX) -> None:
        self.lengths_px = length_px if isinstance(length_px, tuple) else (length_px,) * 3
        if min(self.lengths_px) < SHORTEST_LINE_PX:
            raise InputError(f"a spectrum along an axis needs lines of at least 4 pixels, not {self.lengths_px}")
        self.axes = [AxisSpectrum(axis, length) for axis, length in enumerate(self.lengths_px)]

    def add(self, image: Image) -> None:
        """Take the next slice `[Y, X]`."""
        for axis in self.axes:
            axis.add(image.copy())

    def frequency(self, axis: int) -> Real:
        """Cycles per voxel along z, y or x."""
        frequency: Real = np.fft.rfftfreq(self.lengths_px[axis]).astype(np.float64)
        return frequency

    def power(self) -> tuple[Real, Real, Real]:
        """Mean power `[length // 2 + 1]` along z, y, x, in squared grey levels a voxel; NaN where no line fits.

        White noise of variance v has v everywhere, save near frequency 0, since lines lose their mean.
        """
        z, y, x = (axis.power() for axis in self.axes)
        return z, y, x

    def _two_sided(self, axis: int) -> Real:
        """1 for a frequency that stands for its negative as well, 1/2 for the highest of even lines."""
        return np.where(self.frequency(axis) == 0.5, 0.5, 1.0)

    def high_shares(self, plane_step_px: PlaneStep = 1.0) -> tuple[float, float]:
        """Share of power in the upper half of the frequencies that z, y and x all have: along z, in the plane.

        What lies above these is folded back, as voxels that far apart would show it: slices far apart show it along z.

        Args:
            plane_step_px: slice distance in pixels of the plane.
        """
        lags = equal_lags(plane_step_px)
        z, *plane = (
            _upper_share(self.frequency(axis) * lag.distance, power * self._two_sided(axis))
            for axis, (lag, power) in enumerate(zip(lags, self.power(), strict=True))
        )
        return z, sum(plane) / 2


def _upper_share(frequency: Real, power: Real) -> float:
    """Share of power above 1/4, of frequencies folded at 1/2; a frequency stands for those half way to the next.

    Frequency 0, which lines lose with their mean, is taken to hold what the next does.
    """
    width = frequency[1]
    folded = np.abs((frequency + 0.5) % 1 - 0.5)
    upper = np.clip((folded - 0.25) / width + 0.5, 0, 1)
    held = np.concatenate([power[1:2] / 2, power[1:]])
    total = held.sum()
    return float((held * upper).sum() / total) if total > 0 else math.nan
