"""What exported networks must answer: what `Predictor`, which computes in its own ways, predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from small_volumes import make_model

from txm2sem_core.checkpoint import load_model, save_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.export import Portable, portable
from txm2sem_core.export.formats import Answer
from txm2sem_core.families import Images
from txm2sem_core.inference import Predictor
from txm2sem_core.networks import Baseline

RANGES = {"txm": {"low": 500.0, "high": 1500.0}, "sem": {"low": 20.0, "high": 220.0}}


def model_of(folder: Path, name: str, context: int = 1, **options: object) -> Path:
    """A model with intensities of its own, that sees neighbouring slices."""
    flow = "flow_steps" in options
    make_model(folder, name, in_channels=2 * context + 1 + flow, **options)
    model = load_model(folder)
    if isinstance(model.generator, Baseline):
        model.generator.fitted.fill_(True)
    described = {**model.description, "normalisation": RANGES, "family": "flow" if flow else "feedforward"}
    save_model(folder, model.generator, described)
    return folder


def differences(folder: Path, answer: Answer) -> list[float]:
    """To planes that are predicted, as shares of the FIB-SEM range, at three sizes."""
    given: Portable = portable(folder)
    predictor = Predictor(load_model(folder), PredictSettings(), "cpu")
    found = []
    for more in (0, 1, 3):
        images = given.example(given.example_px, given.example_px + more * given.multiple)
        noise = images["noise"][0, 0] if "noise" in images else None
        expected = predictor.predict(Images(images["txm"][0], noise=noise))
        largest = max(200, float(np.abs(expected).max()))  # weights that were not trained answer with large numbers
        found.append(float(np.abs(answer(images)[0, 0] - expected).max()) / largest)
    return found
