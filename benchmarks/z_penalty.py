"""Time of a training step with each z-penalty, against that of a step without, taken in turns within one run.

    python benchmarks/z_penalty.py --threads 2

A figure is the median over rounds of (time with the penalty) / (time without, in the same round). A round of a penalty
that comes at every fourth step is four steps.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from devices import add_device, chosen_device, finish

from txm2sem_core.config import TrainSettings, parse_settings
from txm2sem_core.families import Batch, Learner, learner_of

EVERY = 4
PENALTIES = {
    "none": {},
    "projection": {"projection": 0.01},
    "perturbation, every step": {"perturbation": 0.01, "every": 1},
    "perturbation": {"perturbation": 0.01, "every": EVERY},
    "stack, every step": {"stack": 0.01, "every": 1},
    "stack": {"stack": 0.01, "every": EVERY},
}
# generator, width, factor, patch in SEM pixels, batch
NETWORKS = [
    ("unet_32", 16, 1, 64, 8),
    ("unet_128", 64, 1, 128, 4),
    ("resnet_9blocks", 32, 1, 128, 4),
    ("sr_resnet_9blocks", 32, 2, 128, 4),
]


def learner(name: str, width: int, factor: int, penalty: dict[str, float], device: torch.device) -> Learner:
    """A variant's networks and optimiser, as training makes them."""
    settings = parse_settings(
        TrainSettings,
        "{}",
        family="feedforward" if factor == 1 else "srcnn",
        factor=factor,
        generator={"name": name, "width": width},
        z_penalty=penalty,
    )
    made = learner_of(settings, 0, device)
    made.generator.train()
    return made


def random_batch(factor: int, size: int, count: int) -> Batch:
    """Patches of noise: the time does not depend on what they show."""
    rng = torch.Generator().manual_seed(0)
    txm = torch.rand((count, 1, size // factor, size // factor), generator=rng)
    stack = torch.rand((count, 2, size // factor, size // factor), generator=rng)
    sem = torch.rand((count, 1, size, size), generator=rng)
    return Batch(txm, sem, torch.ones_like(sem, dtype=torch.bool), stack)


def ratios(
    name: str, width: int, factor: int, size: int, count: int, rounds: int, device: torch.device
) -> dict[str, float]:
    """Median ratio of each penalty."""
    learners = {label: learner(name, width, factor, penalty, device) for label, penalty in PENALTIES.items()}
    batch = random_batch(factor, size, count)
    found: dict[str, list[float]] = {label: [] for label in PENALTIES}
    for round_number in range(rounds + 1):
        seconds = {}
        for label, one in learners.items():
            start = time.perf_counter()
            for _ in range(EVERY):
                one.step(batch)
            finish(device)
            seconds[label] = time.perf_counter() - start
        for label, value in seconds.items() if round_number else ():  # the first round warms up
            found[label].append(value / seconds["none"])
    return {label: statistics.median(values) for label, values in found.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_device(parser)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    device = chosen_device(arguments)
    labels = [label for label in PENALTIES if label != "none"]
    print("| network, width, patch, batch | " + " | ".join(labels) + " |")
    print("|---" * (len(labels) + 1) + "|")
    for name, width, factor, size, count in NETWORKS:
        found = ratios(name, width, factor, size, count, arguments.rounds, device)
        row = [f"{found[label]:.2f}" for label in labels]
        print(f"| {name}, {width}, {size}, {count} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
