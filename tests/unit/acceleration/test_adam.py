"""Adam over weights as they lie in memory, beside PyTorch's loop over single weights."""

from __future__ import annotations

import pytest
import torch
from same_layers import draw
from torch import Tensor, nn

from txm2sem_core.acceleration.adam import Adam

LAYOUTS = [torch.contiguous_format, torch.channels_last]
SHAPES = [(4, 3, 2, 5), (4, 1, 3, 3), (1, 4, 3, 3), (6,), (2, 3)]
OPTIONS = {"lr": 0.1, "betas": (0.5, 0.999), "weight_decay": 0.01}


def weights(layout: torch.memory_format) -> list[nn.Parameter]:
    return [nn.Parameter(laid_out(draw(*shape, seed=9), layout)) for shape in SHAPES]


def laid_out(x: Tensor, layout: torch.memory_format) -> Tensor:
    return x.contiguous(memory_format=layout) if x.dim() == 4 else x


def train(optimiser: torch.optim.Optimizer, ours: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        for number, weight in enumerate(ours):
            weight.grad = torch.empty_like(weight).copy_(draw(*weight.shape, seed=10 * step + number))
        optimiser.step()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps(layout: torch.memory_format) -> None:
    ours, plain = weights(layout), weights(torch.contiguous_format)
    train(Adam(ours, **OPTIONS), ours, range(4))
    train(torch.optim.Adam(plain, **OPTIONS, foreach=False), plain, range(4))
    for found, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("before", LAYOUTS)
@pytest.mark.parametrize("after", LAYOUTS)
def test_moments_that_another_layout_was_saved_with(before: torch.memory_format, after: torch.memory_format) -> None:
    """As where a training that began on a GPU goes on on a CPU."""
    first, plain = weights(before), weights(torch.contiguous_format)
    began, expected = Adam(first, **OPTIONS), torch.optim.Adam(plain, **OPTIONS, foreach=False)
    train(began, first, range(2))
    train(expected, plain, range(4))
    second = [nn.Parameter(laid_out(weight.detach().clone(), after)) for weight in first]
    goes_on = Adam(second, **OPTIONS)
    goes_on.load_state_dict(began.state_dict())
    train(goes_on, second, range(2, 4))
    for found, wanted in zip(second, plain, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
