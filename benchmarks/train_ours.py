"""Time of our training: batches from a patch store, steps, and the checks of every step.

The last line on stdout is a JSON object: patches a second after the first `WARM_UP`, and peak bytes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from process_memory import peak_bytes

from txm2sem_core import io
from txm2sem_core.config import TrainSettings, load_config
from txm2sem_core.device import choose_device
from txm2sem_core.training.batches import epoch_batches
from txm2sem_core.training.steps import Learner

WARM_UP = 3
PENALTIES: dict[str, dict[str, Any]] = {  # by weight
    "none": {},
    "projection": {"projection": 1.0},  # as published: differentiated twice
    "perturbation": {"perturbation": 1.0, "every": 4},  # a second pass, every fourth step, four times as heavy
}


def settings_of(chosen: argparse.Namespace) -> TrainSettings:
    """The variant as `preset: paper` completes it."""
    weights = {
        key: value if key == "every" else value * chosen.weight for key, value in PENALTIES[chosen.penalty].items()
    }
    variant: dict[str, Any] = {
        "family": chosen.family,
        "factor": chosen.factor,
        "generator": {"name": chosen.generator, "width": chosen.width, "dropout": False},
    }
    if weights:
        variant["z_penalty"] = {"projection": 0, **weights}
    if chosen.precision != "float32":
        variant["compute"] = {"precision": chosen.precision}
    return load_config({"preset": "paper", "variants": {"one": variant}}).variant("one")


def main() -> None:
    """Train for so many steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("family", "generator"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("factor", "width", "steps", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--patches", type=Path, required=True)
    parser.add_argument("--penalty", choices=PENALTIES, required=True)
    parser.add_argument("--weight", type=float, required=True)
    parser.add_argument("--precision", default="float32")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    settings = settings_of(chosen)
    learner = Learner(settings, 0, choose_device("cpu"))
    learner.generator.train()
    batches = epoch_batches(io.read_patch_store(chosen.patches), settings, 0, 0)
    for number in range(WARM_UP + chosen.steps):
        if number == WARM_UP:
            begun = time.perf_counter()
        terms = learner.step(next(batches))
        assert all(abs(float(value)) < settings.loss_limit for value in terms.values())
    seconds = time.perf_counter() - begun
    print(json.dumps({"patches_per_s": chosen.steps / seconds, "peak_bytes": peak_bytes(), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
