"""The super-resolution generators (Ledig et al. 2016, SRResNet and SRGAN)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.layers import ResidualBlock, bias_beside, normalisation
from txm2sem_core.networks.receptive import convolution, enlargement, receptive_radius
from txm2sem_core.networks.registry import GeneratorOptions, register_generator

BLOCKS = range(1, 17)  # sr_resnet_1blocks to sr_resnet_16blocks; published: 6 and 9
FACTORS = (1, 2, 4, 8, 16)


class SRResNet(ImageGenerator):
    """9x9 convolution, `blocks` residual blocks under one long skip, log2(factor) pixel shuffles, 7x7, tanh.

    All at the width of the first layer. Activations are PReLU with one slope each.
    """

    def __init__(self, options: GeneratorOptions, blocks: int) -> None:
        doublings = int(math.log2(options.factor))
        layers = [
            convolution(9),
            *[convolution(3)] * (2 * blocks + 1),
            *[convolution(3), enlargement(2)] * doublings,
            convolution(7),
        ]
        super().__init__(
            in_channels=options.in_channels,
            out_channels=options.out_channels,
            factor=options.factor,
            minimum_size=5,  # the reflection of the first convolution
            receptive_radius_px=receptive_radius(layers, period=options.factor, factor=options.factor),
            uses_image_statistics=options.norm == "instance",
        )
        width, norm, bias = options.width, options.norm, bias_beside(options.norm)
        self.first_conv = nn.Conv2d(options.in_channels, width, 9, padding=4, padding_mode="reflect", bias=bias)
        self.first_activation = nn.PReLU()
        self.blocks = nn.Sequential(
            *(ResidualBlock(width, norm, dropout=options.dropout, activation=nn.PReLU) for _ in range(blocks))
        )
        self.middle_conv = nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect", bias=bias)
        self.middle_norm = normalisation(norm, width)
        self.up_convs = nn.ModuleList(nn.Conv2d(width, 4 * width, 3, padding=1, bias=bias) for _ in range(doublings))
        self.up_activations = nn.ModuleList(nn.PReLU() for _ in range(doublings))
        self.last_conv = nn.Conv2d(width, options.out_channels, 7, padding=3, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, factor Y, factor X]` in [-1, 1]."""
        self.check_input(x)
        first = self.first_activation(self.first_conv(x))
        x = first + self.middle_norm(self.middle_conv(self.blocks(first)))
        for conv, activation in zip(self.up_convs, self.up_activations, strict=True):
            x = activation(functional.pixel_shuffle(conv(x), 2))
        return torch.tanh(self.last_conv(x))


def _register(blocks: int) -> None:
    @register_generator(f"sr_resnet_{blocks}blocks", factors=FACTORS)
    def build(options: GeneratorOptions) -> SRResNet:
        return SRResNet(options, blocks)


for _blocks in BLOCKS:
    _register(_blocks)
