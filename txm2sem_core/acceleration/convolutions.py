"""Convolutions that a CPU computes faster in another order.

The library's direct convolution (oneDNN) comes close to the processor's matrix rate where an image has many pixels and
a layer many channels. It is far from it where it reads large weights for a few pixels (the inner levels of a U-Net),
and where it makes one channel out of many (a generator's last layer). There these layers sum the same products in
another order, so that results agree within rounding; elsewhere, on a GPU, in half precision, and compiled they are the
library's. Weights, and their names, are those of the layer that each is derived from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration.borders import ReflectedConv2d

FEW_PIXELS = 64  # of a batch, on the smaller side of the layer: below it reading the weights takes the time
FEW_CHANNELS = 4  # made of many
BLOCK = 4  # side of the blocks that they are made in


def on_cpu_uncompiled(x: Tensor) -> bool:
    """Whether x is computed on a CPU, by Python code that is not being compiled."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def on_cpu_without_autocast(x: Tensor) -> bool:
    """Whether, in addition, x is computed in its own precision, without autocast."""
    return on_cpu_uncompiled(x) and not torch.is_autocast_enabled("cpu")


def on_cpu_channels_last(x: Tensor) -> bool:
    """As `on_cpu_uncompiled`, for images with channels innermost in memory.

    Images have another layout where the gradient of the input is needed (`channels_innermost`), so that `torch.func`,
    which our gradients do not support, uses the library's layers.
    """
    return on_cpu_uncompiled(x) and x.stride(1) == 1


def by_own_gradients(x: Tensor) -> bool:
    """Whether gradients are computed by a layer's own code, which needs images with channels innermost."""
    return torch.is_grad_enabled() and on_cpu_channels_last(x)


def pixels(x: Tensor) -> int:
    """Of all images of a batch `[B, C, Y, X]`."""
    return x.shape[0] * x.shape[2] * x.shape[3]


def bordered(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """An image `[B, C, Y, X]` with the border that the layer makes: `[B, C, Y + 2 padding, X + 2 padding]`."""
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return functional.pad(x, layer._reversed_padding_repeated_twice, mode=mode)


def _padding(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[int, int]:
    assert not isinstance(layer.padding, str), "these layers are made with numbers"
    y, x = layer.padding
    return y, x


class FewPixelConv2d(nn.Conv2d):
    """`nn.Conv2d` (no groups, no dilation, zeros as padding) for layers that may come to see few pixels.

    The time is that of reading the weights, so that half precision, for which they would be read and written before,
    is not used.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y', X']`, as the parent's."""
        batch, (height, width) = x.shape[0], self._size(x)
        if not (on_cpu_uncompiled(x) and batch * height * width <= FEW_PIXELS):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            x = x.to(self.weight.dtype)
            windows = functional.unfold(x, self.kernel_size, padding=self.padding, stride=self.stride)  # type: ignore[arg-type]
            windows = windows.transpose(0, 1).flatten(1)  # all images side by side: the weights are read once
            made = (self.weight.flatten(1) @ windows).view(-1, batch, height, width).transpose(0, 1)
            return made if self.bias is None else made + self.bias[:, None, None]

    def _size(self, x: Tensor) -> tuple[int, int]:
        (ky, kx), (sy, sx), (py, px) = self.kernel_size, self.stride, _padding(self)
        return (x.shape[2] + 2 * py - ky) // sy + 1, (x.shape[3] + 2 * px - kx) // sx + 1


class FewPixelConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` (no groups, no dilation) for layers that may come to see few pixels; as `FewPixelConv2d`."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y', X']`, as the parent's."""
        batch, _, height, width = x.shape
        if not (on_cpu_uncompiled(x) and batch * height * width <= FEW_PIXELS and output_size is None):
            return super().forward(x, output_size)
        with torch.autocast("cpu", enabled=False):
            pixels = x.to(self.weight.dtype).transpose(0, 1).flatten(1)
            # in this order the weights, which take the time, are read along the rows that they are stored in
            windows = (pixels.t() @ self.weight.flatten(1)).view(batch, height * width, -1).transpose(1, 2)
            made = functional.fold(windows, self._size(x), self.kernel_size, padding=self.padding, stride=self.stride)  # type: ignore[arg-type]
            return made if self.bias is None else made + self.bias[:, None, None]

    def _size(self, x: Tensor) -> tuple[int, int]:
        (ky, kx), (sy, sx), (py, px) = self.kernel_size, self.stride, _padding(self)
        oy, ox = self.output_padding
        return (x.shape[2] - 1) * sy - 2 * py + ky + oy, (x.shape[3] - 1) * sx - 2 * px + kx + ox


class FewChannelConv2d(ReflectedConv2d):
    """`nn.Conv2d` (stride 1, no groups, no dilation) that makes few channels out of many.

    A block of 4 x 4 output pixels is made at once, as 16 channels of a convolution with stride 4 whose kernels are this
    one's, shifted to each pixel of the block: twice as many products, at many times the rate.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y', X']`, as the parent's."""
        if not (on_cpu_without_autocast(x) and self.out_channels <= FEW_CHANNELS):
            return super().forward(x)
        return self.inside(bordered(self, x))

    def inside(self, x: Tensor) -> Tensor:
        """The same of an image that has its border already; `[B, in_channels, Y + 2 padding, X + 2 padding]`."""
        made = _by_blocks(x, self.weight)
        return made if self.bias is None else made + self.bias[:, None, None]


def _by_blocks(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve an image that has its border: `[B, C, Y + ky - 1, X + kx - 1]` to `[B, few, Y, X]`."""
    ky, kx = weight.shape[2:]
    side = math.gcd(BLOCK, x.shape[2] - ky + 1, x.shape[3] - kx + 1)
    last = side - 1
    kernels = [
        functional.pad(weight, (right, last - right, down, last - down))
        for down in range(side)
        for right in range(side)
    ]
    blocks = functional.conv2d(x, torch.stack(kernels, dim=1).flatten(0, 1), stride=side)
    return functional.pixel_shuffle(blocks, side)


class FewChannelConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` (kernel of twice the stride, no groups, no dilation) that makes few channels out of many.

    With strides of s, a block of s x s output pixels depends on 2 x 2 input pixels: one product of all pixels with all
    weights, and a sum of four images of blocks, each shifted to its place.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y', X']`, as the parent's."""
        return super().forward(x, output_size) if output_size else self.joined([x])

    def joined(self, images: Sequence[Tensor]) -> Tensor:
        """What `forward` makes of images `[B, channels, Y, X]` side by side, in_channels together, without a copy."""
        if not (on_cpu_without_autocast(images[0]) and self.out_channels <= FEW_CHANNELS):
            return super().forward(images[0] if len(images) == 1 else torch.cat(list(images), dim=1))
        s, (py, px) = self.stride[0], _padding(self)
        batch, _, height, width = images[0].shape
        inner = self.in_channels
        # by the neighbour that they belong to, above or below, left or right, then by pixel of the block
        weights = self.weight.reshape(inner, -1, 2, s, 2, s).permute(2, 4, 1, 3, 5, 0).flatten(0, 4)
        shares = torch.split(weights, [image.shape[1] for image in images], dim=1)
        parts = shares[0] @ images[0].flatten(2)
        for share, image in zip(shares[1:], images[1:], strict=True):
            parts.baddbmm_(share.expand(batch, -1, -1), image.flatten(2))
        parts = parts.view(batch, 2, 2, -1, height, width)
        blocks = functional.pad(parts[:, 0, 0], (0, 1, 0, 1))
        blocks[:, :, 1:, :-1] += parts[:, 1, 0]
        blocks[:, :, :-1, 1:] += parts[:, 0, 1]
        blocks[:, :, 1:, 1:] += parts[:, 1, 1]
        made = functional.pixel_shuffle(blocks, s)
        made = made[:, :, py : made.shape[2] - py, px : made.shape[3] - px]
        return made if self.bias is None else made + self.bias[:, None, None]
