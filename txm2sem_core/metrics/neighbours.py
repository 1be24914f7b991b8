"""How neighbouring slices fit: similarity, jitter, and the spectrum along z against that within the plane.

A network that sees one slice at a time makes each plausible and their sequence not. Every figure here is of one volume
alone, so it can be read beside the truth's, or, where there is none, beside the same figure within the plane. Slices
are read once and in order; at most `LINE_PX` are held.
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
from txm2sem_core.metrics.windows import SSIM_WINDOW_PX, WindowPair, Windows

Image = NDArray[np.generic]
Real = NDArray[np.float64]

VoxelSize = tuple[float | None, float | None, float | None]

LINE_PX = 32  # of the spectra along the axes
SHIFT_STEPS = 10  # a pixel
_BLOCK_VALUES = 2**17  # of lines along z that are put together at once: they lie in the processor's cache


def plane_step(voxel_size_nm: VoxelSize | None) -> int:
    """How many pixels in the plane are as far apart as two slices, for voxels of that size along z, y, x."""
    if voxel_size_nm is None or None in voxel_size_nm:
        return 1
    z_nm, _, x_nm = voxel_size_nm
    return max(1, round(float(z_nm or 1) / float(x_nm or 1)))


@dataclass(frozen=True)
class Neighbours:
    """How the slices of one volume fit; each figure is NaN where the volume is too small or too constant for it.

    Attributes:
        ssim_z: mean SSIM of neighbouring slices; 0 if they are unrelated.
        ssim_plane: SSIM of slices with themselves, moved by the slice distance along y and x: what neighbours would
            have in isotropic material.
        jitter_z: mean squared second difference along z over three times the mean squared first one: 0 where grey
            levels run smoothly from slice to slice, 1 where slices are independent, 4/3 where they alternate.
        jitter_plane: the same within the plane, over the same distance.
        brightness_jitter: the same of the slices' mean grey levels: 1 if each has a brightness of its own.
        shift_jitter_px: root mean square shift between neighbours about its median, in pixels of the plane, by
            cross-correlation (Guizar-Sicairos et al., Opt. Lett. 33 (2008) 156), to a tenth of a pixel.
        high_z: share of the power along z above half of the highest frequency: 1/2 of independent slices.
        high_plane: the same along y and x, up to the same frequency.
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
    """Power spectra along z, y and x over lines of `length_px` voxels, that overlap by half (Welch 1967).

    Lines lose their mean and are windowed by a Hann window. Volumes smaller than that along z, y or x give none.
    """

    def __init__(self, length_px: int = LINE_PX) -> None:
        if length_px < 4:
            raise InputError(f"a spectrum along an axis needs lines of at least 4 pixels, not {length_px}")
        self.length_px = length_px
        self._held: deque[Real] = deque(maxlen=length_px)
        self._slices = 0
        self._sums = np.zeros((3, length_px // 2 + 1))
        self._lines = np.zeros(3)

    def add(self, image: Image) -> None:
        """Take the next slice `[Y, X]`."""
        plane, step = image.astype(np.float64), max(self.length_px // 2, 1)
        self._held.append(plane)
        self._slices += 1
        if self._slices >= self.length_px and (self._slices - self.length_px) % step == 0:
            rows = max(1, _BLOCK_VALUES // (plane.shape[1] * self.length_px))
            for top in range(0, plane.shape[0], rows):
                self._gather(0, np.stack([held[top : top + rows] for held in self._held], axis=-1))
        for axis in (0, 1):
            lines = np.moveaxis(plane, axis, -1)
            for start in range(0, lines.shape[-1] - self.length_px + 1, step):
                self._gather(axis + 1, lines[..., start : start + self.length_px])

    def _gather(self, row: int, lines: Real) -> None:
        window = np.hanning(self.length_px + 1)[:-1]
        centred = lines - np.average(lines, axis=-1, weights=window)[..., None]
        power = np.abs(np.fft.rfft(centred * window)) ** 2
        self._sums[row] += power.reshape(-1, power.shape[-1]).sum(axis=0) / np.square(window).sum()
        self._lines[row] += lines[..., 0].size

    def frequency(self, step: float = 1.0) -> Real:
        """Cycles per unit of `step`, the distance of two voxels along the axis."""
        frequency: Real = np.fft.rfftfreq(self.length_px, step).astype(np.float64)
        return frequency

    def power(self) -> Real:
        """Mean power `[3, length_px // 2 + 1]` along z, y, x, in squared grey levels a voxel; NaN where no line fits.

        White noise of variance v has v everywhere, save near frequency 0, since lines lose their mean.
        """
        lines = self._lines[:, None]
        return np.divide(self._sums, lines, out=np.full_like(self._sums, np.nan), where=lines > 0)

    def _two_sided(self, axis: int) -> Real:
        """How often a frequency stands for itself and its negative, over 2: zero and the highest of even lines once."""
        frequency = self.frequency(axis)
        return np.where((frequency == 0) | (frequency == 0.5), 0.5, 1.0)

    def high_shares(self, plane_step_px: float = 1.0) -> tuple[float, float]:
        """Share of power in the upper half of the frequencies that z and the plane both have: along z, in the plane.

        Args:
            plane_step_px: slice distance in pixels of the plane.
        """
        power = self.power()
        frequencies = self.frequency(), self.frequency(1 / plane_step_px)
        highest = min(frequencies[0][-1], frequencies[1][-1]) + 1e-12
        shares = []
        for frequency, along in zip(frequencies, (power[0], power[1:].mean(axis=0)), strict=True):
            band = (frequency > 0) & (frequency <= highest)
            total = along[band].sum()
            upper = along[band & (frequency > highest / 2)].sum()
            shares.append(float(upper / total) if total > 0 else math.nan)
        return shares[0], shares[1]


class NeighbourMeter:
    """Gathers `Neighbours` from the slices of a volume, given in the order of z."""

    def __init__(self, data_range: float, plane_step_px: int = 1, line_px: int = LINE_PX) -> None:
        self._data_range, self._step = data_range, plane_step_px
        self._last: deque[Real] = deque(maxlen=2)
        self._last_windows: Windows | None = None
        self.spectra = LineSpectra(line_px)
        self._similarity: tuple[list[float], list[float]] = ([], [])
        self._means: list[float] = []
        self._shifts: list[Real] = []
        self._first, self._second = np.zeros(2), np.zeros(2)  # mean squared differences along z, in the plane
        self._numbers = np.zeros((2, 2))

    @classmethod
    def of_volume(
        cls, shape: tuple[int, int, int], voxel_size_nm: VoxelSize | None, data_range: float
    ) -> NeighbourMeter:
        """For a volume `[Z, Y, X]`: lines that fit into it, and the plane's step for its voxels."""
        return cls(data_range, plane_step(voxel_size_nm), max(4, min(LINE_PX, *shape)))

    def add(self, image: Image) -> None:
        """Take the next slice `[Y, X]`."""
        if image.ndim != 2:
            raise InputError(f"a slice must be [Y, X]; this one has shape {image.shape}")
        current = as_real(image, "slice")
        self._add(current, Windows.of(current) if min(current.shape) >= SSIM_WINDOW_PX else None)

    def add_windows(self, windows: Windows) -> None:
        """Take the next slice, whose windows are known."""
        self._add(windows.image, windows)

    def _add(self, current: Real, windows: Windows | None) -> None:
        if self._last and self._last[-1].shape != current.shape:
            raise InputError(f"slice shapes differ within the volume: {self._last[-1].shape}, {current.shape}")
        self.spectra.add(current)
        self._means.append(float(current.mean()))
        for along in (current, current.T):
            self._add_plane(along)
        if windows is not None:
            self._add_similarity_in_plane(windows)
        if self._last:
            self._gather(0, 0, current - self._last[-1])
        if self._last_windows is not None and windows is not None:
            pair = WindowPair(windows, self._last_windows)
            self._similarity[0].append(mean_similarity(pair, self._data_range))
            self._add_shift(self._last[-1], current)
        if len(self._last) == 2:
            self._gather(1, 0, current - 2 * self._last[1] + self._last[0])
        self._last.append(current)
        self._last_windows = windows

    def _gather(self, order: int, direction: int, change: Real) -> None:
        (self._first, self._second)[order][direction] += float(np.square(change).sum())
        self._numbers[order, direction] += change.size

    def _add_plane(self, along: Real) -> None:
        """Differences along the first axis."""
        step = self._step
        if along.shape[0] > 2 * step:
            self._gather(0, 1, along[step:] - along[:-step])
            self._gather(1, 1, along[2 * step :] - 2 * along[step:-step] + along[: -2 * step])

    def _add_similarity_in_plane(self, windows: Windows) -> None:
        step = self._step
        pairs = [
            WindowPair(windows.without(axis, first=step), windows.without(axis, last=step))
            for axis, length in enumerate(windows.image.shape)
            if length - step >= SSIM_WINDOW_PX
        ]
        similar = [mean_similarity(pair, self._data_range) for pair in pairs]
        if similar:
            self._similarity[1].append(float(np.mean(similar)))

    def _add_shift(self, above: Real, image: Real) -> None:
        from skimage.registration import phase_cross_correlation

        windows = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
        both = [(plane - plane.mean()) * windows for plane in (above, image)]
        if all(plane.any() for plane in both):
            # normalised by amplitude, noise of the highest frequencies would weigh as much as the structures
            shift, *_ = phase_cross_correlation(*both, upsample_factor=SHIFT_STEPS, normalization=None)  # type: ignore[no-untyped-call]
            self._shifts.append(np.asarray(shift))

    def result(self) -> Neighbours:
        """Give the figures so far; InputError before the second slice."""
        if len(self._means) < 2:
            raise InputError("continuity along z needs at least two slices")
        shifts = np.array(self._shifts).reshape(-1, 2)
        deviations = np.square(shifts - np.median(shifts, axis=0)).sum(axis=1) if len(shifts) > 1 else np.array([])
        high_z, high_plane = self.spectra.high_shares(self._step)
        return Neighbours(
            _mean(self._similarity[0]),
            _mean(self._similarity[1]),
            self._roughness(0),
            self._roughness(1),
            _brightness(np.array(self._means)),
            math.sqrt(deviations.mean()) if deviations.size else math.nan,
            high_z,
            high_plane,
            math.nan if math.isnan(high_z + high_plane) else relative(high_z, high_plane),
        )

    def _roughness(self, direction: int) -> float:
        first, second = self._first[direction], self._second[direction]
        numbers = self._numbers[:, direction]
        return float(second / numbers[1] / (3 * first / numbers[0])) if numbers.all() and first > 0 else math.nan


def neighbours(
    slices: Iterable[Image], data_range: float, plane_step_px: int = 1, line_px: int = LINE_PX
) -> Neighbours:
    """How the slices of a volume fit.

    Args:
        slices: slices `[Y, X]` in the order of z, or an array `[Z, Y, X]`.
        data_range: greatest minus least possible grey level.
        plane_step_px: the slice distance in pixels of the plane (1 for cubic voxels).
        line_px: length of the lines of the spectra; fewer slices have no spectrum.

    Raises:
        InputError: fewer than two slices, shapes that differ, or values that are not finite.
    """
    meter = NeighbourMeter(data_range, plane_step_px, line_px)
    for plane in slices:
        meter.add(plane)
    return meter.result()


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _brightness(means: Real) -> float:
    if means.size < 3:
        return math.nan
    first, second = (float(np.square(np.diff(means, order)).mean()) for order in (1, 2))
    negligible = 1e-24 * float(np.square(means).max())
    return second / (3 * first) if first > negligible else math.nan
