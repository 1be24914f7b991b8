"""Time of our training: batches from a patch store, steps, and the checks of every step.

The last line on stdout is a JSON object: patches a second after the first ones (`devices.WARM_UP`), and peak bytes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from devices import WARM_UP, add_compute, add_device, chosen_compute, chosen_device, finish, peak_bytes

from txm2sem_core import io
from txm2sem_core.acceleration.transfer import Received
from txm2sem_core.config import TrainSettings, load_config
from txm2sem_core.families import learner_of
from txm2sem_core.runtime.allocator import keep_freed_memory
from txm2sem_core.training.batches import epoch_batches
from txm2sem_core.training.device_patches import patches_on

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
        "compute": chosen_compute(chosen),
    }
    if weights:
        variant["z_penalty"] = {"projection": 0, **weights}
    return load_config({"preset": "paper", "variants": {"one": variant}}).variant("one")


def main() -> None:
    """Train for so many steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("family", "generator"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("factor", "width", "steps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--patches", type=Path, required=True)
    parser.add_argument("--penalty", choices=PENALTIES, required=True)
    parser.add_argument("--weight", type=float, required=True)
    add_compute(parser)
    add_device(parser)
    chosen = parser.parse_args()
    device, warm_up = chosen_device(chosen), WARM_UP[chosen.device]
    if chosen.device == "cpu":
        keep_freed_memory()  # as a training does
    torch.backends.cudnn.benchmark = chosen.device == "cuda"  # as a training does
    settings = settings_of(chosen)
    learner = learner_of(settings, 0, device)
    learner.generator.train()
    store = io.read_patch_store(chosen.patches)
    resident = patches_on(device, store, settings.context)
    batches = epoch_batches(store, settings, 0, 0, cut=None if resident is None else resident.batch)
    before: Received | None = None
    for number in range(warm_up + chosen.steps):
        if number == warm_up:
            finish(device)
            begun = time.perf_counter()
        terms = learner.step(next(batches))
        # as a training looks at losses: when the next step has begun
        assert before is None or all(abs(value) < settings.loss_limit for value in before.numbers())
        before = Received(torch.stack(list(terms.values())))
    finish(device)
    seconds = time.perf_counter() - begun
    print(
        json.dumps(
            {"patches_per_s": chosen.steps / seconds, "peak_bytes": peak_bytes(device), "torch": torch.__version__}
        )
    )


if __name__ == "__main__":
    main()
