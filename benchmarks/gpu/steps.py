"""(h) A training step of the published networks: launched kernel by kernel, and as one captured graph; what pays.

Batch and patch are the published ones (1, and 128 pixels), and batch 16. `same`: greatest difference of the losses of
the two ways after some steps from the same weights.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from common import DEVICE, ON_GPU, TINY, WORK, finish, left, save, say, with_benchmarks

with_benchmarks()
import shale_images  # noqa: E402

from txm2sem_core import io  # noqa: E402
from txm2sem_core.config import load_config  # noqa: E402
from txm2sem_core.families import learner_of  # noqa: E402
from txm2sem_core.training.batches import epoch_batches  # noqa: E402
from txm2sem_core.training.device_patches import patches_on  # noqa: E402

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
    "bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
    "bfloat16, channels last, compiled": {"precision": "bfloat16", "channels_last": True, "compile": True},
}


class Graph:
    """A step that is captured once and replayed for each batch."""

    def __init__(self, learner: Any, batch: Any) -> None:
        self.batch = batch
        for optimiser in learner.optimisers:
            for group in optimiser.param_groups:
                group["capturable"] = True
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                learner.step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.terms = learner.step(batch)

    def step(self, batch: Any) -> dict[str, torch.Tensor]:
        for name in ("txm", "sem", "mask"):
            getattr(self.batch, name).copy_(getattr(batch, name))
        self.graph.replay()
        return self.terms


def settings_of(case: dict[str, Any], batch_size: int, compute: dict[str, Any]):
    variant = {**case, "batch_size": batch_size, "compute": compute}
    return load_config({"preset": "paper", "variants": {"one": variant}}).variant("one")


def batches_of(store, settings):
    resident, epoch = patches_on(DEVICE, store, settings.context), 0
    while True:
        for batch in epoch_batches(store, settings, 0, epoch, cut=None if resident is None else resident.batch):
            if len(batch.txm) == settings.batch_size:
                yield batch
        epoch += 1


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


def measured(store, case: dict[str, Any], batch_size: int, compute: dict[str, Any]) -> dict[str, Any]:
    settings = settings_of(case, batch_size, compute)
    row: dict[str, Any] = {}
    learner = learner_of(settings, 0, DEVICE)
    learner.generator.train()
    batches = batches_of(store, settings)
    row["launched"] = timed(learner.step, batches, batch_size)
    if not ON_GPU:
        return row
    try:
        graph = Graph(learner, next(batches))
        row["captured"] = timed(graph.step, batches, batch_size)
        if batch_size > 1 or settings.compute.compile:
            return row
        one = next(batches)
        given = [one] + [next(batches) for _ in range(10)]
        states = []
        for way in ("launched", "captured"):
            other = learner_of(settings, 0, DEVICE)
            other.generator.train()
            step = other.step
            for _ in range(3 if way == "launched" else 0):  # the graph takes three to warm up, and one is not computed
                other.step(given[0])
            if way == "captured":
                first = type(one)(*(getattr(given[0], name).clone() for name in ("txm", "sem", "mask")))
                step = Graph(other, first).step
            states.append([float(torch.stack(list(step(batch).values())).sum()) for batch in given])
        row["same"] = max(abs(a - b) / max(abs(a), 1e-3) for a, b in zip(*states, strict=True))
        row["losses"] = states
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {str(error)[-600:]}"
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
                if left() < 8 or (compute.get("compile") and (left() < 35 or batch_size > 1 or "resnet" not in name)):
                    say(label, "left out")
                    continue
                try:
                    found[label] = measured(store, case, batch_size, compute)
                except Exception as error:
                    found[label] = {"error": f"{type(error).__name__}: {str(error)[-600:]}"}
                save("h_steps", found)
                say(label, {key: value for key, value in found[label].items() if key != "losses"})
                if ON_GPU:
                    torch.cuda.empty_cache()
    raise SystemExit(1 if any("error" in one for one in found.values()) else 0)


if __name__ == "__main__":
    main()
