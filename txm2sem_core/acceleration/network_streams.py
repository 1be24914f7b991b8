"""Our networks as streams of rows, each registered for one exact class: large planes in little memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration.padded import write_activated
from txm2sem_core.acceleration.row_queue import RowQueue, WaitingMemory
from txm2sem_core.acceleration.row_streams import (
    Rows,
    Write,
    activated,
    added,
    beside,
    convolved,
    cut,
    each,
    enlarged,
    interpolated,
    normalised,
)
from txm2sem_core.networks.flow import Flow, parts
from txm2sem_core.networks.layers import ResidualBlock
from txm2sem_core.networks.residual_unet import ResidualUNet, VelocityUNet
from txm2sem_core.networks.resnet import ResNet
from txm2sem_core.networks.srresnet import SRResNet
from txm2sem_core.networks.unet import UNet

Stream = Callable[[Any, Rows, int, WaitingMemory], Rows]
"""What a network makes of the rows of an input of that height, without gradients."""
AnyStream = TypeVar("AnyStream", bound=Stream)

_streams: dict[type[nn.Module], Stream] = {}
_RELU = nn.ReLU(inplace=True)


def row_stream(kind: type[nn.Module]) -> Callable[[AnyStream], AnyStream]:
    """Register what computes networks of exactly this class by rows."""

    def register(stream: AnyStream) -> AnyStream:
        _streams[kind] = stream
        return stream

    return register


def has_row_stream(network: nn.Module) -> bool:
    """Whether the network can be computed by rows."""
    return all(type(part) in _streams for part in (network, *parts(network)))


def by_rows(network: nn.Module, x: Tensor, band: int, memory: WaitingMemory) -> Rows:
    """The output of a network for `[1, C, Y, X]`, computed in bands of `band` input rows."""
    return _streams[type(network)](network, cut(x, band), x.shape[2], memory)


@row_stream(UNet)
def unet(network: UNet, rows: Rows, height: int, memory: WaitingMemory) -> Rows:
    """As `UNet.forward`."""
    return each(torch.tanh_, _level(network, 0, rows, height, memory))


def _level(network: UNet, level: int, rows: Rows, height: int, memory: WaitingMemory) -> Rows:
    """A level of a U-Net and all below it; of all but the outermost, joined with what it is given, activated."""
    waiting = RowQueue(memory) if level else None
    write: Write = activated(nn.LeakyReLU(0.2)) if level else added
    down = convolved(network.down_convs[level], rows, height, write, waiting)
    down = normalised(network.down_norms[level], down, memory)
    if level + 1 < len(network.down_convs):
        inner = _level(network, level + 1, down, height // 2, memory)
    else:
        inner = each(functional.relu_, down)
    up = enlarged(network.up_convs[level], inner, height // 2)
    up = each(network.dropouts[level], normalised(network.up_norms[level], up, memory))
    return up if waiting is None else each(functional.relu_, beside(waiting, up))


@row_stream(ResNet)
def resnet(network: ResNet, rows: Rows, height: int, memory: WaitingMemory) -> Rows:
    """As `ResNet.forward`."""
    rows = normalised(network.first_norm, convolved(network.first_conv, rows, height, added), memory)
    for conv, norm in zip(network.down_convs, network.down_norms, strict=True):
        rows = normalised(norm, convolved(conv, rows, height, activated(_RELU)), memory)
        height //= 2
    rows = _sums(_blocks(network.blocks, each(functional.relu_, rows), height, memory))
    for conv, norm in zip(network.up_convs, network.up_norms, strict=True):
        rows = each(functional.relu_, normalised(norm, enlarged(conv, rows, height), memory))
        height *= 2
    return each(torch.tanh_, convolved(network.last_conv, rows, height, added))


@row_stream(SRResNet)
def srresnet(network: SRResNet, rows: Rows, height: int, memory: WaitingMemory) -> Rows:
    """As `SRResNet.forward`."""
    first, waiting = convolved(network.first_conv, rows, height, added), RowQueue(memory)
    rows = _blocks(network.blocks, _copied_to(waiting, each(network.first_activation, first)), height, memory)
    rows = normalised(network.middle_norm, convolved(network.middle_conv, rows, height, added), memory)
    rows = beside(waiting, rows)
    for conv, activation in zip(network.up_convs, network.up_activations, strict=True):
        rows = _shuffled(activation, convolved(_by_pixels(conv), rows, height, added))
        height *= 2
    return each(torch.tanh_, convolved(network.last_conv, rows, height, added))


@row_stream(VelocityUNet)
@row_stream(ResidualUNet)
def residual_unet(network: ResidualUNet, rows: Rows, height: int, memory: WaitingMemory) -> Rows:
    """As `ResidualUNet.forward`."""
    (first,) = next(rows)
    shifts = network.shifts(first)
    rows = convolved(network.first_conv, chain([(first,)], rows), height, added)
    return convolved(network.last_conv, _residual_level(network, 0, rows, height, memory, shifts), height, added)


def _residual_level(
    network: ResidualUNet, level: int, rows: Rows, height: int, memory: WaitingMemory, shifts: Sequence[Tensor | None]
) -> Rows:
    """A level of a residual U-Net and all below it."""
    rows = _sums(_block(network.down_blocks[level], rows, height, memory, shifts[level]))
    if level == len(network.down_convs):
        return rows
    waiting = RowQueue(memory)
    down = convolved(network.down_convs[level], _copied_to(waiting, rows), height, added)
    inner = _residual_level(network, level + 1, down, height // 2, memory, shifts)
    up = interpolated(convolved(network.up_convs[level], inner, height // 2, added))
    shift = shifts[len(network.down_blocks) + level]
    return _sums(_block(network.up_blocks[level], _sums(beside(waiting, up)), height, memory, shift))


@row_stream(Flow)
def flow(network: Flow, rows: Rows, height: int, memory: WaitingMemory) -> Rows:
    """As `Flow.forward`: each pass goes by rows, and state and mean are whole images."""
    bands = [images[0] for images in rows]
    given, band = torch.cat(bands, dim=2), bands[0].shape[2]

    def passes(part: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.cat([made for (made,) in by_rows(part, x, band, memory)], dim=2)

    return cut(network.sample(given, passes(network.mean), passes(network.velocity)), band)


def _blocks(blocks: nn.Sequential, rows: Rows, height: int, memory: WaitingMemory) -> Rows:
    """Residual blocks one after another; what they make is two images that are to be added."""
    for block in blocks:
        rows = _block(block, rows, height, memory)
    return rows


def _block(block: nn.Module, rows: Rows, height: int, memory: WaitingMemory, shift: Tensor | None = None) -> Rows:
    """A residual block; what it makes is two images that are to be added."""
    assert isinstance(block, ResidualBlock)
    waiting = RowQueue(memory)
    hidden = normalised(block.norm1, convolved(block.conv1, rows, height, added, waiting), memory)
    if shift is not None:
        hidden = each(shift.add, hidden)
    write = activated(block.activation, block.dropout)
    return beside(waiting, normalised(block.norm2, convolved(block.conv2, hidden, height, write), memory))


def _sums(rows: Rows) -> Rows:
    """The sums of images and what waited beside them."""
    for images in rows:
        added(images[0], images)
        made = [images[:1]]
        del images
        yield made.pop()


def _copied_to(waiting: RowQueue, rows: Rows) -> Rows:
    """The same rows, which wait in a queue as well."""
    for (image,) in rows:
        waiting.put(image)
        handed = [image]
        del image
        yield (handed.pop(),)


def _by_pixels(layer: nn.Module) -> nn.Module:
    """A convolution whose channels are to become 2 x 2 pixels, with those of each pixel beside each other."""
    assert isinstance(layer, nn.Conv2d)
    weight, channels = layer.weight, layer.out_channels // 4
    ordered = copy.copy(layer)
    ordered._parameters = dict(layer._parameters)
    ordered.weight = _without_gradient(weight.reshape(channels, 4, -1).transpose(0, 1).reshape(weight.shape))
    if layer.bias is not None:
        ordered.bias = _without_gradient(layer.bias.view(channels, 4).t().flatten())
    return ordered


def _without_gradient(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


def _shuffled(activation: nn.Module, rows: Rows) -> Rows:
    """What `_by_pixels` makes becomes pixels, in rows of both, and is activated on the way."""
    for (image,) in rows:
        batch, channels, height, width = image.shape
        size = (batch, channels // 4, 2 * height, 2 * width)
        made = torch.empty(size, dtype=image.dtype, device=image.device, memory_format=torch.channels_last)
        pixels = made.permute(0, 2, 3, 1).view(batch, height, 2, width, channels // 2)
        two_rows = image.permute(0, 2, 3, 1).reshape(batch, height, width, 2, channels // 2).transpose(2, 3)
        write_activated(activation, two_rows, pixels)
        handed = [made]
        del image, two_rows, pixels, made
        yield (handed.pop(),)
