"""An exponential moving average of the generator's weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


def weight_average(generator: nn.Module) -> AveragedModel:
    """A generator whose weights are the mean of another's over its last steps; `module` is the generator.

    The weights that it begins with count.
    """
    averaged = AveragedModel(generator)
    averaged.n_averaged += 1
    averaged.requires_grad_(False)
    return averaged


@torch.no_grad()
def update_average(averaged: AveragedModel, generator: nn.Module, decay: float) -> None:
    """Take in the weights that a step has left: the mean is of roughly `1 / (1 - decay)` steps.

    `average = d average + (1 - d) weights` after each step, with `d = min(decay, (1 + t) / (10 + t))` at step t, so
    that the first steps do not weigh for long (Polyak and Juditsky 1992; the start is TensorFlow's). Running statistics
    of batch norm are copied, and taken anew before the average is used (`training.norm_statistics`).
    """
    steps = int(averaged.n_averaged)  # on the CPU, so that nothing is waited for
    share = 1 - min(decay, steps / (9 + steps))
    torch._foreach_lerp_(list(averaged.module.parameters()), list(generator.parameters()), share)
    if buffers := list(generator.buffers()):
        torch._foreach_copy_(list(averaged.module.buffers()), buffers)
    averaged.n_averaged += 1
