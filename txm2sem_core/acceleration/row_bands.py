"""The first and the last layers of a ResNet by bands of rows, for prediction on a CPU.

At full resolution these layers compute the network's largest images, each of which only the next layer reads. For a
large plane they are computed in bands, so that no such image is ever whole: this takes less memory and as much time.
Results agree within rounding: PyTorch may sum in another order for another size.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration.convolutions import pixels
from txm2sem_core.acceleration.padded import Frame, in_plain_prediction, write_activated

BANDED_VALUES = 2**23  # of an image, all channels: smaller ones need little memory
BAND_ROWS = 64  # of the full resolution, a multiple of 4


def bands_pay(x: Tensor, channels: int) -> bool:
    """Whether layers that compute an image of so many channels from x are to be computed in bands."""
    return in_plain_prediction(x) and pixels(x) * channels >= BANDED_VALUES


def halved(first: nn.Conv2d, activation: nn.Module, down: nn.Module, x: Tensor) -> Tensor:
    """down(activation(first(x))).

    `first` reflects its border and keeps the size; `down` has 3 x 3 pixels, strides of 2, and zeros around the image.
    """
    assert isinstance(down, nn.Conv2d)
    margin = int(first.padding[0])
    framed = functional.pad(x, [margin] * 4, mode="reflect")
    batch, _, height, width = x.shape
    made = _empty(x.dtype, (batch, down.out_channels, height // 2, width // 2))
    for top, bottom in _bands(height):
        above = max(top - 1, 0)  # one more row than it makes goes into each band, but for the first
        full = activation(functional.conv2d(framed[:, :, above : bottom + 2 * margin], first.weight, first.bias))
        if top == 0:
            full = functional.pad(full, (0, 0, 1, 0))
        made[:, :, top // 2 : bottom // 2] = functional.conv2d(full, down.weight, down.bias, stride=2, padding=(0, 1))
    return made


def doubled_at_last(up: nn.Module, activation: nn.Module, last: nn.Conv2d, x: Tensor) -> Tensor:
    """last(activation(up(x))).

    `up` has 3 x 3 pixels and doubles the size; `last` reflects its border and keeps the size.
    """
    assert isinstance(up, nn.ConvTranspose2d)
    margin = int(last.padding[0])
    batch, _, height, width = x.shape
    made = _empty(x.dtype, (batch, last.out_channels, 2 * height, 2 * width))
    for top, bottom in _bands(2 * height):
        first, end = max(top - margin, 0), min(bottom + margin, 2 * height)
        rows = x[:, :, first // 2 : end // 2 + 1]  # a row of x makes two, the second of them with the row below it
        full = up(rows)[:, :, first % 2 : first % 2 + end - first]
        frame = Frame((batch, up.out_channels, bottom - top, 2 * width), margin, x.dtype)
        write_activated(activation, full, frame.whole[:, :, margin + first - top : margin + end - top, margin:-margin])
        frame.reflect_columns()
        if top == 0:
            frame.reflect_top()
        if bottom == 2 * height:
            frame.reflect_bottom()
        made[:, :, top:bottom] = frame.convolved(last)
    return made


def _bands(height: int) -> Iterator[tuple[int, int]]:
    for top in range(0, height, BAND_ROWS):
        yield top, min(top + BAND_ROWS, height)


def _empty(dtype: torch.dtype, shape: tuple[int, int, int, int]) -> Tensor:
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)
