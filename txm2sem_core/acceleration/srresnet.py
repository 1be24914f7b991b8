"""An SRResNet on a CPU: channels lie innermost; without gradients, pixels are put in their places at once."""

from __future__ import annotations

import torch
from torch import Tensor

from txm2sem_core.acceleration.convolutions import pixels
from txm2sem_core.acceleration.fast_paths import channels_innermost, fast_path
from txm2sem_core.acceleration.padded import FRAMED_VALUES, doubled, in_plain_prediction
from txm2sem_core.networks.srresnet import SRResNet


@fast_path(SRResNet, weights_innermost=True)
def srresnet(network: SRResNet, x: Tensor) -> Tensor:
    """As `SRResNet.forward`."""
    x = channels_innermost(x)
    is_large = pixels(x) * network.first_conv.out_channels >= FRAMED_VALUES
    if not (len(network.up_convs) and is_large and in_plain_prediction(x)):
        return SRResNet.forward(network, x)
    network.check_input(x)
    first = network.first_activation(network.first_conv(x))
    x = first + network.middle_norm(network.middle_conv(network.blocks(first)))
    del first
    for conv, activation in zip(network.up_convs[:-1], network.up_activations[:-1], strict=True):
        x = doubled(conv, activation, x, 0).image
    frame = doubled(network.up_convs[-1], network.up_activations[-1], x, 3)
    return torch.tanh(frame.convolved(network.last_conv))
