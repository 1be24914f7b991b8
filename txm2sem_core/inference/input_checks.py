"""What makes a prediction doubtful: before it is made, and by the histogram of all that was read for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.inference.ensemble import EnsemblePredictor
from txm2sem_core.inference.learnt import LearntScan
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.intensity import IntensityRange
from txm2sem_core.intensity.histograms import Histogram, TrainingDistribution
from txm2sem_core.io.field_of_view import FieldOfView, sampled_slices
from txm2sem_core.io.voxel_sizes import UNKNOWN, differing_axes

_FAR_BEYOND = 1.2  # in units where the training intensities span -1 to 1
TOLERATED_SHARE = 0.05
_SIZE_TOLERANCE = 0.05  # of a voxel's size; less is how well instruments are calibrated
_UNIT_SHARE = 0.1  # of a volume's parts that may differ, as ends of a sample do


def check_scans(predictor: Predictor | EnsemblePredictor, source: io.Volume) -> None:
    """Raise `InputError` unless a volume has as many scans as a model predicts from."""
    needed, given = predictor.scans, len(source.scans)
    if needed == given:
        return
    shown = ", ".join(scan.source for scan in source.scans)
    remedy = (
        "Give the others by --further, in the order of the sample table (from Python: `further`, or an array [E, Z, Y, "
        "X])."
        if given < needed
        else "Leave the further ones out, or give a model that was trained on as many."
    )
    raise InputError(
        f"the model predicts from {needed} TXM scan{'s' * (needed > 1)} of the rock, and {given} "
        f"{'are' if given > 1 else 'is'} given ({shown}). {remedy}"
    )


def input_warnings(
    predictor: Predictor | EnsemblePredictor, field: FieldOfView, voxel_size_nm: io.VoxelSize
) -> list[str]:
    """Intensities that the model never saw, an unknown voxel size, a setting that is not used.

    Intensities are those that were measured of the middle slice; some noise beyond the training images' range is no
    reason to warn.
    """
    warnings, source = predictor.warnings, field.volume
    for scan, learnt in zip(field.scans, predictor.learnt_scans, strict=True):
        warnings += _intensity_warnings(predictor, scan, learnt)
    for other in source.further:
        if differing := differing_axes(source.voxel_size_nm or UNKNOWN, other.voxel_size_nm or UNKNOWN):
            warnings.append(
                f"{source.source} and {other.source} state voxel sizes that differ (along "
                f"{'; along '.join(differing)}), though scans must lie on one grid; that of the first is taken."
            )
    if source.voxel_size_nm is not None and (differing := differing_axes(voxel_size_nm, source.voxel_size_nm)):
        warnings.append(
            f"the given voxel size is taken, but the file {source.source} says another (given, and in the file, "
            f"{'; '.join(differing)})."
        )
    unknown = [axis for axis, size in zip("zyx", voxel_size_nm, strict=True) if size is None]
    if unknown:
        warnings.append(
            f"the voxel size along {', '.join(unknown)} is not known and is not written. Give --voxel-size-nm Z Y X."
        )
    return warnings + size_warnings(predictor, source.source, voxel_size_nm)


def _intensity_warnings(predictor: Predictor | EnsemblePredictor, field: FieldOfView, learnt: LearntScan) -> list[str]:
    """Channels that are not read, and intensities of one scan that the model never saw."""
    source = field.volume
    several = f"{source.source} has {source.channels} channels; the first is taken for the TXM volume."
    warnings = [several] if source.channels > 1 else []
    positions = sampled_slices(source)
    z = positions[len(positions) // 2]
    plane = source.read(z, z + 1)[0]
    mask = field.of(plane, z)
    prepared = predictor.preparation.apply(field.filled(plane, mask))
    beyond = share_far_beyond(prepared if mask is None else prepared[mask], learnt.range)
    if beyond > TOLERATED_SHARE:
        low, high = learnt.range.low, learnt.range.high
        warnings.append(
            f"{beyond:.0%} of slice z = {z} of {source.source} lie far outside the TXM intensities that the model was "
            f"trained on ({low:g} to {high:g}); the prediction there means nothing. Give a volume of the same bit "
            "depth and scale as the training slices."
        )
    return warnings


def share_far_beyond(pixels: np.ndarray, trained: IntensityRange) -> float:
    """Share of pixels with intensities that a training in this range never came near; 0 where there are no pixels."""
    return float(np.mean(np.abs(trained.to_unit(pixels)) > _FAR_BEYOND)) if pixels.size else 0.0


def size_warnings(predictor: Predictor | EnsemblePredictor, source: str, voxel_size_nm: io.VoxelSize) -> list[str]:
    """Voxels of another size than the training slices': along z only where the network has a context."""
    trained = predictor.description.get("voxel_size_nm") or (None, None, None)
    factors = (1, predictor.factor, predictor.factor)  # recorded is that of the SEM, which is the finer one
    differing = [
        f"{axis} {here:g} nm, in training {there * factor:g} nm"
        for axis, here, there, factor in zip("zyx", voxel_size_nm, trained, factors, strict=True)
        if here and there and (axis != "z" or predictor.context)
        if abs(here / (there * factor) - 1) > _SIZE_TOLERANCE
    ]
    if not differing:
        return []
    return [
        f"the voxel size of {source} is not that of the training slices ({'; '.join(differing)}): the network "
        "sees structures larger or smaller than it has learnt. Resample the volume, or give --voxel-size-nm if its "
        "metadata are wrong."
    ]


def histogram_key(scan: int) -> str:
    """The key of a scan's histogram, from 1 on, in the notes on a unit."""
    return "histogram" if scan == 1 else f"histogram_{scan}"


def histogram_warnings(
    trained: TrainingDistribution | None, marks: Mapping[str, Mapping[str, Any]], source: str, scan: int = 1
) -> list[str]:
    """Whether the TXM volume's histogram is that of the training slices (see `intensity.TrainingDistribution`).

    Args:
        trained: of the training slices, or None where the model does not say.
        marks: of all units of the volume, each with its `histogram`.
        source: the volume's name.
        scan: which of several it is, from 1 on.
    """
    if trained is None or not marks:
        return []
    each = [Histogram.from_text(str(mark[histogram_key(scan)])) for mark in marks.values()]
    whole = trained.distance(sum(each, Histogram.empty()))
    beyond = sum(trained.distance(one) > trained.limit for one in each) / len(each)
    if whole <= trained.limit and beyond <= _UNIT_SHARE:
        return []
    return [
        f"the histogram of {source} is not that of the training TXM slices: they lie {whole:.2f} apart (Wasserstein "
        f"distance, the training intensities span -1 to 1), at most {trained.limit:.2f} is expected, and {beyond:.0%} "
        "of the volume's parts differ by more. The model has not learnt such images: compare the exposure, the "
        "reconstruction's scaling and the rock, and crop what is no sample."
    ]
