"""An exponential moving average of the generator's weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def weight_average(generator: nn.Module, decay: float) -> AveragedModel:
    """A generator whose weights are the mean of another's over its last steps, roughly `1 / (1 - decay)` of them.

    `average = d average + (1 - d) weights` after each step, with `d = min(decay, (1 + t) / (10 + t))` at step t, so
    that the first steps do not weigh for long (Polyak and Juditsky 1992; the start is TensorFlow's). Running statistics
    of batch norm are copied, and taken anew before the average is used (`training.norm_statistics`). `module` of what
    is returned is the generator, `update_parameters(generator)` takes in the weights that a step has left.
    """

    def mean(averages: Sequence[Tensor], weights: Sequence[Tensor], _: Tensor | int) -> None:
        steps = int(averaged.n_averaged)  # on the CPU; the count that is given lies on the device, and to read it waits
        share = 1 - min(decay, steps / (9 + steps))
        for average, current in zip(averages, weights, strict=True):
            average.lerp_(current, share)

    averaged = AveragedModel(generator, multi_avg_fn=torch.no_grad()(mean))
    averaged.n_averaged += 1  # the weights that training begins with count, and are not replaced by the first step's
    averaged.requires_grad_(False)
    return averaged
