"""What a predicted volume holds: the prediction alone, or the prediction and its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from txm2sem_core.inference.ensemble import EnsemblePredictor
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.intensity import deviation_to_dtype, to_dtype
from txm2sem_core.io import Channel
from txm2sem_core.metrics import UNCALIBRATED, Calibration

PREDICTION = Channel("prediction")
UNCERTAINTY = Channel("uncertainty", colour="E69F00", shown=False, from_zero=True)
SPREAD = Channel("spread", colour="56B4E9", shown=False, from_zero=True)


class VolumeOutput(Protocol):
    """What is predicted for each slice of a volume, and what its metadata say."""

    @property
    def predictor(self) -> Predictor | EnsemblePredictor:
        """The network, or the networks of an ensemble."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Channels along an axis before z; empty for none."""

    def stored(self, predicted: Any) -> tuple[np.ndarray, int]:
        """[Y, X], or [C, Y, X] with channels, in the SEM's dtype, and how many voxels were clipped to its bounds.

        Args:
            predicted: what the predictor makes of a slice.
        """

    def describe(self) -> dict[str, Any]:
        """All that decides the voxels except the predictor, as JSON values."""

    def attributes(self, warnings: Sequence[str]) -> dict[str, Any]:
        """The metadata of ours in an OME-Zarr."""

    @property
    def warnings(self) -> list[str]:
        """Warnings about the method of prediction."""

    def files(self, target: Path) -> list[Path]:
        """The TIFF files, one for each channel."""


def uncertainty_file(target: Path) -> Path:
    """The file for the uncertainty of the TIFF `target`."""
    return target.with_stem(f"{target.stem}_uncertainty")


class Prediction:
    """The prediction alone, without an axis of channels."""

    channels: tuple[Channel, ...] = ()

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def stored(self, predicted: np.ndarray) -> tuple[np.ndarray, int]:
        """See `VolumeOutput`."""
        return to_dtype(predicted, self.predictor.sem_dtype)

    def describe(self) -> dict[str, Any]:
        """See `VolumeOutput`."""
        return {}

    def attributes(self, warnings: Sequence[str]) -> dict[str, Any]:
        """See `VolumeOutput`."""
        return {"txm2sem": {"warnings": list(warnings)}}

    @property
    def warnings(self) -> list[str]:
        """See `VolumeOutput`."""
        return []

    def files(self, target: Path) -> list[Path]:
        """See `VolumeOutput`."""
        return [target]


class PredictionWithUncertainty:
    """The mean of several predictions, its uncertainty, and with a calibration their standard deviation (`spread`)."""

    def __init__(self, predictor: EnsemblePredictor, calibration: Calibration | None, *, several_files: bool) -> None:
        """With `several_files` the channel `spread` is left out: TIFFs hold the prediction and its uncertainty."""
        self.predictor, self.calibration = predictor, calibration
        shown = (PREDICTION, UNCERTAINTY)
        self.channels = (*shown, SPREAD) if calibration is not None and not several_files else shown

    def stored(self, predicted: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, int]:
        """See `VolumeOutput`."""
        dtype = self.predictor.sem_dtype
        mean, deviation = predicted
        deviations = [deviation] if self.calibration is None else [self.calibration.apply(deviation), deviation]
        kept = deviations[: len(self.channels) - 1]
        stored = [to_dtype(mean, dtype), *(deviation_to_dtype(one, dtype) for one in kept)]
        return np.stack([plane for plane, _ in stored]), sum(clipped for _, clipped in stored)

    def describe(self) -> dict[str, Any]:
        """See `VolumeOutput`."""
        return {
            "channels": [channel.label for channel in self.channels],
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
        }

    def attributes(self, warnings: Sequence[str]) -> dict[str, Any]:
        """See `VolumeOutput`; with how the uncertainty was made."""
        made = {
            **self.predictor.describe(),
            "meaning": "standard deviation in grey levels",
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
        }
        return {"txm2sem": {"warnings": list(warnings), "uncertainty": made}}

    @property
    def warnings(self) -> list[str]:
        """See `VolumeOutput`."""
        if self.calibration != UNCALIBRATED:
            return []
        return [
            "The uncertainty could not be calibrated (calibration.json says why): it is the spread of the predictions "
            "alone, and smaller than their error."
        ]

    def files(self, target: Path) -> list[Path]:
        """See `VolumeOutput`."""
        return [target, uncertainty_file(target)]
