"""Predicted slices, and the unit of a volume that is put together from them, with what its mark records."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from txm2sem_core.geometry import Mask
from txm2sem_core.inference.input_checks import histogram_key
from txm2sem_core.inference.outputs import VolumeOutput
from txm2sem_core.inference.streaming import SliceOfUnit
from txm2sem_core.intensity.histograms import Histogram, thinned
from txm2sem_core.io.units import Unit

_NOT_A_NUMBER = "NaN"  # in JSON and in a TIFF's tag, where a value would stand


class _Digest(Protocol):
    def update(self, data: Any, /) -> object:
        """Of `hashlib`."""


@dataclass(frozen=True)
class PredictedSlice:
    """A predicted slice with its input."""

    unit: Unit
    z: int
    txm: np.ndarray  # [E, Y, X], the slice itself in each of E scans
    measured: Mask | None  # [Y, X], where the TXM was measured; None: everywhere
    histograms: tuple[Histogram, ...]  # of the measured pixels, of each scan
    voxels: np.ndarray  # [Y, X], or [C, Y, X] with channels
    clipped: int


def predict_slice(output: VolumeOutput, slice_: SliceOfUnit) -> PredictedSlice:
    """Predict a slice by itself; where nothing was measured, nothing is predicted."""
    output.predictor.start_slice(slice_.z)
    measured = slice_.mask is None or slice_.mask.any()
    return finished_slice(output, slice_, output.predictor.predict_plane(slice_.txm, slice_.z) if measured else None)


def finished_slice(output: VolumeOutput, slice_: SliceOfUnit, predicted: Any) -> PredictedSlice:
    """A slice as it is stored, by what the predictor made of it; None where nothing of it was measured.

    Where the slice was measured, a predicted voxel never has the value that marks the unmeasured ones: it is raised by
    one grey level. A slice that was measured everywhere keeps its values, since the volume's metadata list such slices.
    """
    unit, z, txm, mask = slice_
    predictor = output.predictor
    seen = np.ascontiguousarray(txm[predictor.context :: 2 * predictor.context + 1])
    known = [thinned(plane) if mask is None else thinned(plane)[thinned(mask)] for plane in seen]
    learnt = predictor.learnt_scans
    histograms = tuple(
        Histogram.of_pixels(scan.range.to_unit(pixels)) for scan, pixels in zip(learnt, known, strict=True)
    )
    if mask is None:
        return PredictedSlice(unit, z, seen, None, histograms, *output.stored(predicted))
    outside = outside_value(predictor.sem_dtype, predictor.predicts_classes)
    if predicted is None:
        shape = [n * predictor.factor for n in seen.shape[1:]]
        channels = len(output.channels)
        voxels, clipped = np.zeros([channels, *shape] if channels else shape, dtype=predictor.sem_dtype), 0
    else:
        voxels, clipped = output.stored(predicted)
    fine = mask.repeat(predictor.factor, axis=0).repeat(predictor.factor, axis=1)
    prediction = voxels[0] if output.channels else voxels
    if predictor.sem_dtype.kind in "iu" and not predictor.predicts_classes:
        prediction[fine & (prediction == outside)] += 1
    prediction[~fine] = outside
    if output.channels:
        voxels[1:, ~fine] = 0 if predictor.sem_dtype.kind in "iu" else np.nan
    return PredictedSlice(unit, z, seen, mask, histograms, voxels, clipped)


def outside_value(dtype: np.dtype, predicts_classes: bool) -> float:
    """The value in a predicted volume where nothing was measured.

    The least value of an integer type; its greatest where the model predicts classes; NaN of floats.
    """
    if dtype.kind not in "iu":
        return float("nan")
    return int(np.iinfo(dtype).max if predicts_classes else np.iinfo(dtype).min)


def recorded_outside(dtype: np.dtype, predicts_classes: bool) -> int | str:
    """`outside_value` as metadata record it."""
    value = outside_value(dtype, predicts_classes)
    return int(value) if value == value else _NOT_A_NUMBER


def add_content(digest: _Digest, planes: np.ndarray, mask: Mask | None) -> None:
    """Add a slice of the input, [E, Y, X] of E scans, and its mask to a digest."""
    digest.update(np.ascontiguousarray(planes).data)
    if mask is not None:
        digest.update(np.packbits(mask).data)


class UnitBuilder:
    """Puts a unit together from its slices, which are added in order."""

    def __init__(self, unit: Unit, voxels: np.ndarray) -> None:
        """Begin a unit; `voxels` is an array for its result, [Z, Y, X] or [C, Z, Y, X]."""
        self.unit, self.voxels = unit, voxels
        self._clipped, self._content = 0, hashlib.sha256()
        self._histograms: list[Histogram] = []
        self._unmeasured = 0
        self._whole: list[int] = []

    def add(self, slice_: PredictedSlice) -> None:
        """Add the next slice."""
        self.voxels[..., slice_.z - self.unit.z0, :, :] = slice_.voxels
        self._clipped += slice_.clipped
        before = self._histograms or [Histogram.empty()] * len(slice_.histograms)
        self._histograms = [one + other for one, other in zip(before, slice_.histograms, strict=True)]
        add_content(self._content, slice_.txm, slice_.measured)
        if slice_.measured is None:
            self._whole.append(slice_.z)
        else:
            self._unmeasured += int(np.count_nonzero(~slice_.measured))

    def notes(self) -> dict[str, Any]:
        """What its mark records; `unmeasured`: voxels of the TXM volume; `whole`: slices measured everywhere."""
        return {
            "clipped": self._clipped,
            **{histogram_key(scan): each.as_text() for scan, each in enumerate(self._histograms, start=1)},
            "input_sha256": self._content.hexdigest(),
            "unmeasured": self._unmeasured,
            "whole": self._whole,
        }
