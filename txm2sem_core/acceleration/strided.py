"""4 x 4 convolutions that halve or double an image, with fewer products: a U-Net's, for prediction on a CPU.

Both are 2 x 2 convolutions with a stride of one, of blocks of 2 x 2 pixels or into such blocks, and are computed by
minimal filtering where that is faster (`winograd`). Weights, and their names, are the library's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from txm2sem_core.acceleration.convolutions import FewPixelConv2d, FewPixelConvTranspose2d, pixels
from txm2sem_core.acceleration.winograd import FILTERINGS, SIDE, are_enough, by_bands, can_be_filtered

FEWEST_PIXELS = 4096  # of a batch, on the smaller side of the layer: as for `winograd`, of layers with larger weights
FEWEST_CHANNELS = 150  # inner * outer / (inner + outer) of the 2 x 2 convolution


class HalvingConv2d(FewPixelConv2d):
    """`nn.Conv2d` of 4 x 4 pixels, with a stride of 2 and a border of one zero."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y / 2, X / 2]`, as the parent's."""
        even = x.shape[2] % 2 == x.shape[3] % 2 == 0
        if even and _pays(x, pixels(x) // 4, 4 * self.in_channels, self.out_channels):
            return halving_convolution(x, self.weight, self.bias, int(self.padding[0]))
        return super().forward(x)


class DoublingConvTranspose2d(FewPixelConvTranspose2d):
    """`nn.ConvTranspose2d` of 4 x 4 pixels, with a stride of 2 and a border of one."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, 2 Y, 2 X]`, as the parent's."""
        if output_size is None and _pays(x, pixels(x), self.in_channels, 4 * self.out_channels):
            return doubling_convolution(x, self.weight, self.bias, int(self.padding[0]))
        return super().forward(x, output_size)


def _pays(x: Tensor, pixels: int, inner: int, outer: int) -> bool:
    large = are_enough(pixels, inner, outer, FEWEST_PIXELS, FEWEST_CHANNELS)
    return large and not torch.is_grad_enabled() and can_be_filtered(x)


def halving_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, border: int = 1) -> Tensor:
    """What `HalvingConv2d` makes. The first block begins in the border.

    Args:
        x: `[B, C, 2 Y + 2 - 2 border, 2 X]`, channels innermost in memory.
        weight: `[C', C, 4, 4]`.
        bias: `[C']`.
        border: rows above and below that are made here: one, or none where x brings them (`row_streams`).

    Returns:
        `[B, C', Y, X]`, without gradients.
    """
    (batch, inner, height, width), outer = x.shape, weight.shape[0]
    height, width = height // 2 + border - 1, width // 2
    x = functional.pad(x, (1, 1 + 2 * (-width % SIDE), border, border + 2 * (-height % SIDE)))
    # two rows of a block, and in each its two pixels with all channels, which lie beside each other
    rows = x.permute(0, 2, 3, 1).view(batch, x.shape[2] // 2, 2, x.shape[3] // 2, 2 * inner)
    taps = weight.view(outer, inner, 2, 2, 2, 2).permute(0, 3, 5, 1, 2, 4)  # [C', row, column, C, tap, tap]
    made = by_bands(rows.transpose(2, 3), taps.reshape(outer, 4 * inner, 2, 2), bias)
    return made.flatten(1, 2).flatten(2, 3)[:, :height, :width].permute(0, 3, 1, 2)


def doubling_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, border: int = 1) -> Tensor:
    """What `DoublingConvTranspose2d` makes. The first block begins in the border, which is cut off.

    Args:
        x: `[B, C, Y, X]`, channels innermost in memory.
        weight: `[C, C', 4, 4]`.
        bias: `[C']`.
        border: rows that are cut off above and below.

    Returns:
        `[B, C', 2 Y + 2 - 2 border, 2 X]`, without gradients.
    """
    (batch, inner, height, width), outer = x.shape, weight.shape[1]
    x = functional.pad(x, (1, 1 + -(width + 1) % SIDE, 1, 1 + -(height + 1) % SIDE)).permute(0, 2, 3, 1)
    # later taps belong to earlier pixels: [row, column, C', C, tap, tap]
    taps = weight.view(inner, outer, 2, 2, 2, 2).flip(2, 4).permute(3, 5, 1, 0, 2, 4)
    _, down, across = FILTERINGS[2, x.dtype].count(x.shape)
    made = x.new_empty(batch, down, SIDE, 2, across, SIDE, 2 * outer)
    tiles = made.permute(0, 1, 2, 4, 5, 3, 6)
    by_bands(x, taps.reshape(4 * outer, inner, 2, 2), None if bias is None else bias.repeat(2), tiles)
    image = made.view(batch, 2 * SIDE * down, 2 * SIDE * across, outer)
    return image[:, border : 2 * height + 2 - border, 1 : 2 * width + 1].permute(0, 3, 1, 2)
