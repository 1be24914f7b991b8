"""A ResNet without gradients on a CPU: images within their borders, and full resolution by bands of rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration.fast_paths import channels_innermost, fast_path
from txm2sem_core.acceleration.padded import Frame, convolved, frames_pay, in_plain_prediction
from txm2sem_core.acceleration.row_bands import bands_pay, doubled_at_last, halved
from txm2sem_core.networks.layers import ResidualBlock
from txm2sem_core.networks.resnet import ResNet


@fast_path(ResNet, weights_innermost=True)
def resnet(network: ResNet, x: Tensor) -> Tensor:
    """As `ResNet.forward`."""
    x = channels_innermost(x)
    if not in_plain_prediction(x):
        return ResNet.forward(network, x)
    network.check_input(x)
    relu = nn.ReLU(inplace=True)
    by_bands = _has_no_norms(network) and bands_pay(x, network.first_conv.out_channels)
    if by_bands:
        x = functional.relu_(halved(network.first_conv, relu, network.down_convs[0], x))
    else:
        x = functional.relu_(network.first_norm(network.first_conv(x)))
        x = functional.relu_(network.down_norms[0](network.down_convs[0](x)))
    for conv, norm in zip(network.down_convs[1:], network.down_norms[1:], strict=True):
        x = functional.relu_(norm(conv(x)))
    if frames_pay(x):
        frame = Frame.of(x, 1, nn.Identity())
        x = frame.image  # what it was is no longer needed
        apply_blocks(network.blocks, frame)
        x = x.contiguous(memory_format=torch.channels_last)  # the next layer would copy it, and keep the frame
        del frame
    else:
        x = network.blocks(x)
    for conv, norm in zip(network.up_convs[:-1], network.up_norms[:-1], strict=True):
        x = functional.relu_(norm(conv(x)))
    if by_bands:
        return torch.tanh(doubled_at_last(network.up_convs[-1], relu, network.last_conv, x))
    x = network.up_norms[-1](network.up_convs[-1](x))
    return torch.tanh(convolved(network.last_conv, x, relu))


def apply_blocks(blocks: nn.Sequential, frame: Frame) -> None:
    """Residual blocks one after another, of the image in a frame with a margin of one, in its place."""
    for block in blocks:
        assert isinstance(block, ResidualBlock)
        within = Frame.of(block.norm1(frame.convolved(block.conv1)), 1, block.activation, block.dropout)
        frame.add(block.norm2(within.convolved(block.conv2)))


def _has_no_norms(network: ResNet) -> bool:
    """Whether no norm stands between the layers at full resolution, as after folding."""
    norms = network.first_norm, network.down_norms[0], network.up_norms[-1]
    return all(isinstance(norm, nn.Identity) for norm in norms)
