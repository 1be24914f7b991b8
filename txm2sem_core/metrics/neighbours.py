"""How neighbouring slices fit: similarity, jitter, and the spectrum along z against that within the plane.

A network that predicts one slice at a time can make each slice plausible, but not their sequence. Every metric here is
of one volume alone, so it can be compared with the truth's or, where there is none, with the same metric within the
plane. Slices are read once and in order; at most `LINE_PX` are held, or the slices that four pixels are wide.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.changes import Changes, Means
from txm2sem_core.metrics.continuity import relative
from txm2sem_core.metrics.lags import Lag, PlaneStep, VoxelSize, equal_lags, plane_step
from txm2sem_core.metrics.lines import LINE_PX, SHORTEST_LINE_PX, LineSpectra
from txm2sem_core.metrics.shifts import ShiftMeter
from txm2sem_core.metrics.tiles import check_finite, grown, tiles
from txm2sem_core.metrics.windows import BORDER_PX, WindowPair, Windows

__all__ = ["LINE_PX", "LineSpectra", "NeighbourMeter", "Neighbours", "VoxelSize", "neighbours", "plane_step"]

Image = NDArray[np.generic]
Real = NDArray[np.float64]


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

    def metrics(self, suffix: str = "") -> dict[str, float]:
        """The metrics by name, with the prefix `neighbour_` where the name does not imply neighbours."""
        names = {"ssim_z": "neighbour_ssim_z", "ssim_plane": "neighbour_ssim_plane"}
        names |= {f"high_{end}": f"spectrum_high_{end}" for end in ("z", "plane", "ratio")}
        return {names.get(key, key) + suffix: value for key, value in asdict(self).items()}


class LineSimilarity:
    """SSIM in windows that are lines along one axis of the plane, from slices `[Y, X]` in the order of z.

    Attributes:
        along_z: one minus SSIM of a slice with that above.
        across: the same of a slice with itself, moved across the lines.
    """

    def __init__(self, axis: int, lags: Sequence[Lag], data_range: float) -> None:
        self._axis, self._data_range = axis, data_range
        self.along_z, self.across = Means(lags[0]), Means(lags[2 - axis])
        self._above: deque[Image] = deque(maxlen=lags[0].high)

    def add(self, images: Sequence[Image]) -> None:
        """Take the next slices, which are kept: tile by tile, each through all of them."""
        turned = [image if self._axis == 1 else image.T for image in images]
        height, width = turned[0].shape
        inside = width - 2 * BORDER_PX
        if inside < 1:
            return
        earlier = list(self._above)
        for rows, columns in tiles((height, inside)):
            part = grown(rows, self.across.lag.high), grown(columns, 2 * BORDER_PX)
            held: deque[Windows] = deque(maxlen=self._above.maxlen)
            for number, plane in enumerate([*earlier, *turned]):
                own = Windows.of(np.array(plane[part], np.float64, order="C"), (1,))
                if number >= len(earlier):
                    self._gather(own, held, rows.stop - rows.start)
                held.append(own)
        self._above.extend(turned)

    def _gather(self, own: Windows, above: Sequence[Windows], rows: int) -> None:
        for step in self.along_z.lag.both:
            if step <= len(above):
                self._add(self.along_z, step, own.lines(0, rows), above[-step].lines(0, rows))
        for step in self.across.lag.both:
            begun = min(rows, len(own.image) - step)
            if begun > 0:
                self._add(self.across, step, own.lines(step, step + begun), own.lines(0, begun))

    def _add(self, means: Means, step: int, first: Windows, second: Windows) -> None:
        similarity = WindowPair(first, second).similarity(self._data_range)
        means.add(step, float(similarity.size - similarity.sum()), similarity.size)


class NeighbourMeter:
    """Computes `Neighbours` from the slices of a volume, given in the order of z."""

    def __init__(
        self, data_range: float, plane_step_px: PlaneStep = 1, line_px: int | tuple[int, int, int] = LINE_PX
    ) -> None:
        self._data_range, self._step = data_range, plane_step_px
        lags = equal_lags(plane_step_px)
        self.spectra = LineSpectra(line_px)
        self._changes = Changes(lags, second=True)
        self._similarities = [LineSimilarity(axis, lags, data_range) for axis in (0, 1)]
        self._shifts = ShiftMeter()
        self._means: list[float] = []
        self._shape: tuple[int, ...] = ()

    @classmethod
    def of_volume(
        cls, shape: tuple[int, int, int], voxel_size_nm: VoxelSize | None, data_range: float
    ) -> NeighbourMeter:
        """For a volume `[Z, Y, X]`: lines of one length in nm that fit into it, and the plane's step for its voxels.

        Where voxels are so long along one axis that four of them are longer than the volume along another, lines along
        that one are longer than the volume by one voxel: none fits, and none longer is prepared.
        """
        step = plane_step(voxel_size_nm)
        edges = (1.0, 1 / step[0], 1 / step[1])  # in slice distances
        length = min(LINE_PX, *(n * edge for n, edge in zip(shape, edges, strict=True)))
        wanted = max(length, SHORTEST_LINE_PX * max(edges))
        z, y, x = (
            max(SHORTEST_LINE_PX, min(round(wanted / edge), n + 1)) for n, edge in zip(shape, edges, strict=True)
        )
        return cls(data_range, step, (z, y, x))

    def add(self, image: Image) -> None:
        """Take the next slice `[Y, X]`."""
        for task in self.tasks([image.copy()]):
            task()

    def tasks(self, images: Sequence[Image]) -> list[Callable[[], None]]:
        """What is to be done with the next slices, which are kept: tasks that may run at the same time.

        All must have ended before the next slices are given.
        """
        for image in images:
            if image.ndim != 2:
                raise InputError(f"a slice must be [Y, X]; this one has shape {image.shape}")
            check_finite(image, "slice")
            self._shape = self._shape or image.shape
            if image.shape != self._shape:
                raise InputError(f"slice shapes differ within the volume: {self._shape}, {image.shape}")
        one_by_one = [*(axis.add for axis in self.spectra.axes), self._shifts.add, self._changes.add, self._add_mean]
        longest = [partial(similarity.add, images) for similarity in self._similarities]
        return [*longest, *(partial(_each, add, images) for add in one_by_one)]

    def _add_mean(self, image: Image) -> None:
        self._means.append(float(image.mean(dtype=np.float64)))

    def result(self) -> Neighbours:
        """The metrics so far; InputError before the second slice."""
        if len(self._means) < 2:
            raise InputError("continuity along z needs at least two slices")
        shifts = np.array(self._shifts.found).reshape(-1, 2)
        deviations = np.square(shifts - np.median(shifts, axis=0)).sum(axis=1) if len(shifts) > 1 else np.array([])
        high_z, high_plane = self.spectra.high_shares(self._step)
        along_y, along_x = self._similarities
        unlike = Means.joined([along_y.along_z, along_x.along_z]), along_x.across.result(), along_y.across.result()
        rough = [self._roughness(axis) for axis in range(3)]
        return Neighbours(
            1 - unlike[0],
            1 - _mean(list(unlike[1:])),
            rough[0],
            _mean(rough[1:]),
            _brightness(np.array(self._means)),
            math.sqrt(deviations.mean()) if deviations.size else math.nan,
            high_z,
            high_plane,
            math.nan if math.isnan(high_z + high_plane) else relative(high_z, high_plane),
        )

    def _roughness(self, axis: int) -> float:
        first, second = (order[axis].result() for order in (self._changes.first, self._changes.second))
        return second / (3 * first) if first > 0 else math.nan


def _each(add: Callable[[Image], None], images: Sequence[Image]) -> None:
    for image in images:
        add(image)


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
