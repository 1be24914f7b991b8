"""Networks with fresh weights, by their names."""

from __future__ import annotations

from dataclasses import replace

from torch import nn
from torch.nn.utils import parametrizations

from txm2sem_core.errors import ConfigError
from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.flow import TIME_CHANNEL, Flow, parts
from txm2sem_core.networks.initialisation import initialise, seeded
from txm2sem_core.networks.layers import check_norm
from txm2sem_core.networks.registry import (
    DiscriminatorOptions,
    GeneratorEntry,
    GeneratorOptions,
    discriminator_builder,
    generator_entry,
)
from txm2sem_core.networks.residual_unet import VelocityUNet


def build_generator(
    name: str,
    *,
    in_channels: int = 1,
    out_channels: int = 1,
    width: int = 64,
    norm: str = "batch",
    dropout: bool = False,
    factor: int = 1,
    init: str = "normal",
    init_gain: float = 0.02,
    flow_steps: int = 0,
    seed: int | None = None,
) -> ImageGenerator:
    """Build a generator with fresh weights, on the CPU, in training mode.

    Args:
        name: one of `generator_names()`.
        in_channels: channels of the input; 2k + 1 for a slice with its k neighbours on both sides.
        out_channels: channels of the output.
        width: filters of the first layer (of all layers in the super-resolution networks).
        norm: batch, instance or none.
        dropout: dropout of one half, at the positions of the published networks.
        factor: output pixels per input pixel along Y and X.
        init: normal, xavier, kaiming or orthogonal.
        init_gain: standard deviation (normal) or scale (xavier, orthogonal) of the initial weights.
        flow_steps: from 1 on a `Flow` with so many steps, whose mean is a network of this name; the last of
            `in_channels` is noise.
        seed: the same seed gives the same weights and leaves the global random state alone; None draws from it.

    Raises:
        ConfigError: an unknown name or option, or a combination that the network cannot have.
    """
    entry = generator_entry(name)
    check_norm(norm)
    _check_counts(in_channels=in_channels, out_channels=out_channels, width=width, factor=factor)
    if entry.factors is not None and factor not in entry.factors:
        raise ConfigError(_wrong_factor(name, factor, entry.factors))
    options = GeneratorOptions(
        in_channels=in_channels, out_channels=out_channels, width=width, norm=norm, dropout=dropout, factor=factor
    )
    with seeded(seed):
        network = _flow(name, entry, options, flow_steps) if flow_steps else _built(name, entry, options)
        for part in parts(network):
            if not part.initialises_itself:
                initialise(part, init, init_gain)
    return network


def _built(name: str, entry: GeneratorEntry, options: GeneratorOptions) -> ImageGenerator:
    network = entry.build(options)
    if not isinstance(network, ImageGenerator):
        raise ConfigError(
            f"generator {name!r}: its builder returned {type(network).__name__}, which is not an ImageGenerator. "
            f"Derive the network from txm2sem_core.networks.ImageGenerator."
        )
    return network


def _flow(name: str, entry: GeneratorEntry, options: GeneratorOptions, steps: int) -> Flow:
    if options.factor != 1 or options.out_channels != 1 or options.in_channels < 2:
        raise ConfigError(
            f"flow_steps: with in_channels {options.in_channels}, out_channels {options.out_channels}, factor "
            f"{options.factor} there is no flow, which maps TXM slices and a channel of noise to one image. Use "
            "in_channels from 2 on, out_channels 1, factor 1."
        )
    mean = _built(name, entry, replace(options, in_channels=options.in_channels - 1))
    velocity = VelocityUNet(replace(options, in_channels=options.in_channels + 2), TIME_CHANNEL)
    return Flow(mean, velocity, steps)


def build_discriminator(
    name: str,
    *,
    in_channels: int,
    width: int = 64,
    layers: int = 3,
    norm: str = "batch",
    spectral_norm: bool = False,
    init: str = "normal",
    init_gain: float = 0.02,
    seed: int | None = None,
) -> nn.Module:
    """Build a discriminator with fresh weights: `[B, in_channels, Y, X]` to a map of scores, without a sigmoid.

    Args:
        name: one of `discriminator_names()`.
        in_channels: channels of the judged image, plus those of the input that it is judged against, if any.
        width: filters of the first layer.
        layers: strided layers of `n_layers`; `basic` always has 3.
        norm: batch, instance or none.
        spectral_norm: divide each convolution's weights by their largest singular value (Miyato et al. 2018, arXiv
            1802.05957), estimated by one power iteration a step.
        init: normal, xavier, kaiming or orthogonal.
        init_gain: as in `build_generator`.
        seed: as in `build_generator`.

    Raises:
        ConfigError: an unknown name or option, or a combination that the network cannot have.
    """
    builder = discriminator_builder(name)
    check_norm(norm)
    _check_counts(in_channels=in_channels, width=width, layers=layers)
    options = DiscriminatorOptions(in_channels=in_channels, width=width, layers=layers, norm=norm)
    with seeded(seed):
        network = builder(options)
        initialise(network, init, init_gain)
        for layer in [module for module in network.modules() if isinstance(module, nn.Conv2d)] if spectral_norm else ():
            parametrizations.spectral_norm(layer)
    return network


def _check_counts(**counts: int) -> None:
    for option, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{option}: {value!r} is not possible. Give a whole number from 1.")


def _wrong_factor(name: str, factor: int, factors: tuple[int, ...]) -> str:
    if factors == (1,):
        return (
            f"factor: {factor} is not possible with {name!r}, whose output has the size of its input. "
            f"Use factor 1, or a super-resolution network such as 'sr_resnet_6blocks'."
        )
    choices = ", ".join(map(str, factors))
    return f"factor: {factor} is not possible with {name!r}, which enlarges by powers of two. Use one of {choices}."
