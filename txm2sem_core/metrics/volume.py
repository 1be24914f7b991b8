"""A predicted volume against the true one, slice by slice, so that neither needs to fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.continuity import ContinuityMeter, paired_slices
from txm2sem_core.metrics.frequency import BLOCK_PX, Correlation, CorrelationMeter, blocks
from txm2sem_core.metrics.image import check_pair, mae, mean_similarity, mse, psnr_from_mse
from txm2sem_core.metrics.neighbours import NeighbourMeter, VoxelSize
from txm2sem_core.metrics.rock import Segmenter, confusion, dice_from_confusion
from txm2sem_core.metrics.structure import HistogramMeter, gmsd, mean_structure, multi_scale_similarity
from txm2sem_core.metrics.two_point import TwoPointMeter, two_point_errors
from txm2sem_core.metrics.windows import WindowPair

Image = NDArray[np.generic]
SMALLEST_CUBE_PX = 16  # of a shell correlation: eight shells
TWO_POINT_LAG_PX = 16  # half a micrometre at 32 nm; most pores of a shale are smaller


@dataclass
class _Sums:
    """What is carried from slice to slice."""

    slices: int = 0
    pixels: int = 0
    squared_error: float = 0.0
    absolute_error: float = 0.0
    similarity: float = 0.0
    multi_scale: float = 0.0
    structure: float = 0.0
    gradients: float = 0.0


def compare_volumes(
    prediction: Iterable[Image],
    truth: Iterable[Image],
    data_range: float,
    segmenter: Segmenter | None = None,
    masks: Iterable[NDArray[np.bool_]] | None = None,
    neighbours: tuple[NeighbourMeter, NeighbourMeter] | None = None,
) -> dict[str, float]:
    """Figures of a predicted volume against the truth, in one pass that holds a slab of slices.

    At most 32 slices of each are held, for the spectra along z; 16 of the darkest phase, for its two-point probability.

    Args:
        prediction: slices `[Y, X]` in the order of z, or an array `[Z, Y, X]`.
        truth: as many slices of the same shape and in the same grey levels.
        data_range: greatest minus least possible grey level.
        segmenter: parts the phases of both; fit it once, on pixels of the truth.
        masks: boolean slices, True where a pixel counts. Slices of which none does are passed over, and what needs
            whole slices is left out: the figures of `Neighbours`, and the two-point probability.
        neighbours: new meters of the prediction and of the truth, where the slice distance is not the pixel's size, the
            volume is small, or the caller wants their spectra.

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
    sums = _Sums()
    meter, histogram = ContinuityMeter(data_range), HistogramMeter(data_range)
    fit = neighbours or (NeighbourMeter(data_range), NeighbourMeter(data_range))
    phases = 0 if segmenter is None else segmenter.phases
    counts = np.zeros((phases, phases), dtype=np.int64)
    mask_slices = None if masks is None else iter(masks)
    darkest: tuple[TwoPointMeter, TwoPointMeter] | None = None
    for z, (predicted, measured) in enumerate(paired_slices(prediction, truth)):
        mask = None if mask_slices is None else _next_mask(mask_slices, z)
        meter.add(predicted, measured, mask)
        if mask is not None and not mask.any():
            continue
        pair = WindowPair.of(*check_pair(predicted, measured))
        _add_slice(sums, pair, data_range, mask)
        histogram.add(predicted, measured, mask)
        if mask is None:
            for fit_of_volume, windows in zip(fit, (pair.first, pair.second), strict=True):
                fit_of_volume.add_windows(windows)
        if segmenter is not None:
            labels = segmenter(predicted), segmenter(measured)
            counts += confusion(*labels, phases, mask)
            if mask is not None:
                continue
            lag = min(TWO_POINT_LAG_PX, *(n - 1 for n in predicted.shape))
            darkest = darkest or (TwoPointMeter(lag), TwoPointMeter(lag))
            for meter_of_phase, label in zip(darkest, labels, strict=True):
                meter_of_phase.add(label == 0)
    if sums.slices == 0:
        raise InputError("the volumes to compare hold no slice, or the masks leave no pixel of them")
    figures = {
        "slices": float(sums.slices),
        "psnr": psnr_from_mse(sums.squared_error / sums.pixels, data_range),
        "ssim": sums.similarity / sums.slices,
        "mae": sums.absolute_error / sums.pixels,
        "ms_ssim": sums.multi_scale / sums.slices,
        "structure": sums.structure / sums.slices,
        "gmsd": sums.gradients / sums.slices,
        "histogram_distance": histogram.result(),
    }
    if meter.pixels:
        continuity = meter.result()
        figures |= {
            "continuity_ratio": continuity.ratio,
            "continuity_error": continuity.error,
            "continuity_explained": continuity.explained,
        }
        if masks is None:
            figures |= fit[0].result().figures() | fit[1].result().figures("_truth")
    if segmenter is not None:
        figures |= _phase_figures(counts)
    if darkest is not None:
        figures |= two_point_errors(darkest[0].result(), darkest[1].result())
    return figures


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


def _add_slice(sums: _Sums, pair: WindowPair, data_range: float, mask: NDArray[np.bool_] | None) -> None:
    predicted, measured = pair.first.image, pair.second.image
    pixels = predicted.size if mask is None else int(np.count_nonzero(mask))
    sums.slices += 1
    sums.pixels += pixels
    sums.squared_error += mse(predicted, measured, mask) * pixels
    sums.absolute_error += mae(predicted, measured, data_range, mask) * pixels
    sums.similarity += mean_similarity(pair, data_range, mask)
    sums.multi_scale += multi_scale_similarity(pair, data_range, mask)
    sums.structure += mean_structure(pair, data_range, mask)
    sums.gradients += gmsd(predicted, measured, data_range, mask)


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
