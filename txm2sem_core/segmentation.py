"""The thresholds that part a sample's phases: those of the settings, or of its training SEM images."""

from __future__ import annotations

import numpy as np

from txm2sem_core.config import MeasureSettings
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics import multi_otsu_thresholds


def phase_thresholds(store: PatchStore, settings: MeasureSettings) -> tuple[float, ...]:
    """Grey levels that part the phases, the same for prediction and truth.

    Raises:
        InputError: the training images have fewer grey levels than there are phases.
    """
    if settings.thresholds:
        return settings.thresholds
    training = store.of_split("train")["pair"].unique()
    pixels = np.concatenate([store.pairs[pair].sem[store.pairs[pair].mask > 0] for pair in training])
    return multi_otsu_thresholds(pixels, settings.phases)
