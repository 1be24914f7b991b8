"""How neighbouring slices fit: similarity, jitter, and the spectrum along z against that within the plane.

A network that predicts one slice at a time makes each plausible but not their sequence. Every metric here is of one
volume alone, so it can be compared with the truth's or, where there is none, with the same metric within the plane.
Slices are read once and in order; at most `LINE_PX` are held, or the slices that four pixels are wide.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.continuity import relative
from txm2sem_core.metrics.image import as_real, mean_similarity
from txm2sem_core.metrics.lags import Lag, PlaneStep, VoxelSize, equal_lags, plane_step
from txm2sem_core.metrics.windows import SSIM_WINDOW_PX, WindowPair, Windows

__all__ = ["LINE_PX", "LineSpectra", "NeighbourMeter", "Neighbours", "VoxelSize", "neighbours", "plane_step"]

Image = NDArray[np.generic]
Real = NDArray[np.float64]

SHORTEST_LINE_PX = 4
LINE_PX = 32  # of the spectra along the axes
SHIFT_STEPS = 10  # a pixel
_BLOCK_VALUES = 2**17  # of lines along z that are put together at once: they lie in the processor's cache


@dataclass(frozen=True)
class Neighbours:
    """How well neighbouring slices of one volume fit; a metric is NaN where the volume is too small or too constant.

    Neighbours are compared over the distance of slices, or of slices a pixel's width apart where pixels are wider than
    that; in the plane over the same distance, if need be between two whole numbers of pixels (`lags.Lag.between`).

    Attributes:
        ssim_z: mean SSIM of neighbouring slices; 0 if they are unrelated. Its windows are lines along x and along y, so
            that those of the plane can be across the distance too: windows along it would see grey levels twice.
        ssim_plane: SSIM of slices with themselves, moved by the slice distance along y (lines along x) and along x
            (lines along y): what neighbours would have in isotropic material.
        jitter_z: mean squared second difference along z over three times the mean squared first one: 0 where grey
            levels run smoothly from slice to slice, 1 where slices are independent, 4/3 where they alternate.
        jitter_plane: the same within the plane, over the same distance.
        brightness_jitter: the same of the slices' mean grey levels: 1 if each has a brightness of its own.
        shift_jitter_px: root mean square shift between neighbours about its median, in pixels of the plane, by
            cross-correlation (Guizar-Sicairos et al., Opt. Lett. 33 (2008) 156), to a tenth of a pixel.
        high_z: share of the power along z above half of the highest frequency: 1/2 of independent slices.
        high_plane: the same along y and x, as voxels as far apart as slices would show it.
        high_ratio: `high_z / high_plane`: 1 in isotropic material, above it jitter, below it a volume smeared along z.
    """

    ssim_z: float
    ssim_plane: float
    jitter_z: float
    jitter_plane: float
    brightness_jitter: float
    shift_jitter_px: float
    high_z: float
    high_plane: float
    high_ratio: float

    def figures(self, suffix: str = "") -> dict[str, float]:
        """By name, with `neighbour_` before those that do not say so themselves."""
        names = {"ssim_z": "neighbour_ssim_z", "ssim_plane": "neighbour_ssim_plane"}
        names |= {f"high_{end}": f"spectrum_high_{end}" for end in ("z", "plane", "ratio")}
        return {names.get(key, key) + suffix: value for key, value in asdict(self).items()}


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
        self._held: deque[Real] = deque(maxlen=self.lengths_px[0])
        self._slices = 0
        self._sums = [np.zeros(length // 2 + 1) for length in self.lengths_px]
        self._lines = np.zeros(3)

    def add(self, image: Image) -> None:
        """Take the next slice `[Y, X]`."""
        plane = image.astype(np.float64)
        self._held.append(plane)
        self._slices += 1
        length = self.lengths_px[0]
        if self._slices >= length and (self._slices - length) % (length // 2) == 0:
            rows = max(1, _BLOCK_VALUES // (plane.shape[1] * length))
            for top in range(0, plane.shape[0], rows):
                self._gather(0, np.stack([held[top : top + rows] for held in self._held], axis=-1))
        for axis, length in enumerate(self.lengths_px[1:]):
            lines = np.moveaxis(plane, axis, -1)
            for start in range(0, lines.shape[-1] - length + 1, length // 2):
                self._gather(axis + 1, lines[..., start : start + length])

    def _gather(self, row: int, lines: Real) -> None:
        window = np.hanning(self.lengths_px[row] + 1)[:-1]
        centred = lines - np.average(lines, axis=-1, weights=window)[..., None]
        power = np.abs(np.fft.rfft(centred * window)) ** 2
        self._sums[row] += power.reshape(-1, power.shape[-1]).sum(axis=0) / np.square(window).sum()
        self._lines[row] += lines[..., 0].size

    def frequency(self, axis: int) -> Real:
        """Cycles per voxel along z, y or x."""
        frequency: Real = np.fft.rfftfreq(self.lengths_px[axis]).astype(np.float64)
        return frequency

    def power(self) -> tuple[Real, Real, Real]:
        """Mean power `[length // 2 + 1]` along z, y, x, in squared grey levels a voxel; NaN where no line fits.

        White noise of variance v has v everywhere, save near frequency 0, since lines lose their mean.
        """
        z, y, x = (s / n if n else np.full_like(s, np.nan) for s, n in zip(self._sums, self._lines, strict=True))
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


class NeighbourMeter:
    """Computes `Neighbours` from the slices of a volume, given in the order of z."""

    def __init__(
        self, data_range: float, plane_step_px: PlaneStep = 1, line_px: int | tuple[int, int, int] = LINE_PX
    ) -> None:
        self._data_range, self._step = data_range, plane_step_px
        self._lags = equal_lags(plane_step_px)
        self._above: deque[Real] = deque(maxlen=2 * self._lags[0].high)
        self._lines_above: deque[list[Windows]] = deque(maxlen=self._lags[0].high)
        self.spectra = LineSpectra(line_px)
        self._differences = [[_Means(lag) for lag in self._lags] for _ in range(2)]  # first, second; along z, y, x
        self._similarities = [_Means(lag) for lag in self._lags]
        self._means: list[float] = []
        self._shifts: list[Real] = []

    @classmethod
    def of_volume(
        cls, shape: tuple[int, int, int], voxel_size_nm: VoxelSize | None, data_range: float
    ) -> NeighbourMeter:
        """For a volume `[Z, Y, X]`: lines of one length in nm that fit into it, and the plane's step for its voxels."""
        step = plane_step(voxel_size_nm)
        edges = (1.0, 1 / step[0], 1 / step[1])  # in slice distances
        length = min(LINE_PX, *(n * edge for n, edge in zip(shape, edges, strict=True)))
        z, y, x = (max(SHORTEST_LINE_PX, round(max(length, SHORTEST_LINE_PX * max(edges)) / edge)) for edge in edges)
        return cls(data_range, step, (z, y, x))

    def add(self, image: Image) -> None:
        """Take the next slice `[Y, X]`."""
        if image.ndim != 2:
            raise InputError(f"a slice must be [Y, X]; this one has shape {image.shape}")
        self._add(as_real(image, "slice"))

    def add_windows(self, windows: Windows) -> None:
        """Take the next slice, whose windows are known."""
        self._add(windows.image)

    def _add(self, current: Real) -> None:
        if self._above and self._above[-1].shape != current.shape:
            raise InputError(f"slice shapes differ within the volume: {self._above[-1].shape}, {current.shape}")
        self.spectra.add(current)
        self._means.append(float(current.mean()))
        for axis in (1, 2):
            self._add_plane(axis, current if axis == 1 else current.T)
        for step in self._lags[0].both:
            if len(self._above) >= step:
                self._gather(0, 0, step, current - self._above[-step])
            if len(self._above) >= 2 * step:
                self._gather(1, 0, step, current - 2 * self._above[-step] + self._above[-2 * step])
        self._add_similarity(current)
        if self._above and min(current.shape) >= SSIM_WINDOW_PX:
            self._add_shift(self._above[-1], current)
        self._above.append(current)

    def _gather(self, order: int, axis: int, step: int, change: Real) -> None:
        self._differences[order][axis].add(step, float(np.square(change).sum()), change.size)

    def _add_plane(self, axis: int, along: Real) -> None:
        """Differences along the first axis."""
        for step in self._lags[axis].both:
            if along.shape[0] > 2 * step:
                self._gather(0, axis, step, along[step:] - along[:-step])
                self._gather(1, axis, step, along[2 * step :] - 2 * along[step:-step] + along[: -2 * step])

    def _add_similarity(self, current: Real) -> None:
        """Of lines along each axis of the plane: with those of slices above, and moved across them."""
        lines = [Windows.of(current, (axis,)) for axis in (0, 1) if current.shape[axis] >= SSIM_WINDOW_PX]
        for own in lines:
            across = 1 - own.axes[0]
            for step in self._lags[across + 1].both:
                if current.shape[across] > step:
                    moved = own.without(across, first=step), own.without(across, last=step)
                    self._add_pair(across + 1, step, WindowPair(*moved))
        for step in self._lags[0].both:
            if len(self._lines_above) >= step:
                for own, above in zip(lines, self._lines_above[-step], strict=True):
                    self._add_pair(0, step, WindowPair(own, above))
        self._lines_above.append(lines)

    def _add_pair(self, axis: int, step: int, pair: WindowPair) -> None:
        self._similarities[axis].add(step, 1 - mean_similarity(pair, self._data_range), 1)

    def _add_shift(self, above: Real, image: Real) -> None:
        from skimage.registration import phase_cross_correlation

        windows = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
        both = [(plane - plane.mean()) * windows for plane in (above, image)]
        if all(plane.any() for plane in both):
            # normalised by amplitude, noise of the highest frequencies would weigh as much as the structures
            shift, *_ = phase_cross_correlation(*both, upsample_factor=SHIFT_STEPS, normalization=None)  # type: ignore[no-untyped-call]
            self._shifts.append(np.asarray(shift))

    def result(self) -> Neighbours:
        """The metrics so far; InputError before the second slice."""
        if len(self._means) < 2:
            raise InputError("continuity along z needs at least two slices")
        shifts = np.array(self._shifts).reshape(-1, 2)
        deviations = np.square(shifts - np.median(shifts, axis=0)).sum(axis=1) if len(shifts) > 1 else np.array([])
        high_z, high_plane = self.spectra.high_shares(self._step)
        unlike = [meter.result() for meter in self._similarities]
        rough = [self._roughness(axis) for axis in range(3)]
        return Neighbours(
            1 - unlike[0],
            1 - _mean(unlike[1:]),
            rough[0],
            _mean(rough[1:]),
            _brightness(np.array(self._means)),
            math.sqrt(deviations.mean()) if deviations.size else math.nan,
            high_z,
            high_plane,
            math.nan if math.isnan(high_z + high_plane) else relative(high_z, high_plane),
        )

    def _roughness(self, axis: int) -> float:
        first, second = (order[axis].result() for order in self._differences)
        return second / (3 * first) if first > 0 else math.nan


class _Means:
    """Means of what is measured over the whole numbers of voxels about a distance, and over the distance itself."""

    def __init__(self, lag: Lag) -> None:
        self._lag = lag
        self._sums = dict.fromkeys(lag.both, 0.0)
        self._numbers = dict.fromkeys(lag.both, 0)

    def add(self, voxels: int, total: float, number: int) -> None:
        self._sums[voxels] += total
        self._numbers[voxels] += number

    def result(self) -> float:
        """NaN where one of them does not fit."""
        if not all(self._numbers.values()):
            return math.nan
        return self._lag.between(tuple(self._sums[voxels] / self._numbers[voxels] for voxels in self._lag.both))


def neighbours(
    slices: Iterable[Image], data_range: float, plane_step_px: PlaneStep = 1, line_px: int = LINE_PX
) -> Neighbours:
    """How the slices of a volume fit.

    Args:
        slices: slices `[Y, X]` in the order of z, or an array `[Z, Y, X]`.
        data_range: greatest minus least possible grey level.
        plane_step_px: the slice distance in pixels of the plane (1 for cubic voxels).
        line_px: slices that the lines of the spectra span; those of the plane are as long. Fewer slices have none.

    Raises:
        InputError: fewer than two slices, shapes that differ, or values that are not finite.
    """
    y, x = plane_step_px if isinstance(plane_step_px, tuple) else (plane_step_px, plane_step_px)
    line_y, line_x = (max(SHORTEST_LINE_PX, round(line_px * step)) for step in (y, x))
    meter = NeighbourMeter(data_range, plane_step_px, (line_px, line_y, line_x))
    for plane in slices:
        meter.add(plane)
    return meter.result()


def _mean(values: list[float]) -> float:
    """Of those that there are."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _brightness(means: Real) -> float:
    if means.size < 3:
        return math.nan
    first, second = (float(np.square(np.diff(means, order)).mean()) for order in (1, 2))
    negligible = 1e-24 * float(np.square(means).max())
    return second / (3 * first) if first > negligible else math.nan
