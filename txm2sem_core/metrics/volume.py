"""A predicted volume against the true one, slice by slice, so that neither needs to fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.continuity import ContinuityMeter, paired_slices
from txm2sem_core.metrics.frequency import BLOCK_PX, Correlation, CorrelationMeter, blocks
from txm2sem_core.metrics.gaps import Gaps, tried
from txm2sem_core.metrics.image import mse, psnr_from_mse
from txm2sem_core.metrics.masks import Mask
from txm2sem_core.metrics.neighbours import NeighbourMeter, VoxelSize
from txm2sem_core.metrics.pores.phases import Segmenter, confusion, dice_from_confusion
from txm2sem_core.metrics.pores.two_point import TwoPointMeter, two_point_errors
from txm2sem_core.metrics.scores import SCORES, ImagePair
from txm2sem_core.metrics.structure import HistogramMeter

Image = NDArray[np.generic]
Labels = NDArray[np.uint8]
Figures = dict[str, float]
SMALLEST_CUBE_PX = 16  # of a shell correlation: eight shells
TWO_POINT_LAG_PX = 16  # half a micrometre at 32 nm; most pores of a shale are smaller


NEIGHBOURS, TWO_POINT = "neighbours", "two-point probability"
"""The measures of `compare_volumes` that need whole slices."""


class _Slice(ImagePair):
    """A slice of both volumes, and which of its pixels count."""

    def __init__(
        self, prediction: Image, truth: Image, data_range: float, mask: Mask | None, segmenter: Segmenter | None
    ) -> None:
        super().__init__(prediction, truth, data_range, mask)
        self._segmenter = segmenter
        self.pixels = self.images[0].size if mask is None else int(np.count_nonzero(mask))

    @cached_property
    def phases(self) -> tuple[Labels, Labels]:
        """Of both images; there is a segmenter where a measure asks for them."""
        assert self._segmenter is not None
        return self._segmenter(self.given[0]), self._segmenter(self.given[1])


class _Part(Protocol):
    """One measure of a comparison."""

    def add(self, both: _Slice) -> None:
        """Take the next slice of which a pixel counts."""

    def figures(self) -> Figures:
        """By their names, in the end."""


class _Mean:
    """A score of slices, its mean over all of them, or over all pixels."""

    def __init__(self, name: str, score: Callable[[ImagePair], float], *, of_pixels: bool = False) -> None:
        self._name, self._score, self._of_pixels = name, score, of_pixels
        self._sum, self._weight = 0.0, 0

    def add(self, both: _Slice) -> None:
        weight = both.pixels if self._of_pixels else 1
        self._sum += self._score(both) * weight
        self._weight += weight

    def mean(self) -> float:
        return self._sum / self._weight

    def figures(self) -> Figures:
        return {self._name: self.mean()}


class _Psnr(_Mean):
    """Of the mean squared error of all pixels."""

    def __init__(self, data_range: float) -> None:
        super().__init__("psnr", lambda both: mse(*both.images, both.mask), of_pixels=True)
        self._data_range = data_range

    def figures(self) -> Figures:
        return {"psnr": psnr_from_mse(self.mean(), self._data_range)}


class _Histogram:
    def __init__(self, data_range: float) -> None:
        self._meter = HistogramMeter(data_range)

    def add(self, both: _Slice) -> None:
        self._meter.add(*both.given, both.mask)

    def figures(self) -> Figures:
        return {"histogram_distance": self._meter.result()}


class _Continuity:
    """Of all slices: between two of which a pixel counts there may be one of which none does."""

    def __init__(self, data_range: float) -> None:
        self._meter = ContinuityMeter(data_range)

    def add(self, both: _Slice) -> None:
        self._meter.add(*both.given, both.mask)

    def figures(self) -> Figures:
        if not self._meter.pixels:
            return {}
        found = self._meter.result()
        return {f"continuity_{key}": getattr(found, key) for key in ("ratio", "error", "explained")}


class _Neighbours:
    """Of whole slices, of each volume by itself."""

    def __init__(self, meters: tuple[NeighbourMeter, NeighbourMeter]) -> None:
        self._meters, self._slices = meters, 0

    def add(self, both: _Slice) -> None:
        self._slices += 1
        for meter, windows in zip(self._meters, (both.windows.first, both.windows.second), strict=True):
            meter.add_windows(windows)

    def figures(self) -> Figures:
        if self._slices < 2:
            return {}
        return self._meters[0].result().figures() | self._meters[1].result().figures("_truth")


class _Phases:
    """Shares of the phases and their agreement."""

    def __init__(self, phases: int) -> None:
        self._counts = np.zeros((phases, phases), dtype=np.int64)

    def add(self, both: _Slice) -> None:
        self._counts += confusion(*both.phases, len(self._counts), both.mask)

    def figures(self) -> Figures:
        return _phase_figures(self._counts)


class _TwoPoint:
    """Of the darkest phase, of whole slices."""

    def __init__(self) -> None:
        self._meters: tuple[TwoPointMeter, TwoPointMeter] | None = None

    def add(self, both: _Slice) -> None:
        lag = min(TWO_POINT_LAG_PX, *(n - 1 for n in both.given[0].shape))
        self._meters = self._meters or (TwoPointMeter(lag), TwoPointMeter(lag))
        for meter, labels in zip(self._meters, both.phases, strict=True):
            meter.add(labels == 0)

    def figures(self) -> Figures:
        return {} if self._meters is None else two_point_errors(*(meter.result() for meter in self._meters))


def compare_volumes(
    prediction: Iterable[Image],
    truth: Iterable[Image],
    data_range: float,
    segmenter: Segmenter | None = None,
    masks: Iterable[NDArray[np.bool_]] | None = None,
    neighbours: tuple[NeighbourMeter, NeighbourMeter] | None = None,
    gaps: Gaps | None = None,
) -> Figures:
    """Metrics of a predicted volume against the truth, in one pass that holds a slab of slices.

    At most 32 slices of each are held, for the spectra along z; 16 of the darkest phase, for its two-point probability.

    Args:
        prediction: slices `[Y, X]` in the order of z, or an array `[Z, Y, X]`.
        truth: as many slices of the same shape and in the same grey levels.
        data_range: greatest minus least possible grey level.
        segmenter: segments both into phases; fit it once, on pixels of the truth.
        masks: boolean slices, True where a pixel counts. Slices of which none does are skipped, and metrics that need
        whole slices are left out: those of `Neighbours`, and the two-point probability.
        neighbours: new meters of the prediction and of the truth, where the slice distance is not the pixel's size, the
            volume is small, or the caller wants their spectra.
        gaps: collects the metrics that fail, which are left out; without it their failure is raised.

    Returns:
        `slices` (those of which a pixel counts); `psnr` (dB, of the whole volume's mean squared error), `mae` and
        `histogram_distance` of the volume (shares of `data_range`); `ssim`, `ms_ssim`, `structure` and `gmsd` (means
        over slices); with two slices or more `continuity_ratio`, `continuity_error` and `continuity_explained` (see
        `Continuity`), and without masks the figures of `Neighbours` of the prediction and, with the ending `_truth`, of
        the truth. With a segmenter, for every phase `p` from the darkest: `fraction_{p}` (prediction),
        `fraction_{p}_truth`, `fraction_{p}_error` (prediction minus truth) and `dice_{p}` (NaN if neither has it).
        Phase 0 is the darkest: pores, and organic matter where it does not part it from them. Of phase 0, without
        masks, `two_point_error_z`, `_y` and `_x`: the mean absolute difference of the two-point probabilities over
        distances of 1 to 16 pixels (fewer in a smaller volume).

    Raises:
        InputError: no slices, numbers or shapes of slices that differ, values that are not finite.
    """
    fit = neighbours or (NeighbourMeter(data_range), NeighbourMeter(data_range))
    parts = _parts(data_range, segmenter, None if masks is not None else fit)
    mask_slices = None if masks is None else iter(masks)
    slices = 0
    for z, images in enumerate(paired_slices(prediction, truth)):
        both = _Slice(*images, data_range, None if mask_slices is None else _next_mask(mask_slices, z), segmenter)
        slices += 1 if both.pixels else 0
        due = {name: part for name, part in parts.items() if both.pixels or name == "continuity"}
        for name, part in due.items():
            if not tried(gaps, name, partial(part.add, both)):
                del parts[name]
    if slices == 0:
        raise InputError("the volumes to compare hold no slice, or the masks leave no pixel of them")
    figures = {"slices": float(slices)}
    for name, part in parts.items():
        tried(gaps, name, lambda part=part: figures.update(part.figures()))  # type: ignore[misc]
    return figures


def _parts(
    data_range: float, segmenter: Segmenter | None, neighbours: tuple[NeighbourMeter, NeighbourMeter] | None
) -> dict[str, _Part]:
    """All metrics of a comparison by name; those that need whole slices only with `neighbours`."""
    parts: dict[str, _Part] = {name: _Mean(name, score) for name, score in SCORES.items()}
    parts |= {  # of the volume as a whole, not the mean over its slices
        "psnr": _Psnr(data_range),
        "mae": _Mean("mae", SCORES["mae"], of_pixels=True),
        "histogram_distance": _Histogram(data_range),
        "continuity": _Continuity(data_range),
    }
    if neighbours is not None:
        parts[NEIGHBOURS] = _Neighbours(neighbours)
    if segmenter is not None:
        parts["phases"] = _Phases(segmenter.phases)
    if segmenter is not None and neighbours is not None:
        parts[TWO_POINT] = _TwoPoint()
    return parts


def shell_correlation(
    prediction: Iterable[Image],
    truth: Iterable[Image],
    voxel_size_nm: tuple[float, float, float],
    size_px: int = BLOCK_PX,
) -> Correlation:
    """Fourier shell correlation of two volumes, pooled over cubes of `size_px` voxels a side; see `CorrelationMeter`.

    Holds one slab of `size_px` slices of each volume.

    Args:
        prediction: slices `[Y, X]` in the order of z, or an array `[Z, Y, X]`.
        truth: as many slices of the same shape.
        voxel_size_nm: along z, y, x.
        size_px: side of the cubes; the lowest frequency is 1 over their size.

    Raises:
        InputError: volumes smaller than one cube, or shapes that differ.
    """
    meter = CorrelationMeter(voxel_size_nm)
    for cubes in zip(blocks(prediction, size_px), blocks(truth, size_px), strict=True):
        meter.add(*cubes)
    return meter.correlation()


def shell_figures(
    prediction: Iterable[Image],
    truth: Iterable[Image],
    shape: tuple[int, int, int],
    voxel_size_nm: VoxelSize | None,
) -> dict[str, float]:
    """`resolution_nm` (threshold 1/7) and `resolution_half_bit_nm` of `shell_correlation`.

    In the largest cubes that fit, of 64 voxels a side at most. Nothing where a voxel size is not known, or the volume
    `[Z, Y, X]` is smaller than 16 voxels along an axis.
    """
    size = min(BLOCK_PX, *shape)
    if voxel_size_nm is None or size < SMALLEST_CUBE_PX:
        return {}
    z_nm, y_nm, x_nm = voxel_size_nm
    if z_nm is None or y_nm is None or x_nm is None:
        return {}
    curve = shell_correlation(prediction, truth, (z_nm, y_nm, x_nm), size)
    return {"resolution_nm": curve.resolution_nm(), "resolution_half_bit_nm": curve.resolution_nm(curve.half_bit)}


def _next_mask(masks: Iterator[NDArray[np.bool_]], z: int) -> NDArray[np.bool_]:
    mask = next(masks, None)
    if mask is None:
        raise InputError(f"the masks end after {z} slices and the volumes go on; give one mask a slice")
    return mask


def _phase_figures(counts: NDArray[np.int64]) -> dict[str, float]:
    total = counts.sum()
    predicted, true = counts.sum(axis=0) / total, counts.sum(axis=1) / total
    figures: dict[str, float] = {}
    for phase, overlap in enumerate(dice_from_confusion(counts)):
        figures[f"fraction_{phase}"] = float(predicted[phase])
        figures[f"fraction_{phase}_truth"] = float(true[phase])
        figures[f"fraction_{phase}_error"] = float(predicted[phase] - true[phase])
        figures[f"dice_{phase}"] = float(overlap)
    return figures
