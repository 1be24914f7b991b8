"""The learning rate over the epochs."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from txm2sem_core.config import ScheduleSettings


def rate_factor(settings: ScheduleSettings, epoch: int) -> float:
    """What the learning rate is multiplied by in `epoch` (counted from 0), for the policies that know it beforehand.

    `linear` is constant for `epochs`, then falls by equal steps towards 0 (never reaching it) over `decay_epochs`, as
    in Isola et al. 2017; `step` falls to a tenth every `step_epochs`; `cosine` is Loshchilov and Hutter 2017 without
    restarts.
    """
    if settings.policy == "linear":
        return 1.0 - max(0, epoch + 1 - settings.epochs) / (settings.decay_epochs + 1)
    if settings.policy == "step":
        return float(0.1 ** (epoch // settings.step_epochs))
    if settings.policy == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * epoch / settings.epochs))
    return 1.0


def build_scheduler(optimiser: Optimizer, settings: ScheduleSettings) -> LRScheduler | ReduceLROnPlateau:
    """Build a scheduler to be stepped once an epoch; `plateau` must be given the validation PSNR."""
    if settings.policy == "plateau":
        return ReduceLROnPlateau(optimiser, mode="max", factor=0.2, threshold=0.01, patience=5)
    return LambdaLR(optimiser, lambda epoch: rate_factor(settings, epoch))
