"""What is kept of the published code's runs: plain numbers, summarised, and how ours are summarised alike."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from cases import CASES
from torch import Tensor, nn

HERE = Path(__file__).parent
STEPS_FILE, NETWORKS_FILE = HERE / "recorded.json", HERE / "networks.json"
COUNTS = (1, 2)  # patches a step
RUNS = [(case, count) for case in CASES for count in COUNTS]
PIXELS = 16  # of an output, evenly taken
DIGITS = 10

Sums = dict[str, list[float]]


def fill_by_formula(state: Mapping[str, Tensor]) -> None:
    """Weights that depend on no random number generator, and scatter as those of a fresh network."""
    for key, value, scatter in _scattered(state):
        of_norm = (value.ndim == 1 and key.endswith("weight")) or key.endswith("running_var")
        value.copy_((1 + 0.02 * scatter if of_norm else 0.02 * scatter).float())


def fill_as_trained(state: Mapping[str, Tensor], gain: float) -> None:
    """Weights by formula that let an image through, and running statistics that are not those of a fresh network.

    `gain` is that of each layer, by which the deviation of a network's output neither dies away nor fills tanh.
    """
    for key, value, scatter in _scattered(state):
        if value.ndim > 1:
            filled = scatter * gain * math.sqrt(value.shape[0] / value.numel())
        elif key.endswith(("weight", "running_var")):
            filled = 1 + 0.2 * scatter
        else:
            filled = 0.1 * scatter
        value.copy_(filled.float())


def _scattered(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Each weight, with values of its shape by formula: even, of mean 0 and deviation 1."""
    for number, (key, value) in enumerate(state.items()):
        if value.is_floating_point():
            place = torch.arange(1, value.numel() + 1, dtype=torch.float64)
            scatter = torch.frac(43758.5453 * torch.sin(12.9898 * place + 78.233 * number))
            yield key, value, math.sqrt(3) * scatter.reshape(value.shape)


def rounded(values: Iterable[float]) -> list[float]:
    """To as many digits as are kept."""
    return [float(f"{float(value):.{DIGITS}g}") for value in values]


def sums_of(tensors: Mapping[str, Tensor]) -> Sums:
    """Sum and sum of absolute values of each weight; not of biases, some of which are undetermined."""
    return {
        key: rounded([value.double().sum(), value.double().abs().sum()])
        for key, value in tensors.items()
        if key.endswith("weight")
    }


def gradients_of(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The gradients of the first step, by Adam's first moment: another step may have been taken on them since."""
    beta1 = optimiser.param_groups[0]["betas"][0]
    return {key: optimiser.state[value]["exp_avg"] / (1 - beta1) for key, value in network.named_parameters()}


def summary_of(image: Tensor) -> list[float]:
    """Sum, sum of absolute values, and some pixels of an output."""
    flat = image.detach().double().flatten()
    step = max(1, flat.numel() // PIXELS)
    return rounded([flat.sum(), flat.abs().sum(), *flat[step // 2 :: step][:PIXELS]])


def write(path: Path, about: dict[str, str], parts: Mapping[str, Mapping[str, Any]]) -> None:
    """One line for each entry, so that a change of one is one line's."""
    blocks = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items()]
    for name, entries in parts.items():
        lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in entries.items())
        blocks.append(f"{json.dumps(name)}: {{\n{lines}\n}}")
    path.write_text("{\n" + ",\n".join(blocks) + "\n}\n")
