"""Layers that replace PyTorch's, with the same weights under the same names."""

from __future__ import annotations

from torch import nn

from txm2sem_core.acceleration.borders import ReflectedConv2d
from txm2sem_core.acceleration.convolutions import FEW_CHANNELS, FewChannelConv2d, FewChannelConvTranspose2d
from txm2sem_core.acceleration.prelu import OneSlopePReLU
from txm2sem_core.acceleration.strided import DoublingConvTranspose2d, HalvingConv2d
from txm2sem_core.acceleration.winograd import WinogradConv2d

MANY_FOR_ONE = 4  # channels read for each that is made: from there on it is few out of many


def replace_layers(network: nn.Module) -> None:
    """Give layers of exactly PyTorch's classes a faster class that computes the same apart from rounding.

    The layer stays the same object, so that its weights, their names, and its hooks are unchanged.
    """
    for layer in network.modules():
        faster = _faster(layer)
        if faster is not None:
            layer.__class__ = faster


def _faster(layer: nn.Module) -> type[nn.Module] | None:
    """The class for a layer, or None where there is none."""
    if type(layer) is nn.Conv2d and _is_plain(layer):
        return _faster_convolution(layer)
    if type(layer) is nn.ConvTranspose2d and _is_plain(layer) and _doubles(layer) and layer.output_padding == (0, 0):
        return FewChannelConvTranspose2d if _makes_few(layer) else DoublingConvTranspose2d
    if type(layer) is nn.PReLU and layer.num_parameters == 1:
        return OneSlopePReLU
    return None


def _faster_convolution(layer: nn.Conv2d) -> type[nn.Module] | None:
    if layer.stride == (1, 1):
        if _makes_few(layer) and min(layer.kernel_size) > 1:
            return FewChannelConv2d
        if layer.kernel_size == (3, 3):
            return WinogradConv2d
        return ReflectedConv2d if layer.padding_mode == "reflect" else None
    return HalvingConv2d if _doubles(layer) and layer.padding_mode == "zeros" else None


def _is_plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    return layer.groups == 1 and layer.dilation == (1, 1) and not isinstance(layer.padding, str)


def _doubles(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether it halves or doubles the size exactly, as a U-Net's layers."""
    return (layer.kernel_size, layer.stride, layer.padding) == ((4, 4), (2, 2), (1, 1))


def _makes_few(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    return layer.out_channels <= FEW_CHANNELS and layer.in_channels >= MANY_FOR_ONE * layer.out_channels
