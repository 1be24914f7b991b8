"""Random numbers of a step, from a seed."""

from __future__ import annotations

import torch

from txm2sem_core.acceleration.draws import Draws


def draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), torch.device("cpu"))
