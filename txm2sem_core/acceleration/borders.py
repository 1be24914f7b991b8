"""Reflected borders of images with channels innermost in memory on a GPU.

The library reflects such images in the other layout, and copies them there and back: on an H200 that took 9 of the 13
ms of a plane of `resnet_9blocks` (1024 x 1024, bfloat16). Here each pixel of the border is copied with all its
channels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALL = 2**22  # values of an image: below it one kernel that gathers all pixels is the fastest


class ReflectedConv2d(nn.Conv2d):
    """`nn.Conv2d` with a reflected border."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """As the parent's, which takes the border from the library."""
        if self.padding_mode != "reflect" or not reflects_fast(input):
            return super()._conv_forward(input, weight, bias)
        assert not isinstance(self.padding, str), "these layers are made with numbers"
        my, mx = self.padding
        whole = reflected(input, (my, mx))
        return functional.conv2d(whole, weight, bias, self.stride, 0, self.dilation, self.groups)


def reflects_fast(x: Tensor) -> bool:
    """Whether an image is on a GPU with channels innermost, and not compiled, which joins borders with other layers."""
    if not x.is_cuda or torch.compiler.is_compiling():
        return False
    return x.dim() == 4 and x.shape[1] > 1 and x.is_contiguous(memory_format=torch.channels_last)


def reflected(x: Tensor, margins: tuple[int, int]) -> Tensor:
    """An image `[B, C, Y, X]` within its reflected border: `[B, C, Y + 2 margins[0], X + 2 margins[1]]`.

    As `functional.pad` with the mode `reflect`; in memory, channels are innermost.
    """
    made: Tensor = _Reflected.apply(x, margins)  # type: ignore[no-untyped-call]
    return made


class _Reflected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, margins: tuple[int, int]) -> Tensor:
        batch, channels, height, width = ctx.shape = x.shape
        my, mx = ctx.margins = margins
        pixels = x.permute(0, 2, 3, 1)
        size = (batch, height + 2 * my, width + 2 * mx, channels)
        if x.numel() <= SMALL:
            everything = _mirrored_pixels(height, width, my, mx, x.device)
            return pixels.reshape(batch, -1, channels).index_select(1, everything).view(size).permute(0, 3, 1, 2)
        border, mirrored = _border(height, width, my, mx, x.device)
        whole = x.new_empty(size)
        whole[:, my : my + height, mx : mx + width] = pixels
        whole.view(batch, -1, channels).index_copy_(
            1, border, pixels.reshape(batch, -1, channels).index_select(1, mirrored)
        )
        return whole.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        batch, channels, height, width = ctx.shape
        my, mx = ctx.margins
        whole = gradients[0].permute(0, 2, 3, 1)
        border, mirrored = _border(height, width, my, mx, whole.device)
        inside = whole[:, my : my + height, mx : mx + width].reshape(batch, -1, channels)
        of_border = whole.reshape(batch, -1, channels).index_select(1, border)
        summed = inside.index_add(1, mirrored, of_border)
        return summed.view(batch, height, width, channels).permute(0, 3, 1, 2), None


@cache  # for good: graphs of steps read from there
def _border(height: int, width: int, my: int, mx: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Numbers of the border's pixels in the whole, row by row, and of what they mirror in the image."""
    outside = torch.ones(height + 2 * my, width + 2 * mx, dtype=torch.bool)
    outside[my : my + height, mx : mx + width] = False
    border = outside.flatten().nonzero().flatten()
    mirrored = _shown(height, width, my, mx)[border]
    return border.to(device), mirrored.to(device)


@cache  # for good, too
def _mirrored_pixels(height: int, width: int, my: int, mx: int, device: torch.device) -> Tensor:
    """`_shown` on a device."""
    return _shown(height, width, my, mx).to(device)


def _shown(height: int, width: int, my: int, mx: int) -> Tensor:
    """Number of the pixel of the image that each pixel of the whole shows, row by row."""
    rows, columns = (_mirrored(length, margin) for length, margin in ((height, my), (width, mx)))
    return (rows[:, None] * width + columns).flatten()


def _mirrored(length: int, margin: int) -> Tensor:
    """What each of a line's pixels with its border shows."""
    beyond = torch.arange(-margin, length + margin).abs()
    return length - 1 - (length - 1 - beyond).abs()
