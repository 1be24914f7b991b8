"""Models with random weights, and their predictors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sequential_networks import randomise

from txm2sem_core.checkpoint import LoadedModel
from txm2sem_core.config import PredictSettings
from txm2sem_core.inference import Predictor
from txm2sem_core.networks import Baseline, build_generator


def model(
    name: str, *, sem_dtype: str = "uint16", high: float = 1.0, mode: str = "evaluation", **options: Any
) -> LoadedModel:
    """A model with random weights whose intensities are those of the network times `high`."""
    generator = build_generator(name, seed=0, **options)
    if isinstance(generator, Baseline):
        ramp = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
        sem = torch.nn.functional.interpolate(ramp, scale_factor=generator.factor, mode="bicubic")
        generator.fit(ramp.repeat(1, generator.in_channels, 1, 1), sem)
    else:
        randomise(generator, seed=1)
        with torch.no_grad():
            side = max(64, generator.minimum_size)
            probe = torch.from_numpy(plane(1, generator.in_channels, side, side))
            assert generator(probe).std() > 0.01  # it is alive
    unit = {"low": -high, "high": high}
    description = {
        "generator": {"name": name, **options},
        "normalisation": {"txm": unit, "sem": unit},
        "sem_dtype": sem_dtype,
        "inference_mode": mode,
    }
    return LoadedModel(generator.eval(), description)


def predictor(loaded: LoadedModel, tile: int = 0, overlap: int = 16) -> Predictor:
    return Predictor(loaded, PredictSettings(tile_px=tile, overlap_px=overlap), "cpu")


def plane(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
