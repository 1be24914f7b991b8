"""A predicted slice, and the unit that grows from slices: its voxels, and what its mark keeps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from txm2sem_core.geometry import Mask
from txm2sem_core.inference.outputs import Answer
from txm2sem_core.inference.streaming import SliceOfUnit
from txm2sem_core.intensity.histograms import Histogram, thinned
from txm2sem_core.io.units import Unit

_NOT_A_NUMBER = "NaN"  # in JSON and in a TIFF's tag, where a value would stand


class _Digest(Protocol):
    def update(self, data: Any, /) -> object:
        """Of `hashlib`."""


@dataclass(frozen=True)
class AnsweredSlice:
    """A predicted slice and what it is of."""

    unit: Unit
    z: int
    txm: np.ndarray  # [Y, X], the slice itself
    measured: Mask | None  # [Y, X], where; None: everywhere
    histogram: Histogram  # of what was measured
    voxels: np.ndarray  # [Y, X], or [C, Y, X] with channels
    clipped: int


def answer_slice(answer: Answer, slice_: SliceOfUnit) -> AnsweredSlice:
    """Predict a slice; where nothing was measured, nothing is predicted.

    What was measured gets no voxel of the value that stands for the outside: such ones are raised by one grey level.
    Not in a slice of which all was measured, which the volume states: there any value is a grey level.
    """
    unit, z, txm, mask = slice_
    predictor = answer.predictor
    predictor.start_slice(z)
    seen = np.ascontiguousarray(txm[predictor.context])
    known = thinned(seen) if mask is None else thinned(seen)[thinned(mask)]
    histogram = Histogram.of_pixels(predictor.txm_range.to_unit(known))
    if mask is None:
        return AnsweredSlice(unit, z, seen, None, histogram, *answer.plane(txm))
    outside = outside_value(predictor.sem_dtype, predictor.least_is_a_class)
    if not mask.any():
        shape = [n * predictor.factor for n in seen.shape]
        several = len(answer.channels)
        voxels, clipped = np.zeros([several, *shape] if several else shape, dtype=predictor.sem_dtype), 0
    else:
        voxels, clipped = answer.plane(txm)
    fine = mask.repeat(predictor.factor, axis=0).repeat(predictor.factor, axis=1)
    prediction = voxels[0] if answer.channels else voxels
    if predictor.sem_dtype.kind in "iu" and not predictor.least_is_a_class:
        prediction[fine & (prediction == outside)] += 1
    prediction[~fine] = outside
    if answer.channels:
        voxels[1:, ~fine] = 0 if predictor.sem_dtype.kind in "iu" else np.nan
    return AnsweredSlice(unit, z, seen, mask, histogram, voxels, clipped)


def outside_value(dtype: np.dtype, least_is_a_class: bool) -> float:
    """The value in a predicted volume where nothing was measured.

    The least value of whole numbers, 0 of those without sign; the greatest where numbers are of classes; else NaN.
    """
    if dtype.kind not in "iu":
        return float("nan")
    return int(np.iinfo(dtype).max if least_is_a_class else np.iinfo(dtype).min)


def stated_outside(dtype: np.dtype, least_is_a_class: bool) -> int | str:
    """The same as it stands in a mark."""
    value = outside_value(dtype, least_is_a_class)
    return int(value) if value == value else _NOT_A_NUMBER


def add_content(digest: _Digest, plane: np.ndarray, mask: Mask | None) -> None:
    """Add a slice [Y, X] of the input, and where it was measured, to a digest."""
    digest.update(np.ascontiguousarray(plane).data)
    if mask is not None:
        digest.update(np.packbits(mask).data)


class GrowingUnit:
    """A unit to which slices are added in order."""

    def __init__(self, unit: Unit, voxels: np.ndarray) -> None:
        """With room for its voxels, [Z, Y, X] or [C, Z, Y, X]."""
        self.unit, self.voxels = unit, voxels
        self._clipped, self._histogram, self._content = 0, Histogram.empty(), hashlib.sha256()
        self._unmeasured = 0
        self._whole: list[int] = []

    def add(self, slice_: AnsweredSlice) -> None:
        """The next slice."""
        self.voxels[..., slice_.z - self.unit.z0, :, :] = slice_.voxels
        self._clipped += slice_.clipped
        self._histogram += slice_.histogram
        add_content(self._content, slice_.txm, slice_.measured)
        if slice_.measured is None:
            self._whole.append(slice_.z)
        else:
            self._unmeasured += int(np.count_nonzero(~slice_.measured))

    def notes(self) -> dict[str, Any]:
        """What its mark keeps; `unmeasured` in voxels of the TXM volume, `whole`: slices of which all was measured."""
        return {
            "clipped": self._clipped,
            "histogram": self._histogram.as_text(),
            "input_sha256": self._content.hexdigest(),
            "unmeasured": self._unmeasured,
            "whole": self._whole,
        }
