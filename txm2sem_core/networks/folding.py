"""Batch norm as part of the convolution before it, where its statistics are fixed."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from txm2sem_core.networks.base import ImageGenerator


def folded(network: ImageGenerator) -> ImageGenerator:
    """A copy for prediction, whose convolutions scale and shift as the batch norms after them would.

    A pass over the image less after every convolution, and the same but for rounding. Only of networks that say that
    they can be folded, and only right with running statistics; any other network is returned as it is.
    """
    if not network.declares("folds_norms"):
        return network
    made = copy.deepcopy(network)
    modules = dict(made.named_modules())
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
            made.set_submodule(norm_name, nn.Identity())
    return made
