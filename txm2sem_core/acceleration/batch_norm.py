"""Batch norm as part of the convolution before it, where its statistics are fixed."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from txm2sem_core.networks.resnet import ResNet
from txm2sem_core.networks.srresnet import SRResNet
from txm2sem_core.networks.unet import UNet


def fold_batch_norms(network: nn.Module) -> None:
    """Let the convolutions of a network of ours scale and shift as the batch norms after them would, in place.

    Saves a pass over the image after every convolution; the result is the same apart from rounding. Only right with
    running statistics. The norm of a convolution has its name, with `norm` for `conv`; other networks are left as they
    are.
    """
    if type(network) not in (ResNet, SRResNet, UNet):
        return
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
