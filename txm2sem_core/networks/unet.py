"""The U-Net generators of pix2pix (Isola et al. 2017; Ronneberger et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.layers import DROPOUT_SHARE, bias_beside, normalisation
from txm2sem_core.networks.receptive import convolution, receptive_radius, transposed_convolution
from txm2sem_core.networks.registry import GeneratorOptions, register_generator

DEPTHS = range(5, 10)  # unet_32 to unet_512
FIRST_DROPOUT_LEVEL = 4  # levels below it are as wide as they get


class UNet(ImageGenerator):
    """An encoder and a decoder of `depth` levels, joined at each level; halved and doubled by 4x4 convolutions.

    `unet_N` has log2 N levels, so that an N x N input is one pixel at the bottom. Larger inputs are taken as well, in
    multiples of N. Level k has `width * min(2^k, 8)` channels. The outermost level has no norm, and the encoder's
    innermost has none, as the statistics of one pixel would be empty.
    """

    def __init__(self, options: GeneratorOptions, depth: int) -> None:
        down = [convolution(4, 2, 1)] * depth
        up = [transposed_convolution(4, 2, 1)] * depth
        super().__init__(
            in_channels=options.in_channels,
            out_channels=options.out_channels,
            size_multiple=2**depth,
            minimum_size=2**depth,
            receptive_radius_px=receptive_radius([*down, *up], period=2**depth),
            uses_image_statistics=options.norm == "instance",
        )
        bias = bias_beside(options.norm)
        widths = [options.width * min(2**level, 8) for level in range(depth)]
        outer_widths = [options.out_channels, *widths[:-1]]
        self.down_convs = nn.ModuleList()
        self.down_norms = nn.ModuleList()
        self.up_convs = nn.ModuleList()
        self.up_norms = nn.ModuleList()
        self.dropouts = nn.ModuleList()
        for level, (outer, inner) in enumerate(zip(outer_widths, widths, strict=True)):
            outermost, innermost = level == 0, level == depth - 1
            incoming = options.in_channels if outermost else outer
            joined = inner if innermost else 2 * inner
            dropped = options.dropout and level >= FIRST_DROPOUT_LEVEL and not innermost
            self.down_convs.append(nn.Conv2d(incoming, inner, 4, stride=2, padding=1, bias=bias))
            self.down_norms.append(normalisation("none" if outermost or innermost else options.norm, inner))
            self.up_convs.append(nn.ConvTranspose2d(joined, outer, 4, stride=2, padding=1, bias=bias or outermost))
            self.up_norms.append(normalisation("none" if outermost else options.norm, outer))
            self.dropouts.append(nn.Dropout(DROPOUT_SHARE if dropped else 0.0))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y, X]` in [-1, 1]; InputError for a size that does not fit."""
        self.check_input(x)
        skips: list[Tensor] = []
        for conv, norm in zip(self.down_convs, self.down_norms, strict=True):
            x = functional.leaky_relu_(norm(conv(x)), 0.2)
            skips.append(x)
        x = functional.relu(skips.pop())
        for conv, norm, dropout in reversed(list(zip(self.up_convs, self.up_norms, self.dropouts, strict=True))):
            x = dropout(norm(conv(x)))
            if skips:
                x = functional.relu_(torch.cat([skips.pop(), x], dim=1))
        return torch.tanh(x)


def _register(depth: int) -> None:
    @register_generator(f"unet_{2**depth}")
    def build(options: GeneratorOptions) -> UNet:
        return UNet(options, depth)


for _depth in DEPTHS:
    _register(_depth)
