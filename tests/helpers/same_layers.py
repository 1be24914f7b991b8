"""Whether a layer of ours gives what the library's gives that it is derived from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from txm2sem_core.acceleration import accelerate

Network = TypeVar("Network", bound=nn.Module)

LIMIT = 1e-10  # of float64: only the order of sums may differ


def accelerated(network: Network, *, training: bool = False) -> Network:
    """A copy that is; the plain network stays as it is."""
    made = copy.deepcopy(network)
    accelerate(made, training=training)
    return made


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def innermost(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def with_gradients(run: Callable[[Tensor], Tensor], layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, gradients, and the gradients of a sum of the squared input gradients, as the penalties take them."""
    x = x.clone().requires_grad_()
    weights = list(layer.parameters())
    y = run(x)
    first = torch.autograd.grad((y * draw(*y.shape, seed=1)).sum().tanh(), [x, *weights], create_graph=True)
    second = torch.autograd.grad(first[0].square().sum(), [x, *weights], allow_unused=True)
    return [y, *first, *(g for g in second if g is not None)]


def once(layer: nn.Module, y: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """Gradients as a training takes them, which are not differentiated again."""
    return torch.autograd.grad((y * draw(*y.shape, seed=1)).sum(), [x, *layer.parameters()])


def same_as_parent(layer: nn.Module, x: Tensor, *, taken: bool = True) -> None:
    layer = layer.double()
    library = type(layer).__mro__[1].forward
    assert (type(layer(x).grad_fn) is not type(library(layer, x).grad_fn)) == taken  # else nothing is compared
    for ours, theirs in zip(
        with_gradients(layer, layer, x), with_gradients(lambda x: library(layer, x), layer, x), strict=True
    ):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).detach().abs().max()) < LIMIT * max(1.0, float(theirs.detach().abs().max()))
