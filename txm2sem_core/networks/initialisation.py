"""Initial weights: the four published schemes, and a seed that leaves the global random state alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from txm2sem_core.errors import ConfigError

Initialiser = Callable[[Tensor, float], object]

INITIALISATIONS: dict[str, Initialiser] = {
    "normal": lambda weight, gain: nn.init.normal_(weight, 0.0, gain),
    "xavier": lambda weight, gain: nn.init.xavier_normal_(weight, gain=gain),
    "kaiming": lambda weight, _gain: nn.init.kaiming_normal_(weight, a=0, mode="fan_in"),
    "orthogonal": lambda weight, gain: nn.init.orthogonal_(weight, gain=gain),
}


def initialise(network: nn.Module, scheme: str, gain: float) -> None:
    """Draw the weights of all convolutions and linear layers, in place; biases 0, batch-norm scales N(1, gain).

    Args:
        network: any module; other parameters (PReLU slopes, the gamma of a filter) keep their values.
        scheme: normal (standard deviation `gain`; Isola et al. 2017), xavier or orthogonal (scaled by `gain`), or
            kaiming (He et al. 2015, where `gain` has no effect on convolutions).
        gain: see above.

    Raises:
        ConfigError: the scheme is not known.
    """
    if scheme not in INITIALISATIONS:
        raise ConfigError(f"init: {scheme!r} is not known. Choose one of {', '.join(INITIALISATIONS)}.")
    draw = INITIALISATIONS[scheme]
    if any(weight.is_meta for weight in network.parameters()):
        return  # shapes alone; PyTorch would load its compiler, in seconds and 80 MB, to draw nothing
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            draw(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, gain)
            nn.init.zeros_(layer.bias)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Within, CPU random numbers follow from `seed`; afterwards the global state is as before. None changes nothing."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also reseed the accelerators, whose states fork_rng(devices=[]) does not restore.
        torch.default_generator.manual_seed(seed)
        yield
