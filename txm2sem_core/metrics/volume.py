"""A predicted volume against the true one, slice by slice, so that neither needs to fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.continuity import ContinuityMeter, paired_slices
from txm2sem_core.metrics.image import mae, mse, psnr_from_mse, ssim
from txm2sem_core.metrics.rock import confusion, dice_from_confusion, segment
from txm2sem_core.metrics.two_point import TwoPointMeter, two_point_errors

Image = NDArray[np.generic]
TWO_POINT_LAG_PX = 16  # half a micrometre at 32 nm; most pores of a shale are smaller


@dataclass
class _Sums:
    """What is carried from slice to slice."""

    slices: int = 0
    pixels: int = 0
    squared_error: float = 0.0
    absolute_error: float = 0.0
    similarity: float = 0.0


def compare_volumes(
    prediction: Iterable[Image],
    truth: Iterable[Image],
    data_range: float,
    thresholds: tuple[float, ...] | None = None,
    masks: Iterable[NDArray[np.bool_]] | None = None,
) -> dict[str, float]:
    """Figures of a predicted volume against the truth, in one pass that holds two slices of each.

    Args:
        prediction: slices `[Y, X]` in the order of z, or an array `[Z, Y, X]`.
        truth: as many slices of the same shape and in the same grey levels.
        data_range: greatest minus least possible grey level.
        thresholds: grey levels that part the phases, from `rock.multi_otsu_thresholds` on pixels of the truth.
        masks: boolean slices, True where a pixel counts, for the image and phase figures; the continuity is taken over
            all pixels.

    Returns:
        `slices`; `psnr` (dB, of the whole volume's mean squared error), `ssim` (mean over slices), `mae` (share of
        `data_range`); with two slices or more `continuity_ratio`, `continuity_error` and `continuity_explained` (see
        `Continuity`). With thresholds, for every phase `p` from the darkest: `fraction_{p}` (prediction),
        `fraction_{p}_truth`, `fraction_{p}_error` (prediction minus truth) and `dice_{p}` (NaN if neither has it).
        Phase 0 is the darkest: pores, and organic matter where the thresholds do not part it from them. Of phase 0,
        over all pixels, `two_point_error_z`, `_y` and `_x`: the mean absolute difference of the two-point probabilities
        over distances of 1 to 16 pixels (fewer in a smaller volume).

    Raises:
        InputError: no slices, numbers or shapes of slices that differ, values that are not finite.
    """
    sums = _Sums()
    meter = ContinuityMeter(data_range)
    phases = 0 if thresholds is None else len(thresholds) + 1
    counts = np.zeros((phases, phases), dtype=np.int64)
    mask_slices = None if masks is None else iter(masks)
    darkest: tuple[TwoPointMeter, TwoPointMeter] | None = None
    for predicted, measured in paired_slices(prediction, truth):
        mask = None if mask_slices is None else _next_mask(mask_slices, sums.slices)
        _add_slice(sums, predicted, measured, data_range, mask)
        meter.add(predicted, measured)
        if thresholds is not None:
            labels = segment(predicted, thresholds), segment(measured, thresholds)
            counts += confusion(*labels, phases, mask)
            lag = min(TWO_POINT_LAG_PX, *(n - 1 for n in predicted.shape))
            darkest = darkest or (TwoPointMeter(lag), TwoPointMeter(lag))
            for meter_of_phase, label in zip(darkest, labels, strict=True):
                meter_of_phase.add(label == 0)
    if sums.slices == 0:
        raise InputError("the volumes to compare hold no slice")
    figures = {
        "slices": float(sums.slices),
        "psnr": psnr_from_mse(sums.squared_error / sums.pixels, data_range),
        "ssim": sums.similarity / sums.slices,
        "mae": sums.absolute_error / sums.pixels,
    }
    if sums.slices > 1:
        continuity = meter.result()
        figures |= {
            "continuity_ratio": continuity.ratio,
            "continuity_error": continuity.error,
            "continuity_explained": continuity.explained,
        }
    if darkest is None:
        return figures
    return figures | _phase_figures(counts) | two_point_errors(darkest[0].result(), darkest[1].result())


def _next_mask(masks: Iterator[NDArray[np.bool_]], z: int) -> NDArray[np.bool_]:
    mask = next(masks, None)
    if mask is None:
        raise InputError(f"the masks end after {z} slices and the volumes go on; give one mask a slice")
    return mask


def _add_slice(
    sums: _Sums, predicted: Image, measured: Image, data_range: float, mask: NDArray[np.bool_] | None
) -> None:
    pixels = predicted.size if mask is None else int(np.count_nonzero(mask))
    sums.slices += 1
    sums.pixels += pixels
    sums.squared_error += mse(predicted, measured, mask) * pixels
    sums.absolute_error += mae(predicted, measured, data_range, mask) * pixels
    sums.similarity += ssim(predicted, measured, data_range, mask)


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
