"""An SRResNet without gradients on a CPU: images lie within their borders, pixels are put in their places at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from txm2sem_core.acceleration.convolutions import pixels
from txm2sem_core.acceleration.fast_paths import channels_innermost, fast_path
from txm2sem_core.acceleration.padded import FRAMED_VALUES, Frame, doubled, in_plain_prediction
from txm2sem_core.acceleration.resnet import apply_blocks
from txm2sem_core.networks.srresnet import SRResNet


@fast_path(SRResNet, weights_innermost=True)
def srresnet(network: SRResNet, x: Tensor) -> Tensor:
    """As `SRResNet.forward`."""
    x = channels_innermost(x)
    if not in_plain_prediction(x) or pixels(x) * network.first_conv.out_channels < FRAMED_VALUES:
        return SRResNet.forward(network, x)
    network.check_input(x)
    first = network.first_activation(network.first_conv(x))
    frame = Frame.of(first, 1, nn.Identity())
    apply_blocks(network.blocks, frame)
    x = first + network.middle_norm(frame.convolved(network.middle_conv))
    del frame
    if not len(network.up_convs):
        return torch.tanh(network.last_conv(x))
    for conv, activation in zip(network.up_convs[:-1], network.up_activations[:-1], strict=True):
        x = doubled(conv, activation, x, 0).image
    frame = doubled(network.up_convs[-1], network.up_activations[-1], x, 3)
    return torch.tanh(frame.convolved(network.last_conv))
