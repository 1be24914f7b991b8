"""How a network behaves when it predicts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def inference(network: nn.Module, mode: str) -> Iterator[None]:
    """Run a block without gradients, in `evaluation` mode or with `batch_statistics`; then all is as it was.

    `batch_statistics` is the published behaviour: batch norm uses the statistics of what it is given and dropout is
    active. Unlike there, the running statistics stay untouched.
    """
    training = {layer: layer.training for layer in network.modules()}
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in norms]
    network.train(mode == "batch_statistics")
    for layer in norms:
        layer.momentum = 0.0
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, was_training in training.items():
            layer.training = was_training
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
