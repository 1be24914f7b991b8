"""Running statistics of batch norm that belong to averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from torch import nn

from txm2sem_core.families import Batch, Family, Learner

PATCHES = 192  # from which they are taken


def take_statistics(family: Family, learner: Learner, batches: Iterator[Batch]) -> None:
    """Give the averaged generator the statistics that its own layers have on training patches.

    Those that it was given are of the weights that each step left, and of the last few batches (Izmailov et al. 2018,
    arXiv 1803.05407, section 3.2). Nothing else of it is changed.

    Args:
        family: says how a batch goes through its networks.
        learner: with an average; one without batch norm is left as it is.
        batches: of the training, in an order that is drawn; as many are taken as hold `PATCHES` patches.
    """
    generator = learner.kept_generator
    norms = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d) and layer.track_running_stats]
    if not norms:
        return
    noise = torch.Generator().manual_seed(0)
    with _mean_over_batches(norms), torch.no_grad():
        generator.train()
        for batch in islice(batches, math.ceil(PATCHES / learner.settings.batch_size)):
            family.training_pass(learner, generator, batch, noise)
        generator.eval()


@contextmanager
def _mean_over_batches(norms: list[nn.BatchNorm2d]) -> Iterator[None]:
    """Let the statistics be the means over all batches of the block, all of which weigh the same."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
