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
    tracking = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d) and layer.track_running_stats]
    network.train(mode == "batch_statistics")
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
