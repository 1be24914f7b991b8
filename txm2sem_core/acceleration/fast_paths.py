"""Whole networks that are computed in another way where that is faster; each is registered for one exact class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from txm2sem_core.networks.flow import parts

Forward = TypeVar("Forward", bound=Callable[[Any, Tensor], Tensor])


@dataclass(frozen=True)
class FastPath:
    """What takes over a network.

    Attributes:
        forward: in the place of the class's own; it computes the same but for rounding.
        weights_innermost: weights are to lie with channels innermost in memory, as the images do.
    """

    forward: Callable[[Any, Tensor], Tensor]
    weights_innermost: bool


_paths: dict[type[nn.Module], FastPath] = {}


def fast_path(kind: type[nn.Module], *, weights_innermost: bool = False) -> Callable[[Forward], Forward]:
    """Register what takes over networks of exactly this class; classes derived from it may compute something else."""

    def register(forward: Forward) -> Forward:
        _paths[kind] = FastPath(forward, weights_innermost)
        return forward

    return register


def path_of(network: nn.Module) -> FastPath | None:
    """The fast path that is registered for the network's class."""
    return _paths.get(type(network))


def take_over(network: nn.Module) -> None:
    """Let the path of the network's class, if there is one, compute it from now on; of a flow, that of its parts."""
    for part in parts(network):
        path = path_of(part)
        if path is not None:
            part.forward = MethodType(path.forward, part)


def channels_innermost(x: Tensor) -> Tensor:
    """The same images with channels innermost in memory on a CPU, where convolutions take them so without a copy.

    Not where the input's own gradient is wanted: gradients of gradients are slower in that layout.
    """
    return x.to(memory_format=torch.channels_last) if x.device.type == "cpu" and not x.requires_grad else x
