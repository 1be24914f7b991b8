"""A U-Net of residual blocks, whose levels are joined by sums and enlarged by interpolation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.layers import ResidualBlock, evenly_spaced
from txm2sem_core.networks.receptive import convolution, doubling, receptive_radius
from txm2sem_core.networks.registry import GeneratorOptions, register_generator

LEVELS = 3
BLOCKS = 2 * LEVELS - 1
FREQUENCIES = 8  # of the time
EMBEDDED = 32  # numbers that the time becomes


class ResidualUNet(ImageGenerator):
    """Residual blocks (He et al. 2016) at full, half and quarter resolution, on the way down and on the way up.

    Level k has `width * (k + 1)` channels. A level is halved by a 2x2 convolution of stride 2. On the way up the
    coarser level is brought to the channels of the finer one, enlarged by bilinear interpolation and added to it:
    transposed convolutions leave a grid (Odena et al. 2016). The output has no bound: it may be a grey level beyond the
    recorded range. Norms stand in the blocks alone. First weights are PyTorch's own, and 0 in the last layer.
    """

    initialises_itself = True

    def __init__(self, options: GeneratorOptions) -> None:
        block = [convolution(3)] * 2
        down = [*block, convolution(2, 2, 0)] * (LEVELS - 1)
        up = [doubling, *block] * (LEVELS - 1)
        super().__init__(
            in_channels=options.in_channels,
            out_channels=options.out_channels,
            size_multiple=2 ** (LEVELS - 1),
            minimum_size=2**LEVELS,  # the reflection of the blocks at the coarsest level
            receptive_radius_px=receptive_radius(
                [convolution(3), *down, *block, *up, convolution(3)], period=2 ** (LEVELS - 1)
            ),
            uses_image_statistics=options.norm == "instance",
        )
        widths = [options.width * (level + 1) for level in range(LEVELS)]

        def blocks(widths: Sequence[int]) -> nn.ModuleList:
            return nn.ModuleList(
                ResidualBlock(width, options.norm, dropout=options.dropout, activation=nn.ReLU) for width in widths
            )

        self.first_conv = nn.Conv2d(options.in_channels, widths[0], 3, padding=1, padding_mode="reflect")
        self.down_blocks = blocks(widths)
        self.down_convs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths))
        self.up_convs = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.up_blocks = blocks(widths[:-1])
        self.last_conv = nn.Conv2d(widths[0], options.out_channels, 3, padding=1, padding_mode="reflect")
        nn.init.zeros_(self.last_conv.weight)

    def shifts(self, x: Tensor) -> Sequence[Tensor | None]:
        """What is added within each block of the way down, then of the way up: `[B, C, 1, 1]` or nothing."""
        return [None] * BLOCKS

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y, X]`; InputError for a size that does not fit."""
        self.check_input(x)
        shifts = self.shifts(x)
        levels = [self.down_blocks[0](self.first_conv(x), shifts[0])]
        for conv, block, shift in zip(self.down_convs, self.down_blocks[1:], shifts[1:], strict=False):
            levels.append(block(conv(levels[-1]), shift))
        x = levels.pop()
        upward = zip(self.up_convs, self.up_blocks, shifts[LEVELS:], strict=True)
        for conv, block, shift in reversed(list(upward)):
            x = block(levels.pop() + enlarge(conv(x)), shift)
        return self.last_conv(x)


class VelocityUNet(ResidualUNet):
    """The velocity of a `Flow`: one of the input's channels is the time, which also shifts the middle of each block.

    The shifts are linear in a vector that two layers make of sines and cosines of the time (Ho et al. 2020).
    """

    def __init__(self, options: GeneratorOptions, time_channel: int) -> None:
        super().__init__(options)
        self.time_channel = time_channel
        self.embedding = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, EMBEDDED), nn.SiLU(), nn.Linear(EMBEDDED, EMBEDDED), nn.SiLU()
        )
        widths = [block.conv1.out_channels for block in (*self.down_blocks, *self.up_blocks)]
        self.time_shifts = nn.ModuleList(nn.Linear(EMBEDDED, width) for width in widths)
        rates = torch.exp(evenly_spaced(0, math.log(100), FREQUENCIES)) * math.pi / 2
        self.register_buffer("rates", rates, persistent=False)

    rates: Tensor

    def shifts(self, x: Tensor) -> Sequence[Tensor | None]:
        """By the time, which is the same in every pixel of an image."""
        angles = x[:, self.time_channel, 0, 0, None] * self.rates
        embedded = self.embedding(torch.cat([angles.sin(), angles.cos()], dim=1))
        return [shift(embedded)[:, :, None, None] for shift in self.time_shifts]


def enlarge(x: Tensor) -> Tensor:
    """Twice as many pixels along Y and X, interpolated between the centres of the given ones."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


@register_generator("residual_unet")
def build(options: GeneratorOptions) -> ResidualUNet:
    """Three levels."""
    return ResidualUNet(options)
