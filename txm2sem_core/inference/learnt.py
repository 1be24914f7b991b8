"""What a model has learnt of each scan of the rock: the intensities, with which those of an input are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from txm2sem_core.intensity import IntensityRange, TrainingDistribution


@dataclass(frozen=True)
class LearntScan:
    """Of one scan.

    Attributes:
        range: what the training mapped to [-1, 1].
        distribution: of the training slices; None where the model does not say.
        dtype: of the training slices; None where they were prepared, or the model does not say.
    """

    range: IntensityRange
    distribution: TrainingDistribution | None
    dtype: np.dtype | None

    @classmethod
    def first(cls, own_range: IntensityRange, description: Mapping[str, Any]) -> LearntScan:
        """Of the first scan, or of the FIB-SEM slices where these are predicted from, by `model.json`."""
        known, dtype = (description.get("histograms") or {}).get("txm"), description.get("txm_dtype")
        distribution = None if known is None else TrainingDistribution.from_dict(known)
        return cls(own_range, distribution, None if dtype is None else np.dtype(dtype))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LearntScan:
        """Of an entry of `further_scans` in `model.json`."""
        dtype = values.get("dtype")
        distribution = TrainingDistribution.from_dict(values["histogram"])
        return cls(IntensityRange(**values["range"]), distribution, None if dtype is None else np.dtype(dtype))
