"""A gradient that is too long is shortened, and keeps its direction; others stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_cases import settings_of

from txm2sem_core.families import learner_of


def gradient(longest: float, size: float) -> np.ndarray:
    """What the optimiser is given of a loss so many times a sum of squares."""
    learner = learner_of(settings_of("feedforward"), 0, torch.device("cpu"))
    weights = list(learner.generator.parameters())
    loss = size * torch.stack([weight.square().sum() for weight in weights]).sum()
    learner.descend(loss, learner.optimiser, longest)
    return np.concatenate([weight.grad.numpy().ravel() for weight in weights if weight.grad is not None])


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_the_norm_is_at_most_that(size: float) -> None:
    plain, short = gradient(0.0, size), gradient(0.5, size)
    length = np.linalg.norm(plain)
    np.testing.assert_allclose(short, plain * min(1, 0.5 / length), rtol=1e-4, atol=1e-9)
