"""A ResNet on a CPU: channels lie innermost; without gradients, layers at full resolution by bands of rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration.fast_paths import channels_innermost, fast_path
from txm2sem_core.acceleration.row_bands import bands_pay, doubled_at_last, halved
from txm2sem_core.networks.resnet import ResNet


@fast_path(ResNet, weights_innermost=True)
def resnet(network: ResNet, x: Tensor) -> Tensor:
    """As `ResNet.forward`."""
    x = channels_innermost(x)
    if not (_has_no_norms(network) and bands_pay(x, network.first_conv.out_channels)):
        return ResNet.forward(network, x)
    network.check_input(x)
    relu = nn.ReLU(inplace=True)
    x = functional.relu_(halved(network.first_conv, relu, network.down_convs[0], x))
    for conv, norm in zip(network.down_convs[1:], network.down_norms[1:], strict=True):
        x = functional.relu_(norm(conv(x)))
    x = network.blocks(x)
    for conv, norm in zip(network.up_convs[:-1], network.up_norms[:-1], strict=True):
        x = functional.relu_(norm(conv(x)))
    return torch.tanh(doubled_at_last(network.up_convs[-1], relu, network.last_conv, x))


def _has_no_norms(network: ResNet) -> bool:
    """Whether no norm stands between the layers at full resolution, as after folding."""
    norms = network.first_norm, network.down_norms[0], network.up_norms[-1]
    return all(isinstance(norm, nn.Identity) for norm in norms)
