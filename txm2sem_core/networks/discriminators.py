"""The discriminators: PatchGAN of any depth, and the 1x1 pixel discriminator (Isola et al. 2017)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.networks.layers import bias_beside, normalisation
from txm2sem_core.networks.registry import DiscriminatorOptions, register_discriminator

BASIC_LAYERS = 3  # a receptive field of 70 x 70 pixels


class PatchDiscriminator(nn.Module):
    """4x4 convolutions, the first `layers` of them strided; each score judges one patch of the input.

    Channels double from `width` up to 8 times the width. No norm after the first convolution and after the scores.
    """

    def __init__(self, options: DiscriminatorOptions) -> None:
        super().__init__()
        widths = [options.width * min(2**level, 8) for level in range(options.layers + 1)]
        strides = [2] * (options.layers - 1) + [1]
        bias = bias_beside(options.norm)
        self.layers = options.layers
        self.first_conv = nn.Conv2d(options.in_channels, widths[0], 4, stride=2, padding=1)
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=bias)
            for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.norms = nn.ModuleList(normalisation(options.norm, after) for after in widths[1:])
        self.last_conv = nn.Conv2d(widths[-1], 1, 4, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to scores `[B, 1, about Y / 2^layers, about X / 2^layers]`."""
        # Each of the two convolutions with stride 1 takes one pixel away.
        if min(x.shape[2:]) >> self.layers < 3:
            raise InputError(
                f"A discriminator of {self.layers} layers cannot take an image of {x.shape[2]} x {x.shape[3]} pixels "
                f"(Y x X): it needs {3 * 2**self.layers}. Use larger patches or fewer layers."
            )
        x = functional.leaky_relu(self.first_conv(x), 0.2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = functional.leaky_relu(norm(conv(x)), 0.2)
        scores: Tensor = self.last_conv(x)
        return scores


class PixelDiscriminator(nn.Module):
    """Three 1x1 convolutions: every pixel is judged by itself."""

    def __init__(self, options: DiscriminatorOptions) -> None:
        super().__init__()
        width, bias = options.width, bias_beside(options.norm)
        self.first_conv = nn.Conv2d(options.in_channels, width, 1)
        self.middle_conv = nn.Conv2d(width, 2 * width, 1, bias=bias)
        self.middle_norm = normalisation(options.norm, 2 * width)
        self.last_conv = nn.Conv2d(2 * width, 1, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to scores `[B, 1, Y, X]`."""
        x = functional.leaky_relu(self.first_conv(x), 0.2)
        x = functional.leaky_relu(self.middle_norm(self.middle_conv(x)), 0.2)
        scores: Tensor = self.last_conv(x)
        return scores


@register_discriminator("basic")
def _basic(options: DiscriminatorOptions) -> PatchDiscriminator:
    _require_default_layers("basic", options.layers)
    return PatchDiscriminator(options)


@register_discriminator("n_layers")
def _n_layers(options: DiscriminatorOptions) -> PatchDiscriminator:
    return PatchDiscriminator(options)


@register_discriminator("pixel")
def _pixel(options: DiscriminatorOptions) -> PixelDiscriminator:
    _require_default_layers("pixel", options.layers)
    return PixelDiscriminator(options)


def _require_default_layers(name: str, layers: int) -> None:
    if layers != BASIC_LAYERS:
        raise ConfigError(
            f"layers: {layers} has no meaning for the discriminator {name!r}. Use 'n_layers', or leave layers out."
        )
