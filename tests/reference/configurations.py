"""The networks, starts and learning rates that are compared."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

NORMS = ("batch", "instance", "none")
# name, width, norm, dropout, factor
GENERATORS: list[tuple[str, int, str, bool, int]] = [
    *product(["unet_128"], [2, 5], NORMS, [False, True], [1]),
    *product(["unet_256"], [2], ["batch", "instance"], [True], [1]),
    *product(["resnet_6blocks", "resnet_9blocks"], [3, 4], NORMS, [False, True], [1]),
    *product(["sr_resnet_6blocks", "sr_resnet_9blocks"], [4], NORMS, [False, True], [2, 4]),
    ("linearfilt", 64, "batch", False, 1),
]
# name, layers, width, norm
DISCRIMINATORS: list[tuple[str, int, int, str]] = [
    *product(["basic"], [3], [2, 5], NORMS),
    *product(["n_layers"], [1, 2, 4, 5], [3], NORMS),
    *product(["pixel"], [3], [4], NORMS),
]
STARTS = list(product(["normal", "xavier", "kaiming", "orthogonal"], [0.02, 0.5]))
POLICIES = ("linear", "step", "cosine", "plateau")
SCHEDULE = {"epochs": 12, "decay_epochs": 6, "step_epochs": 4}


def name_of(configuration: tuple[object, ...]) -> str:
    """A configuration as a key of the record and a test's name."""
    return "-".join(map(str, configuration))


def input_of(channels: int, size: int) -> Tensor:
    """An image by formula, `[1, channels, size, size]` in [-1, 1], double."""
    place = torch.arange(1, channels * size * size + 1, dtype=torch.float64)
    return torch.frac(43758.5453 * torch.sin(12.9898 * place)).reshape(1, channels, size, size)


def size_of(generator: str, factor: int) -> int:
    """Side of a generator's input."""
    return (256 if generator == "unet_256" else 128) // factor


def gain_of(name: str) -> float:
    """Gain of each layer, for `fill_as_trained`: the residual blocks of `sr_resnet` would fill tanh with 1."""
    return 0.4 if name.startswith("sr_") else 1.0


def spread(network: nn.Module) -> dict[str, list[float]]:
    """Standard deviations of all convolutions' weights and norms' weights, in any order, and the norms' mean."""
    modules = list(network.modules())
    convolutions = [m.weight for m in modules if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    norms = [m.weight for m in modules if isinstance(m, nn.BatchNorm2d)]
    return {
        "convolutions": sorted(float(w.detach().std()) for w in convolutions if w.numel() > 500),
        "norms": [float(torch.cat(norms).detach().mean()), float(torch.cat(norms).detach().std())],
        "biases": [float(m.bias.detach().abs().max()) for m in modules if getattr(m, "bias", None) is not None],
    }
