r"""Convolutions with fewer products, on a CPU: minimal filtering (Winograd 1980; Lavin and Gray 2015).

A tile of 4 x 4 output pixels of a 3 x 3 convolution depends on 6 x 6 input pixels and 9 weights. Instead of 144
products for each pair of channels (9 weights for each of 16 pixels), both are transformed, multiplied at 36 points, and
transformed back (arXiv 1509.09308, equation 8, here with both of its one-dimensional transforms in one
matrix):

    output = A ((G weights) * (B input)),    A = A1 x A1, G = G1 x G1, B = B1 x B1 (Kronecker products)

The products at a point are a matrix product over channels. The result differs from the library's by rounding: with the
points below by 1.2e-6 of its root mean square in float32, where the library's sums are off by 0.6e-6.

A 2 x 2 convolution, as which `strided` computes a U-Net's layers, has 25 points instead of 64 products.

Fewer products gain time only where a matrix product reaches the rate of the library's convolutions
(`products_keep_up`). docs/evidence/speed.md has what was measured.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from txm2sem_core.acceleration import convolutions
from txm2sem_core.acceleration.borders import ReflectedConv2d

DTYPES = torch.float32, torch.float64
SIDE = 4  # of an output tile
POINTS = {  # by the kernel's side, and infinity; small whole numbers round twice as badly
    2: (0.0, 1 / 2, -1.0, 3 / 2),
    3: (0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2),
}
FEWEST_PIXELS = 1024  # of a batch: below it transforming the weights takes as long as is gained
FEWEST_CHANNELS = 48  # inner * outer / (inner + outer): below it transforming the images does
TILES_AT_ONCE = 512  # of a band: what they are transformed into stays in the cache, without too many calls


@dataclass(frozen=True)
class Filtering:
    """The transforms for a kernel of `taps` x `taps`; a tile depends on `seen` x `seen` pixels.

    A, G, B are `to_pixels`, `from_weights`, `from_pixels`, `[16, seen^2]`, `[seen^2, taps^2]` and `[seen^2, seen^2]`:
    Cook and Toom's polynomials at `POINTS` and infinity (Barabasz et al. 2020, arXiv 1803.10986, section 2).
    """

    taps: int
    seen: int
    to_pixels: Tensor
    from_weights: Tensor
    from_pixels: Tensor

    @classmethod
    def of(cls, taps: int, dtype: torch.dtype) -> Self:
        """The filtering of a kernel with that side, in float32 or float64."""
        points, seen = np.array(POINTS[taps]), SIDE + taps - 1
        a, g, b = np.zeros((SIDE, seen)), np.zeros((seen, taps)), np.zeros((seen, seen))
        for number, point in enumerate(points):
            others = np.delete(points, number)
            a[:, number] = point ** np.arange(SIDE)
            g[number] = point ** np.arange(taps) / np.prod(point - others)
            b[number, :-1] = np.poly(others)[::-1]
        a[-1, -1] = g[-1, -1] = 1
        b[-1] = np.poly(points)[::-1]
        return cls(taps, seen, *(torch.from_numpy(np.kron(matrix, matrix)).to(dtype) for matrix in (a, g, b)))

    def count(self, shape: torch.Size) -> tuple[int, int, int]:
        """Images, and tiles down and across each, of `[B, Y + taps - 1, X + taps - 1, ...]`."""
        return shape[0], (shape[1] - self.taps + 1) // SIDE, (shape[2] - self.taps + 1) // SIDE

    def windows(self, x: Tensor) -> Tensor:
        """A view of an image as counted by `count`, as overlapping tiles `[seen, seen, B, down, across, ...]`."""
        return x.unfold(1, self.seen, SIDE).unfold(2, self.seen, SIDE).movedim((-2, -1), (0, 1))

    def points(self, tiles: int, channels: int) -> tuple[int, int, int]:
        """Shape of what so many tiles are transformed into."""
        return self.seen**2, tiles, channels

    def transformed(self, weight: Tensor) -> Tensor:
        """`[C', C, taps, taps]` to `[seen^2, C', C]`."""
        outer, inner = weight.shape[:2]
        taps = weight.permute(0, 2, 3, 1).reshape(outer, self.taps**2, inner)
        made = _kept.out(weight.dtype, outer, self.seen**2, inner)
        return torch.matmul(self.from_weights, taps, out=made).transpose(0, 1)


FILTERINGS = {(taps, dtype): Filtering.of(taps, dtype) for taps in POINTS for dtype in DTYPES}


class WinogradConv2d(ReflectedConv2d):
    """`nn.Conv2d` of 3 x 3 pixels (stride 1, no groups, no dilation) for layers that may have many channels."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, out_channels, Y', X']`, as the parent's."""
        return self.convolved(x, self.weight, self.bias)

    def convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The same with other weights of the same shape."""
        if not winograd_pays(x, weight):
            return self._conv_forward(x, weight, bias)
        return winograd(convolutions.bordered(self, x), weight, bias)

    def inside(self, x: Tensor) -> Tensor:
        """The same of an image that has its border already; `[B, in_channels, Y + 2 padding, X + 2 padding]`."""
        if winograd_pays(x, self.weight):
            return winograd(x, self.weight, self.bias)
        return functional.conv2d(x, self.weight, self.bias)


def winograd_pays(x: Tensor, weight: Tensor) -> bool:
    """Whether this is the faster way for an image and a layer's weights."""
    outer, inner = weight.shape[:2]
    pixels = x.numel() // inner
    return can_be_filtered(x) and are_enough(pixels, inner, outer, FEWEST_PIXELS, FEWEST_CHANNELS)


def are_enough(pixels: int, inner: int, outer: int, fewest_pixels: int, fewest_channels: int) -> bool:
    """Whether a layer has so many pixels and channels that fewer products save more than the transforms take."""
    return pixels >= fewest_pixels and inner * outer >= fewest_channels * (inner + outer)


def can_be_filtered(x: Tensor) -> bool:
    """Whether an image is on a CPU in the precision that it has, with channels innermost, and filtering gains time."""
    innermost = convolutions.on_cpu_without_autocast(x) and convolutions.on_cpu_channels_last(x)
    return innermost and x.dtype in DTYPES and products_keep_up()


@cache
def products_keep_up() -> bool:
    """Whether matrix products reach the rate of the library's convolutions on this processor.

    PyTorch multiplies matrices by Intel's MKL, which uses AVX2 on AMD's processors, and convolves by oneDNN, which uses
    AVX-512 where there is some: 105 against 250 GFLOP/s a core (EPYC of family 26). Filtering then takes as long as the
    library or longer.
    """
    about = Path("/proc/cpuinfo")
    is_amd = about.exists() and "AuthenticAMD" in about.read_text(encoding="utf-8")
    return not (is_amd and torch.backends.cpu.get_cpu_capability() == "AVX512")


def winograd(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve an image with its border.

    Args:
        x: `[B, C, Y + taps - 1, X + taps - 1]`.
        weight: `[C', C, taps, taps]`, two or three taps.
        bias: `[C']`.

    Returns:
        `[B, C', Y, X]`.
    """
    taps = weight.shape[2]
    height, width = x.shape[2] - taps + 1, x.shape[3] - taps + 1
    if height % SIDE or width % SIDE:
        x = functional.pad(x, (0, -width % SIDE, 0, -height % SIDE))
        return winograd(x, weight, bias)[:, :, :height, :width]
    x = x.permute(0, 2, 3, 1)
    if torch.is_grad_enabled():
        made: Tensor = _Winograd.apply(x, weight)  # type: ignore[no-untyped-call]
        made = made if bias is None else made + bias
    else:
        made = by_bands(x, weight, bias)
    return made.flatten(1, 2).flatten(2, 3).permute(0, 3, 1, 2)


def by_bands(x: Tensor, weight: Tensor, bias: Tensor | None, made: Tensor | None = None) -> Tensor:
    """Output tiles `[B, down, 4, across, 4, C']` of an image `[B, Y + taps - 1, X + taps - 1, C]`.

    Band after band of them in the same memory, which stays in the cache. Channels may have more than one dimension, in
    the image and in `made`, which is written into where it is given.
    """
    filtering, outer = FILTERINGS[weight.shape[2], weight.dtype], weight.shape[0]
    batch, down, across = filtering.count(x.shape)
    if made is None:
        made = x.new_empty(batch, down, SIDE, across, SIDE, outer)
    bands = -(-down * batch * across // TILES_AT_ONCE)
    rows = -(-down // bands)
    tiles, side, channels = batch * rows * across, filtering.seen, made.shape[5:]
    seen = x.new_empty(side, side, batch, rows, across, *x.shape[3:])
    points = x.new_empty(filtering.points(tiles, weight.shape[1]))
    multiplied = x.new_empty(filtering.points(tiles, outer))
    pixels = x.new_empty(SIDE, SIDE, batch, rows, across, *channels)
    kernels = filtering.transformed(weight).transpose(1, 2)
    for top in range(0, down, rows):
        first = min(top, down - rows)  # the last band may do some rows again
        seen.copy_(filtering.windows(x[:, SIDE * first : SIDE * (first + rows) + filtering.taps - 1]))
        torch.mm(filtering.from_pixels, seen.view(side**2, -1), out=points.view(side**2, -1))
        torch.bmm(points, kernels, out=multiplied)
        torch.mm(filtering.to_pixels, multiplied.view(side**2, -1), out=pixels.view(SIDE**2, -1))
        tiled = pixels.permute(2, 3, 0, 4, 1, *range(5, pixels.dim()))
        torch.add(tiled, 0 if bias is None else bias, out=made[:, first : first + rows])
    return made


class _Kept(threading.local):
    """Memory of this thread for transformed weights, four to six times as large as the weights, needed for one product.

    Freed after every layer, it would leave gaps, cut up by smaller images: 90 MB in the training of `resnet_9blocks`.
    """

    memory = torch.empty(0)

    def out(self, dtype: torch.dtype, *shape: int) -> Tensor | None:
        """A tensor of that shape to write into, valid until the next call; None where what is written has gradients."""
        if torch.is_grad_enabled():
            return None
        if self.memory.dtype != dtype or self.memory.numel() < math.prod(shape):
            with torch.inference_mode(False):  # or no training could use it after
                self.memory = torch.empty(math.prod(shape), dtype=dtype)
        return self.memory[: math.prod(shape)].view(shape)


_kept = _Kept()


class _Winograd(torch.autograd.Function):
    """`by_bands` with gradients, and gradients of those; it keeps the image and the weights, as the library does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return by_bands(x, weight, None)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (outer, inner, taps), filtering = weight.shape[:3], FILTERINGS[weight.shape[2], weight.dtype]
        points_of_tile = filtering.seen**2
        of_pixels = gradients[0].permute(2, 4, 0, 1, 3, 5).reshape(SIDE**2, -1)
        of_products = (filtering.to_pixels.t() @ of_pixels).view(points_of_tile, -1, outer)
        of_points = torch.bmm(of_products, filtering.transformed(weight)).view(points_of_tile, -1)
        points = filtering.from_pixels @ filtering.windows(x).reshape(points_of_tile, -1)
        points = points.view(points_of_tile, -1, inner)
        made = _kept.out(weight.dtype, points_of_tile, outer, inner)
        of_kernels = torch.bmm(of_products.transpose(1, 2), points, out=made).transpose(0, 1)
        of_weight = (filtering.from_weights.t() @ of_kernels).view(outer, taps, taps, inner).permute(0, 3, 1, 2)
        return _put_together(filtering.from_pixels.t() @ of_points, filtering, x.shape), of_weight


def _put_together(tiles: Tensor, filtering: Filtering, shape: torch.Size) -> Tensor:
    """The sum of overlapping tiles `[seen^2, B down across C]`, each in its place of an image `[B, Y, X, C]`.

    The library's own gradient of windows takes ten times as long.
    """
    batch, down, across = filtering.count(shape)
    tiles = tiles.view(filtering.seen, filtering.seen, batch, down, across, -1).permute(2, 3, 0, 4, 1, 5)
    made = tiles.new_zeros(batch, down + 1, SIDE, across + 1, SIDE, shape[3])
    for y in range(2):  # a tile reaches into the next one below and to the right
        for x in range(2):
            part = tiles[:, :, SIDE * y : SIDE * (y + 1), :, SIDE * x : SIDE * (x + 1)]
            made[:, y : y + down, : part.shape[2], x : x + across, : part.shape[4]] += part
    return made.flatten(1, 2).flatten(2, 3)[:, : shape[1], : shape[2]]
