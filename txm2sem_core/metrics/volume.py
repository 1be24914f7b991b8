"""A predicted volume against the true one, slice by slice, so that neither needs to fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.continuity import paired_slices
from txm2sem_core.metrics.frequency import BLOCK_PX, Correlation, CorrelationMeter, blocks
from txm2sem_core.metrics.gaps import Gaps, tried
from txm2sem_core.metrics.neighbours import NeighbourMeter, VoxelSize
from txm2sem_core.metrics.pores.phases import Segmenter
from txm2sem_core.metrics.volume_parts import NEIGHBOURS, TWO_POINT, Part, Slice, parts_of, scores_of
from txm2sem_core.runtime.workers import Task, Workers, slabs

__all__ = ["NEIGHBOURS", "SLAB", "TWO_POINT", "compare_volumes", "shell_correlation", "shell_figures", "shell_metrics"]

Image = NDArray[np.generic]
Metrics = dict[str, float]
SMALLEST_CUBE_PX = 16  # of a shell correlation: eight shells
SLAB = 16  # slices that are worked on together, and one more such slab that is read meanwhile


def compare_volumes(
    prediction: Iterable[Image],
    truth: Iterable[Image],
    data_range: float,
    segmenter: Segmenter | None = None,
    masks: Iterable[NDArray[np.bool_]] | None = None,
    neighbours: tuple[NeighbourMeter, NeighbourMeter] | None = None,
    gaps: Gaps | None = None,
    workers: Workers | None = None,
) -> Metrics:
    """Metrics of a predicted volume against the truth, in one pass that holds a slab of slices.

    At most 64 slices of each are held as they came, for the spectra along z and for what is worked on and read; 16 of
    the darkest phase, for its two-point probability; and of each thread the spectra of a slice.

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
        workers: threads; the metrics are the same bytes whatever their number.

    Returns:
        `slices` (those of which a pixel counts); `psnr` (dB, of the whole volume's mean squared error), `mae` and
        `histogram_distance` of the volume (shares of `data_range`); `ssim`, `ms_ssim`, `structure` and `gmsd` (means
        over slices); with two slices or more `continuity_ratio`, `continuity_error` and `continuity_explained` (see
        `Continuity`), and without masks the metrics of `Neighbours` of the prediction and, with the ending `_truth`, of
        the truth. With a segmenter, for every phase `p` from the darkest: `fraction_{p}` (prediction),
        `fraction_{p}_truth`, `fraction_{p}_error` (prediction minus truth) and `dice_{p}` (NaN if neither has it).
        Phase 0 is the darkest: pores, and organic matter where it does not part it from them. Of phase 0, without
        masks, `two_point_error_z`, `_y` and `_x`: the mean absolute difference of the two-point probabilities over
        distances of 1 to 16 pixels (fewer in a smaller volume).

    Raises:
        InputError: no slices, numbers or shapes of slices that differ, values that are not finite.
    """
    fit = neighbours or (NeighbourMeter(data_range), NeighbourMeter(data_range))
    parts = parts_of(data_range, segmenter, None if masks is not None else fit)
    workers, count = workers or Workers(), 0
    source = _slices(prediction, truth, masks, data_range, segmenter)
    for slab in workers.ahead(slabs(source, SLAB)):
        counted = [both for both in slab if both.pixels]
        count += len(counted)
        _take(parts, slab, counted, gaps, workers)
    if count == 0:
        raise InputError("the volumes to compare hold no slice, or the masks leave no pixel of them")
    metrics = {"slices": float(count)}
    for name, part in parts.items():
        tried(gaps, name, lambda part=part: metrics.update(part.metrics()))  # type: ignore[misc]
    return metrics


def _slices(
    prediction: Iterable[Image],
    truth: Iterable[Image],
    masks: Iterable[NDArray[np.bool_]] | None,
    data_range: float,
    segmenter: Segmenter | None,
) -> Iterator[Slice]:
    """Copies of the slices of both, which are kept for a while."""
    mask_slices = None if masks is None else iter(masks)
    for z, (predicted, measured) in enumerate(paired_slices(prediction, truth)):
        mask = None if mask_slices is None else _next_mask(mask_slices, z).copy()
        yield Slice(np.array(predicted), np.array(measured), data_range, mask, segmenter)


def _take(parts: dict[str, Part], slab: list[Slice], counted: list[Slice], gaps: Gaps | None, workers: Workers) -> None:
    """Let all parts take the next slices; what fails is dropped, in the order of the parts."""
    own: dict[str, list[Task]] = {}
    for name, part in list(parts.items()):
        given = slab if part.takes_all else counted
        if not tried(gaps, name, lambda: own.update({name: part.tasks(given)})):  # noqa: B023  # called at once
            del parts[name]
    scoring = [partial(scores_of, both, dict(parts)) for both in counted]
    done = workers.run([*scoring, *(task for tasks in own.values() for task in tasks)])
    scores, outcomes = [outcome() for outcome in done[: len(scoring)]], iter(done[len(scoring) :])
    results = {name: [next(outcomes) for _ in tasks] for name, tasks in own.items()}
    for name, part in list(parts.items()):
        of_slices = [score[name] for score in scores] if part.of_slices else []
        if not tried(gaps, name, partial(part.take, counted, of_slices, results[name])):
            del parts[name]


def shell_correlation(
    prediction: Iterable[Image],
    truth: Iterable[Image],
    voxel_size_nm: tuple[float, float, float],
    size_px: int = BLOCK_PX,
    workers: Workers | None = None,
) -> Correlation:
    """Fourier shell correlation of two volumes, pooled over cubes of `size_px` voxels a side; see `CorrelationMeter`.

    Holds one slab of `size_px` slices of each volume.

    Args:
        prediction: slices `[Y, X]` in the order of z, or an array `[Z, Y, X]`.
        truth: as many slices of the same shape.
        voxel_size_nm: along z, y, x.
        size_px: side of the cubes; the lowest frequency is 1 over their size.
        workers: threads, each with a cube at a time; the result is the same bytes whatever their number.

    Raises:
        InputError: volumes smaller than one cube, or shapes that differ.
    """
    meter, workers = CorrelationMeter(voxel_size_nm), workers or Workers()
    for cubes in slabs(zip(blocks(prediction, size_px), blocks(truth, size_px), strict=True), SLAB):
        for outcome in workers.run([partial(meter.sums_of, *pair) for pair in cubes]):
            meter.add_sums(outcome())
    return meter.correlation()


def shell_metrics(
    prediction: Iterable[Image],
    truth: Iterable[Image],
    shape: tuple[int, int, int],
    voxel_size_nm: VoxelSize | None,
    workers: Workers | None = None,
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
    curve = shell_correlation(prediction, truth, (z_nm, y_nm, x_nm), size, workers)
    return {"resolution_nm": curve.resolution_nm(), "resolution_half_bit_nm": curve.resolution_nm(curve.half_bit)}


def _next_mask(masks: Iterator[NDArray[np.bool_]], z: int) -> NDArray[np.bool_]:
    mask = next(masks, None)
    if mask is None:
        raise InputError(f"the masks end after {z} slices and the volumes go on; give one mask a slice")
    return mask


shell_figures = shell_metrics  # its name in version 0.1
