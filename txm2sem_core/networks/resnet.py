"""The ResNet generators (Johnson et al. 2016, as in CycleGAN and pix2pix)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.layers import ResidualBlock, bias_beside, normalisation
from txm2sem_core.networks.receptive import convolution, receptive_radius, transposed_convolution
from txm2sem_core.networks.registry import GeneratorOptions, register_generator

BLOCKS = range(1, 17)  # resnet_1blocks to resnet_16blocks; published: 6 and 9
SAMPLINGS = 2  # halvings before the residual blocks, doublings after


class ResNet(ImageGenerator):
    """7x7 convolution, two halvings, `blocks` residual blocks, two doublings, 7x7 convolution, tanh."""

    def __init__(self, options: GeneratorOptions, blocks: int) -> None:
        layers = [
            convolution(7),
            *[convolution(3, 2)] * SAMPLINGS,
            *[convolution(3)] * (2 * blocks),
            *[transposed_convolution(3, 2, 1)] * SAMPLINGS,
            convolution(7),
        ]
        super().__init__(
            in_channels=options.in_channels,
            out_channels=options.out_channels,
            size_multiple=2**SAMPLINGS,
            minimum_size=2 * 2**SAMPLINGS,  # the reflection inside the blocks needs two pixels
            receptive_radius_px=receptive_radius(layers, period=2**SAMPLINGS),
            uses_image_statistics=options.norm == "instance",
        )
        norm, bias = options.norm, bias_beside(options.norm)
        widths = [options.width * 2**level for level in range(SAMPLINGS + 1)]
        steps = list(itertools.pairwise(widths))
        self.first_conv = nn.Conv2d(options.in_channels, widths[0], 7, padding=3, padding_mode="reflect", bias=bias)
        self.first_norm = normalisation(norm, widths[0])
        self.down_convs = nn.ModuleList(
            nn.Conv2d(outer, inner, 3, stride=2, padding=1, bias=bias) for outer, inner in steps
        )
        self.down_norms = nn.ModuleList(normalisation(norm, inner) for _, inner in steps)
        self.blocks = nn.Sequential(
            *(ResidualBlock(widths[-1], norm, dropout=options.dropout, activation=_relu) for _ in range(blocks))
        )
        self.up_convs = nn.ModuleList(
            nn.ConvTranspose2d(inner, outer, 3, stride=2, padding=1, output_padding=1, bias=bias)
            for outer, inner in reversed(steps)
        )
        self.up_norms = nn.ModuleList(normalisation(norm, outer) for outer, _ in reversed(steps))
        self.last_conv = nn.Conv2d(widths[0], options.out_channels, 7, padding=3, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y, X]` in [-1, 1]; InputError for a size that does not fit."""
        self.check_input(x)
        x = functional.relu_(self.first_norm(self.first_conv(x)))
        for conv, norm in zip(self.down_convs, self.down_norms, strict=True):
            x = functional.relu_(norm(conv(x)))
        x = self.blocks(x)
        for conv, norm in zip(self.up_convs, self.up_norms, strict=True):
            x = functional.relu_(norm(conv(x)))
        return torch.tanh(self.last_conv(x))


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)  # of a norm's result, which its gradient does not need


def _register(blocks: int) -> None:
    @register_generator(f"resnet_{blocks}blocks")
    def build(options: GeneratorOptions) -> ResNet:
        return ResNet(options, blocks)


for _blocks in BLOCKS:
    _register(_blocks)
