"""What is kept of the published code's runs as plain numbers: losses and sums of weights after each of three steps."""

from __future__ import annotations

import math

import torch
from torch import nn

Sums = dict[str, list[float]]

# a few of each family; `cases.CASES` has more
RECORDED = (
    "feedforward L1",
    "feedforward L2",
    "feedforward penalty",
    "pix2pix vanilla",
    "pix2pix lsgan",
    "pix2pix wgangp, both penalties",
    "pix2pix weight decay",
    "srcnn x2",
    "srcnn x4",
    "srgan x2 vanilla",
    "srgan x4 vanilla",
    "srgan x2 wgangp with its penalty",
)


def fill_by_formula(network: nn.Module) -> None:
    """Weights that depend on no random number generator, and scatter as those of a fresh network."""
    for number, (key, value) in enumerate(network.state_dict().items()):
        if not value.is_floating_point():
            continue
        place = torch.arange(1, value.numel() + 1, dtype=torch.float64)
        scatter = torch.frac(43758.5453 * torch.sin(12.9898 * place + 78.233 * number))
        filled = 0.02 * math.sqrt(3) * scatter.reshape(value.shape)  # even in [-1, 1], to a deviation of 0.02
        of_norm = (value.ndim == 1 and key.endswith("weight")) or key.endswith("running_var")
        value.copy_((1 + filled if of_norm else filled).float())


def sums_of(network: nn.Module) -> Sums:
    """Sum and sum of absolute values of each weight, by our names; not of biases, some of which are undetermined."""
    state = network.state_dict()
    return {
        key: [float(value.double().sum()), float(value.double().abs().sum())]
        for key, value in state.items()
        if key.endswith("weight")
    }
