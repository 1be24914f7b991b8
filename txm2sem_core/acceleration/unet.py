"""A U-Net without gradients on a CPU: channels lie innermost, and the last layer reads two images without a copy."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration.convolutions import FewChannelConvTranspose2d
from txm2sem_core.acceleration.fast_paths import channels_innermost, fast_path
from txm2sem_core.networks.unet import UNet


@fast_path(UNet)
def unet(network: UNet, x: Tensor) -> Tensor:
    """As `UNet.forward`; where gradients are needed, `UNet.forward` itself, which is faster then."""
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return UNet.forward(network, x)
    network.check_input(x)
    x = channels_innermost(x)
    skips: list[Tensor] = []
    for conv, norm in zip(network.down_convs, network.down_norms, strict=True):
        x = functional.leaky_relu_(norm(conv(x)), 0.2)
        skips.append(x)
    x = functional.relu(skips.pop())
    for level in reversed(range(1, len(network.up_convs))):
        x = network.dropouts[level](network.up_norms[level](network.up_convs[level](channels_innermost(x))))
        if level > 1:
            x = functional.relu_(torch.cat([skips.pop(), channels_innermost(x)], dim=1))
    images = [functional.relu_(skips.pop()), functional.relu_(channels_innermost(x))]
    return torch.tanh(_joined(network.up_convs[0], images))


def _joined(layer: nn.Module, images: list[Tensor]) -> Tensor:
    """What a layer makes of images side by side along channels."""
    if isinstance(layer, FewChannelConvTranspose2d):
        return layer.joined(images)
    made: Tensor = layer(torch.cat(images, dim=1))
    return made
