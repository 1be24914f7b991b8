"""Models of two scans with known answers, and predictors of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from txm2sem_core.checkpoint import LoadedModel
from txm2sem_core.config import PredictSettings
from txm2sem_core.inference import Predictor
from txm2sem_core.intensity.histograms import QUANTILES
from txm2sem_core.networks import build_generator

RANGES = ({"low": 0.0, "high": 1000.0}, {"low": -50.0, "high": 50.0})  # of the first scan, and of the second


def further(*, scale: float = 1.0) -> dict[str, Any]:
    """What `model.json` says of a second scan whose training intensities were even over their range."""
    quantiles = [round(float(q), 5) for q in np.linspace(-1, 1, QUANTILES)]
    own = {key: scale * value for key, value in RANGES[1].items()}
    return {"range": own, "histogram": {"quantiles": quantiles, "within": 0.0}, "dtype": None}


def filter_model(context: int = 0, scans: int = 2, **options: Any) -> LoadedModel:
    """A linear filter of one layer that shows, of all slices it is given, the one in the middle of the last scan."""
    generator = build_generator("linearfilt", seed=0, in_channels=scans * (2 * context + 1), **options)
    with torch.no_grad():
        weight, bias = generator.filter.weight, generator.filter.bias
        weight.zero_()
        bias.zero_()
        middle = weight.shape[-1] // 2
        weight[0, (scans - 1) * (2 * context + 1) + context, middle, middle] = 1
    return LoadedModel(generator.eval(), described("linearfilt", generator.in_channels, scans))


def described(name: str, channels: int, scans: int = 2, **options: Any) -> dict[str, Any]:
    """The description of a model that predicts SEM grey levels of 0 to 255, float32, from so many scans."""
    return {
        "generator": {"name": name, "in_channels": channels, **options},
        "normalisation": {"txm": RANGES[0], "sem": {"low": 0.0, "high": 255.0}},
        **({"further_scans": [further()] * (scans - 1)} if scans > 1 else {}),
        "sem_dtype": "float32",
        "inference_mode": "evaluation",
        "family": "feedforward",
        "settings": {"family": "feedforward"},
    }


def predictor(loaded: LoadedModel, tile: int = 0, overlap: int = 0) -> Predictor:
    return Predictor(loaded, PredictSettings(tile_px=tile, overlap_px=overlap), "cpu")
