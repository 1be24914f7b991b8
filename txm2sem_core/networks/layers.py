"""Pieces that the networks share: the choice of normalisation, evenly spaced numbers, the residual block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from txm2sem_core.errors import ConfigError

Norm = Literal["batch", "instance", "none"]
NORMS: tuple[str, ...] = get_args(Norm)
DROPOUT_SHARE = 0.5


def check_norm(norm: str) -> None:
    """Raise `ConfigError` unless `norm` is one of `NORMS`."""
    if norm not in NORMS:
        raise ConfigError(f"norm: {norm!r} is not known. Choose one of {', '.join(NORMS)}.")


def normalisation(norm: str, channels: int) -> nn.Module:
    """Make the normalisation layer: batch with learned scale and running statistics, instance with neither, or none."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    return nn.Identity()


def bias_beside(norm: str) -> bool:
    """Whether a convolution beside a normalisation has a bias.

    Batch norm brings its own shift. The published networks leave the bias out for `none` as well; so do we, as their
    weights could not be loaded otherwise.
    """
    return norm == "instance"


def evenly_spaced(low: float, high: float, count: int) -> Tensor:
    """`count` numbers from `low` to `high`, `[count]`.

    They lie on the CPU also where a network is built for its shapes alone, on the `meta` device: there PyTorch would
    load its compiler for them, which takes seconds.
    """
    return torch.linspace(low, high, count, device="cpu")


class ResidualBlock(nn.Module):
    """`x + conv(activation(conv(x)))`, 3x3, reflected at the border, each convolution followed by its norm.

    He et al. 2016, in the form of Johnson et al. 2016 (nothing after the sum).
    """

    def __init__(self, channels: int, norm: str, *, dropout: bool, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        bias = bias_beside(norm)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=bias)
        self.norm1 = normalisation(norm, channels)
        self.activation = activation()
        self.dropout = nn.Dropout(DROPOUT_SHARE if dropout else 0.0)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=bias)
        self.norm2 = normalisation(norm, channels)

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        """`[B, channels, Y, X]` to the same shape; `shift` `[B, channels, 1, 1]` is added after the first norm."""
        hidden = self.norm1(self.conv1(x))
        hidden = self.dropout(self.activation(hidden if shift is None else hidden + shift))
        return x + self.norm2(self.conv2(hidden))
