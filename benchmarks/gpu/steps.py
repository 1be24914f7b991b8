"""(h) A training step of the published networks, launched kernel by kernel, and as the graph that trainings take.

Batch and patch are the published ones (1, and 128 pixels), and batch 16; of each the share of time in which the GPU
does nothing.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from common import DEVICE, ON_GPU, TINY, WORK, finish, left, save, say, with_benchmarks

with_benchmarks()
import shale_images  # noqa: E402
from training import profiled, steps_of  # noqa: E402

from txm2sem_core import io  # noqa: E402
from txm2sem_core.config import load_config  # noqa: E402
from txm2sem_core.families import learner_of  # noqa: E402

SECONDS = 0.5 if TINY else 1.0
PATCH = 128
CASES: dict[str, dict[str, Any]] = {
    "resnet_9blocks": {"family": "feedforward", "generator": {"name": "resnet_9blocks", "width": 64, "dropout": False}},
    "unet_128 GAN": {"family": "pix2pix", "generator": {"name": "unet_128", "width": 64, "dropout": False}},
    "SRGAN x4, width 256": {
        "family": "srgan",
        "factor": 4,
        "generator": {"name": "sr_resnet_9blocks", "width": 256, "dropout": False},
    },
}
WAYS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
}
LINES: list[str] = []  # of profile.txt


def settings_of(case: dict[str, Any], batch_size: int, compute: dict[str, Any]):
    variant = {**case, "batch_size": batch_size, "compute": compute}
    return load_config({"preset": "paper", "variants": {"one": variant}}).variant("one")


def timed(step, batches, batch_size: int) -> float:
    """Patches a second, the losses looked at one step late."""
    for _ in range(2 if TINY else 8):
        step(next(batches))
    finish()
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS:
        step(next(batches))
        steps += 1
        if steps % 20 == 0:
            finish()
    finish()
    return steps * batch_size / (time.perf_counter() - begun)


def learner_for(case: dict[str, Any], batch_size: int, compute: dict[str, Any], *, captured: bool):
    learner = learner_of(settings_of(case, batch_size, compute), 0, DEVICE)
    learner.generator.train()
    if not captured:
        learner._captured = None
    return learner


def measured(store, case: dict[str, Any], batch_size: int, compute: dict[str, Any], label: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    batches = steps_of(store, settings_of(case, batch_size, compute))
    if batch_size == 1 and not compute:
        row["launched"] = timed(learner_for(case, 1, compute, captured=False).step, batches, 1)
    if ON_GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    learner = learner_for(case, batch_size, compute, captured=True)
    row["captured"] = timed(learner.step, batches, batch_size)
    if ON_GPU:
        row["held_mb"] = torch.cuda.max_memory_reserved() / 1e6
        row["idle_share"] = profiled(label, learner, batches, LINES)["idle_share"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=8)
    torch.set_num_threads(parser.parse_args().threads)
    torch.backends.cudnn.benchmark = True
    found: dict[str, Any] = {}
    for name, case in CASES.items():
        folder = WORK / f"patches_h{case.get('factor', 1)}"
        shale_images.write_store(folder, PATCH, case.get("factor", 1), 1024)
        store = io.read_patch_store(folder)
        for batch_size in (1, 16):
            for way, compute in WAYS.items():
                label = f"{name}, batch {batch_size}, {way}"
                if left() < 4:
                    say(label, "left out")
                    continue
                try:
                    found[label] = measured(store, case, batch_size, compute, label)
                except Exception as error:
                    found[label] = {"error": f"{type(error).__name__}: {str(error)[-600:]}"}
                save("h_steps", found)
                say(label, found[label])
    raise SystemExit(1 if any("error" in one for one in found.values()) else 0)


if __name__ == "__main__":
    main()
