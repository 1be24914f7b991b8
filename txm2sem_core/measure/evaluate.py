"""`txm2sem evaluate`: all metrics of two images or two volumes, as JSON and as a readable table."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.catalogue.metrics import meaning_of
from txm2sem_core.errors import InputError
from txm2sem_core.intensity import DataRangeFit
from txm2sem_core.io.voxel_sizes import differing_axes
from txm2sem_core.measure.compared import Compared
from txm2sem_core.measure.evaluate_rock import INTERVALS, RockOptions, check_others, intervals_text, rock_of
from txm2sem_core.metrics import (
    NeighbourMeter,
    ThresholdFit,
    Thresholds,
    compare_volumes,
    fit_thresholds,
    fourier_correlation,
    self_continuity,
    shell_metrics,
)
from txm2sem_core.metrics.gaps import NOT_MEASURED, Gaps, reasons_text, with_gaps
from txm2sem_core.metrics.lags import plane_step
from txm2sem_core.metrics.scores import SCORES, ImagePair

Metrics = dict[str, float]

# What else the result holds, for its table.
DESCRIBED = {
    "voxel_size_nm": "along z, y, x, for all metrics with a unit, nm",
    "counted_share": "share of the pixels that count under the mask",
    "measured_share": "share of the voxels that were measured",
    "thresholds": "grey levels that part the phases, of the truth: a level above one is of the next phase",
    "threshold_range": "grey levels that they were fitted on",
    "pixels_outside_range": "pixels of the truth beyond those, or not finite",
}

UNMASKED = (
    "resolution, neighbours and continuity of each volume by itself, connection, surface, Euler number, chords, pore "
    "sizes and flow need whole volumes and are left out. To have them, crop the files to a block that counts wholly."
)


MEASURED = RockOptions()


def evaluate_files(
    prediction: Path,
    target: Path,
    mask: Path | None,
    full_range: float | None,
    output: Path,
    voxel_size_nm: tuple[float, float, float] | None = None,
    rock: RockOptions = MEASURED,
    *,
    overwrite: bool = True,
) -> dict[str, Any]:
    """Metrics of a predicted image or volume against a measured one, written as JSON to `output` and returned.

    Volumes are read slice by slice, several times over, and at most a slab of 64 slices of each is held. Parts that
    were not measured in the target, or not predicted, count nowhere (see `field_of_view`); metrics that need whole
    volumes are of the largest measured box.

    Args:
        prediction: image, or volume.
        target: of the same shape.
        mask: of the same shape, or one image for all slices; what is 0 in it counts nowhere (`metrics.masks`). Under a
            mask that leaves pixels out the metrics that need whole volumes are not given, which a warning names.
        full_range: greatest minus least possible grey level; None for 8-bit data.
        output: JSON.
        voxel_size_nm: along z, y, x; None for what the files state. Without one there is no resolution and no metric
            of the rock with a unit, and voxels are taken as cubes.
        rock: how the rock is measured.
        overwrite: an earlier result of ours may be replaced.

    Raises:
        InputError: the output is an input or something of the user's (see `io.check_output`), shapes differ, a file
            cannot be read, nothing can be compared, the data range of data that is not 8-bit is not given, or the files
            state voxel sizes that differ and none is given. A measure that fails costs no other: `not_measured` says
            why.
    """
    io.check_output([prediction, target, mask, *rock.samples, *rock.others], files=[output])
    predicted, measured = io.open_volume(prediction), io.open_volume(target)
    if predicted.shape != measured.shape:
        raise InputError(
            f"{prediction}: shape {predicted.shape} (Z, Y, X), but {target} has {measured.shape}. Crop one of them."
        )
    check_others([*rock.samples, *rock.others], predicted)
    if full_range is None and measured.dtype != np.uint8:
        raise InputError(f"{target}: {measured.dtype} data has no range of its own. Give --data-range.")
    full = 255.0 if full_range is None else full_range
    size = voxel_size_nm or _stated_size(predicted, measured)
    under = Compared.of(predicted, measured, io.with_mask(measured, mask).mask)
    _warn_of_levels(under, full)
    result: dict[str, Any] = {"data_range": full, "shape": list(measured.shape), **under.seen.metrics()}
    if size is not None:
        result["voxel_size_nm"] = list(size)
    if not under.seen.is_whole:
        warnings.warn(f"{measured.source}: {under.seen.remark()}", stacklevel=2)
    if under.share < 1:
        result["counted_share"] = under.share
        if under.mask is not None and measured.shape[0] > 1:
            warnings.warn(f"{mask}: {UNMASKED}", stacklevel=2)
    gaps, metrics_of = Gaps("evaluate"), _image_metrics if measured.shape[0] == 1 else _volume_metrics
    result |= metrics_of(under, full, size, gaps)
    if result.get("mae") == 0:
        warnings.warn(
            f"{prediction} and {target} hold the same grey levels wherever they count: this compares an image with "
            "itself, or with what it was made from.",
            stacklevel=2,
        )
    levels = rock.thresholds
    if rock.phases and not levels and (fit := _fitted(under, rock.phases, gaps)) is not None:
        levels = fit.levels
        result["threshold_range"] = [fit.low, fit.high]
        result["pixels_outside_range"] = fit.outside
    if levels:
        result["thresholds"] = list(levels)
        with gaps.of("rock"):
            result |= rock_of(under, Thresholds(levels), size, rock, gaps)
        if rock.thresholds and any(result.get(f"fraction_{phase}_truth") == 1 for phase in range(len(levels) + 1)):
            warnings.warn(
                f"the thresholds {', '.join(f'{level:g}' for level in levels)} separate nothing: all that counts of "
                f"{measured.source} is of one phase. Give --threshold in its grey levels.",
                stacklevel=2,
            )
    result = with_gaps(result, gaps) | io.MARK
    finite = {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in result.items()}
    io.write_json(output, finite, overwrite=overwrite)
    return result


def _warn_of_levels(under: Compared, full: float) -> None:
    """Warn of grey levels in the middle slices that scores cannot be taken of: of two kinds, or not of the range."""
    predicted, measured = under.predicted, under.measured
    z = measured.shape[0] // 2
    own, true = (volume.read(z, z + 1)[0] for volume in (predicted, measured))
    if own.dtype.kind in "iu" and true.dtype.kind in "iu" and own.dtype != true.dtype:
        warnings.warn(
            f"{predicted.source} is {own.dtype} and {measured.source} {true.dtype}: scores mean something only where "
            "both hold the same grey levels. Export both with the same bit depth.",
            stacklevel=3,
        )
    counts = slice(None) if under.mask is None else io.not_zero(under.mask.read(z, z + 1)[0])
    own, true = own[counts], true[counts]
    if not true.size:
        return
    for image, source in ((own, predicted.source), (true, measured.source)):
        known = image[np.isfinite(image)]
        if known.size and known.min() == known.max():
            warnings.warn(
                f"{source}: slice z = {z} has one grey level, {known.flat[0]:g}: scores say nothing of structures "
                "there. Look whether this is the right file, or whether a network has died.",
                stacklevel=3,
            )
    fit = DataRangeFit.of(true, full)
    if fit.is_too_small:
        warnings.warn(
            f"{measured.source}: nine tenths of slice z = {z} lie between {fit.low:g} and {fit.high:g}, which the "
            f"data range of {full:g} does not hold: scores are too low. Give --data-range.",
            stacklevel=3,
        )
    elif fit.is_far_too_wide:
        warnings.warn(
            f"{measured.source}: slice z = {z} holds grey levels from {fit.least:g} to {fit.greatest:g}, and scores "
            f"refer to a data range of {full:g}: PSNR is {fit.psnr_excess_db:.0f} dB higher than by their own. "
            f"Give --data-range {fit.span:g}, or images with their full range.",
            stacklevel=3,
        )


def _stated_size(predicted: io.Volume, measured: io.Volume) -> io.VoxelSize | None:
    """The voxel size of the target's file, or else the prediction's; InputError where they differ."""
    own, true = predicted.voxel_size_nm, measured.voxel_size_nm
    if own is None or true is None:
        return true or own
    if differing := differing_axes(own, true):
        raise InputError(
            f"{predicted.source} and {measured.source} state voxel sizes that differ (along "
            f"{'; along '.join(differing)}), so that lengths, surfaces and permeabilities of one would be wrong. Give "
            "the right one by --voxel-size-nm Z Y X, or resample one of the files."
        )
    z_nm, y_nm, x_nm = (there or here for here, there in zip(own, true, strict=True))
    return (z_nm, y_nm, x_nm)


def _fitted(under: Compared, phases: int, gaps: Gaps) -> ThresholdFit | None:
    """Thresholds of the target; none where it has fewer grey levels than phases."""
    try:
        fit = fit_thresholds(under.true_levels, phases)
    except InputError as error:
        warnings.warn(f"no metrics of the rock: {under.measured.source}: {error}", stacklevel=3)
        gaps.reasons["rock"] = str(error)
        return None
    if fit.remark:
        warnings.warn(f"{under.measured.source}: {fit.remark}.", stacklevel=3)
    return fit


def readable(result: dict[str, Any]) -> str:
    """The result as a table: name, value, value of the truth where there is one, and meaning."""
    lines = [("", "prediction", "truth", "")]
    for key, value in result.items():
        if not key.endswith("_truth") and key not in (*io.MARK, NOT_MEASURED, INTERVALS):
            truth = result.get(f"{key}_truth", "")
            lines.append((key, _text(value), _text(truth), DESCRIBED.get(key) or meaning_of(key)))
    if all(line[2] == "" for line in lines[1:]):
        lines = [(key, value, "", meaning) for key, value, _, meaning in lines[1:]]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0], strict=True)) for line in lines)
    failed = [f"Not measured: {reasons_text(result[NOT_MEASURED])}"] if NOT_MEASURED in result else []
    return "\n".join([*(line.rstrip() for line in padded), *intervals_text(result.get(INTERVALS, {})), *failed])


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _image_metrics(under: Compared, full: float, size: io.VoxelSize | None, gaps: Gaps) -> Metrics:
    own, true, mask = next(under.each())
    pair, metrics = ImagePair(own, true, full, mask), Metrics()
    for name, score in SCORES.items():
        with gaps.of(name):
            metrics[name] = score(pair)
    if size is not None and size[1] and size[2]:
        with gaps.of("resolution"):
            curve = fourier_correlation(*pair.given, (size[1], size[2]), mask)
            metrics["resolution_nm"] = curve.resolution_nm()
            metrics["resolution_half_bit_nm"] = curve.resolution_nm(curve.half_bit)
    return metrics


def _volume_metrics(under: Compared, full: float, size: io.VoxelSize | None, gaps: Gaps) -> Metrics:
    """Of all that counts; what needs whole slices, of the box that was measured, unless a mask was given."""
    own_slices, true_slices, masks = under.apart()
    if under.mask is not None:
        return compare_volumes(own_slices, true_slices, full, masks=masks, gaps=gaps)
    predicted, measured, shape = under.seen.boxed(0), under.seen.boxed(1), under.seen.box.shape
    meters = (NeighbourMeter.of_volume(shape, size, full), NeighbourMeter.of_volume(shape, size, full))
    metrics = compare_volumes(predicted.slices(), measured.slices(), full, neighbours=meters, gaps=gaps)
    if masks is not None:
        metrics |= compare_volumes(own_slices, true_slices, full, masks=masks, gaps=gaps)
    with gaps.of("resolution"):
        metrics |= shell_metrics(predicted.slices(), measured.slices(), shape, size)
    for suffix, volume in (("", predicted), ("_truth", measured)):
        try:
            own = self_continuity(volume.slices(), plane_step(size))
        except InputError:  # a constant volume, or one too small, of which it says nothing
            continue
        metrics[f"self_continuity_ratio{suffix}"] = own.ratio
        metrics[f"self_continuity_correlation_z{suffix}"] = own.correlation_z
        metrics[f"self_continuity_correlation_plane{suffix}"] = own.correlation_plane
    return metrics
