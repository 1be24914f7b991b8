"""How each kernel is switched off alone, for `kernels.py`: names that are replaced while a network is built and run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

import txm2sem_core.acceleration as acceleration
from txm2sem_core.acceleration import (
    convolutions,
    fast_paths,
    layers,
    precision,
    resnet,
    srresnet,
    winograd,
)
from txm2sem_core.networks.resnet import ResNet
from txm2sem_core.networks.srresnet import SRResNet
from txm2sem_core.networks.unet import UNet

Patch = tuple[Any, Any, Any]
"""A module, class or dictionary, a name in it, and what stands for it."""


@dataclass(frozen=True)
class Switch:
    """One kernel, and what it is replaced by.

    Attributes:
        name: its file, and what of it.
        patches: what is replaced.
        networks: the beginnings of the generators' names that it touches.
        kinds: whether it touches a step, a plane, or both.
        halves: whether it touches half precision.
    """

    name: str
    patches: tuple[Patch, ...] = field(hash=False)
    networks: tuple[str, ...]
    kinds: tuple[str, ...] = ("step", "plane")
    halves: bool = False

    def touches(self, work: Any) -> bool:
        """Whether a case computes otherwise without it."""
        kind = "plane" if work.side else "step"
        right_precision = work.precision == "float32" or self.halves
        return kind in self.kinds and right_precision and work.case.generator.startswith(self.networks)


def _never(*_: Any) -> bool:
    return False


def _without_path(kind: type[nn.Module]) -> dict[type[nn.Module], Any]:
    return {known: path for known, path in fast_paths._paths.items() if known is not kind}


RESNETS, ALL = ("resnet", "sr_resnet"), ("resnet", "sr_resnet", "unet")
SWITCHES = [
    Switch("adam, beside torch.optim.Adam", ((precision, "Adam", torch.optim.Adam),), ALL, ("step",)),
    Switch(
        "adam, beside torch.optim.Adam(fused=True)",
        ((precision, "Adam", partial(torch.optim.Adam, fused=True)),),
        ALL,
        ("step",),
    ),
    Switch("batch_norm", ((acceleration, "fold_batch_norms", lambda network: None),), ALL, ("plane",)),
    Switch("convolutions, few pixels", ((convolutions, "FEW_PIXELS", 0),), ("unet",), halves=True),
    Switch("convolutions, few channels", ((layers, "FewChannelConv2d", nn.Conv2d),), RESNETS),
    Switch(
        "convolutions, few channels transposed",
        ((layers, "FewChannelConvTranspose2d", layers.DoublingConvTranspose2d),),
        ("unet",),
    ),
    Switch("fast_paths, resnet", ((fast_paths, "_paths", _without_path(ResNet)),), ("resnet",), halves=True),
    Switch("fast_paths, srresnet", ((fast_paths, "_paths", _without_path(SRResNet)),), ("sr_resnet",), halves=True),
    Switch("fast_paths, unet", ((fast_paths, "_paths", _without_path(UNet)),), ("unet",), ("plane",)),
    Switch("padded", ((srresnet, "FRAMED_VALUES", 2**62),), ("sr_resnet",), ("plane",)),
    Switch("prelu", ((layers, "OneSlopePReLU", nn.PReLU),), ("sr_resnet",), ("step",), halves=True),
    Switch("row_bands", ((resnet, "bands_pay", _never),), ("resnet",), ("plane",)),
    Switch("strided, halving", ((layers, "HalvingConv2d", convolutions.FewPixelConv2d),), ("unet",), ("plane",)),
    Switch(
        "strided, doubling",
        ((layers, "DoublingConvTranspose2d", convolutions.FewPixelConvTranspose2d),),
        ("unet",),
        ("plane",),
    ),
    Switch("winograd, 3 x 3", ((winograd, "winograd_pays", _never),), RESNETS),
    Switch("winograd, memory for weights kept", ((winograd._Kept, "out", lambda *_: None),), ALL),
]
