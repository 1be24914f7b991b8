"""How a network behaves when it predicts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def inference(network: nn.Module, mode: str) -> Iterator[None]:
    """Run a block without gradients, in one of three modes; afterwards the earlier mode is restored.

    `evaluation`; `dropout`, which is evaluation with active dropout (Gal and Ghahramani 2016); or `batch_statistics`,
    the published behaviour: batch norm uses the statistics of its input, and dropout is active. Unlike in the
    published code, the running statistics do not change.
    """
    training = {layer: layer.training for layer in network.modules()}
    tracking = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d) and layer.track_running_stats]
    network.train(mode == "batch_statistics")
    for dropout in _dropouts(network) if mode == "dropout" else ():
        dropout.train()
    for norm in tracking:
        norm.track_running_stats = not norm.training
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, was_training in training.items():
            layer.training = was_training
        for norm in tracking:
            norm.track_running_stats = True


def has_dropout(network: nn.Module) -> bool:
    """Whether the network has a dropout layer that drops anything."""
    return any(layer.p > 0 for layer in _dropouts(network))


def _dropouts(network: nn.Module) -> list[nn.Dropout | nn.Dropout2d]:
    return [layer for layer in network.modules() if isinstance(layer, (nn.Dropout, nn.Dropout2d))]
