"""The learned filters that networks are compared with: one convolution, and a power law before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.registry import GeneratorOptions, register_generator

KERNEL_SIZE = 15
SMALLEST_BASE = 1e-16  # base of the power for black, as published


class LinearFilter(ImageGenerator):
    """One 15x15 convolution, zero outside the image. Its output is not bounded."""

    def __init__(self, options: GeneratorOptions) -> None:
        super().__init__(
            in_channels=options.in_channels,
            out_channels=options.out_channels,
            receptive_radius_px=KERNEL_SIZE // 2,
        )
        self.filter = nn.Conv2d(options.in_channels, options.out_channels, KERNEL_SIZE, padding=KERNEL_SIZE // 2)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y, X]`."""
        self.check_input(x)
        filtered: Tensor = self.filter(x)
        return filtered


class GammaFilter(LinearFilter):
    """`filter(base ** gamma)` with a learned gamma and `base = input_scale * x + input_offset`.

    The published filter takes the power of intensities in [-1, 1], which is not a number for the darker half and a
    gamma that is not whole. Ours maps [-1, 1] to [0, 1] first: scale and offset are 0.5. An imported filter keeps the
    published base (scale 1, offset 0), and gives 0 where the published output is not a number.
    """

    input_scale: Tensor
    input_offset: Tensor

    def __init__(self, options: GeneratorOptions) -> None:
        super().__init__(options)
        self.gamma = nn.Parameter(torch.ones(1))
        self.register_buffer("input_scale", torch.tensor(0.5))
        self.register_buffer("input_offset", torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y, X]`."""
        return super().forward(real_power(self.input_scale * x + self.input_offset, self.gamma))


def real_power(base: Tensor, exponent: Tensor) -> Tensor:
    """Return `base ** exponent` where that is a real number, else 0; with finite gradients everywhere.

    Args:
        base: any shape.
        exponent: one value. Negative bases have a real power only where it is a whole number.
    """
    magnitude = base.abs().clamp_min(SMALLEST_BASE).pow(exponent)
    sign = torch.nan_to_num(torch.pow(-torch.ones_like(exponent), exponent.detach()), nan=0.0)
    return torch.where(base < 0, sign * magnitude, magnitude)


@register_generator("linearfilt")
def _linear_filter(options: GeneratorOptions) -> LinearFilter:
    return LinearFilter(options)


@register_generator("gammafilt")
def _gamma_filter(options: GeneratorOptions) -> GammaFilter:
    return GammaFilter(options)
