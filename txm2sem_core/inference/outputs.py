"""What is written of a predicted volume: the prediction alone, or its uncertainty beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from txm2sem_core.inference.ensemble import SpreadPredictor
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.intensity import deviation_to_dtype, to_dtype
from txm2sem_core.io import Channel
from txm2sem_core.metrics import UNCALIBRATED, Calibration

PREDICTION = Channel("prediction")
UNCERTAINTY = Channel("uncertainty", colour="E69F00", shown=False, from_zero=True)
SPREAD = Channel("spread", colour="56B4E9", shown=False, from_zero=True)


class Answer(Protocol):
    """What a volume's voxels are."""

    @property
    def predictor(self) -> Predictor | SpreadPredictor:
        """The network or networks behind it."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Of an axis before z, or none."""

    def plane(self, txm: np.ndarray) -> tuple[np.ndarray, int]:
        """[Y, X], or [C, Y, X] with channels, in the SEM's dtype, and how many voxels were clipped to its bounds.

        Args:
            txm: [2 context + 1, Y, X], a slice with its neighbours.
        """

    def describe(self) -> dict[str, Any]:
        """What decides the voxels beside the predictor, as JSON values."""

    def attributes(self, warnings: Sequence[str]) -> dict[str, Any]:
        """What stands in an OME-Zarr's metadata beside the OME ones."""

    @property
    def doubts(self) -> list[str]:
        """Warnings of how it is made."""

    def files(self, target: Path) -> list[Path]:
        """The TIFF of every channel."""


def uncertainty_file(target: Path) -> Path:
    """Where the uncertainty goes that belongs to the TIFF `target`."""
    return target.with_stem(f"{target.stem}_uncertainty")


class Prediction:
    """The prediction alone, without an axis of channels."""

    channels: tuple[Channel, ...] = ()

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def plane(self, txm: np.ndarray) -> tuple[np.ndarray, int]:
        """See `Answer`."""
        return to_dtype(self.predictor.predict_plane(txm), self.predictor.sem_dtype)

    def describe(self) -> dict[str, Any]:
        """See `Answer`."""
        return {}

    def attributes(self, warnings: Sequence[str]) -> dict[str, Any]:
        """See `Answer`."""
        return {"txm2sem": {"warnings": list(warnings)}}

    @property
    def doubts(self) -> list[str]:
        """See `Answer`."""
        return []

    def files(self, target: Path) -> list[Path]:
        """See `Answer`."""
        return [target]


class WithUncertainty:
    """The mean of several predictions, its uncertainty, and with a calibration the standard deviation (spread) behind
    it.
    """

    def __init__(self, predictor: SpreadPredictor, calibration: Calibration | None, *, several_files: bool) -> None:
        """With `several_files` the spread is left out: TIFFs are of the prediction and of its uncertainty."""
        self.predictor, self.calibration = predictor, calibration
        shown = (PREDICTION, UNCERTAINTY)
        self.channels = (*shown, SPREAD) if calibration is not None and not several_files else shown

    def plane(self, txm: np.ndarray) -> tuple[np.ndarray, int]:
        """See `Answer`."""
        dtype = self.predictor.sem_dtype
        mean, spread = self.predictor.predict_plane(txm)
        deviations = [spread] if self.calibration is None else [self.calibration.apply(spread), spread]
        kept = deviations[: len(self.channels) - 1]
        stored = [to_dtype(mean, dtype), *(deviation_to_dtype(deviation, dtype) for deviation in kept)]
        return np.stack([plane for plane, _ in stored]), sum(clipped for _, clipped in stored)

    def describe(self) -> dict[str, Any]:
        """See `Answer`."""
        return {
            "channels": [channel.label for channel in self.channels],
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
        }

    def attributes(self, warnings: Sequence[str]) -> dict[str, Any]:
        """See `Answer`; how the uncertainty was made stands there too."""
        made = {
            **self.predictor.describe(),
            "meaning": "standard deviation in grey levels",
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
        }
        return {"txm2sem": {"warnings": list(warnings), "uncertainty": made}}

    @property
    def doubts(self) -> list[str]:
        """See `Answer`."""
        if self.calibration != UNCALIBRATED:
            return []
        return [
            "The uncertainty could not be calibrated (calibration.json says why): it is the spread of the predictions "
            "alone, and smaller than their error."
        ]

    def files(self, target: Path) -> list[Path]:
        """See `Answer`."""
        return [target, uncertainty_file(target)]
