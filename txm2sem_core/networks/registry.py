"""Networks by name: what can be built, by whom, and with which options.

A generator of one's own is one function in one file:

    from txm2sem_core.networks import GeneratorOptions, ImageGenerator, register_generator

    @register_generator("my_network")
    def my_network(options: GeneratorOptions) -> ImageGenerator:
        return MyNetwork(options.in_channels, options.out_channels, options.width)
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from torch import nn
from torch.nn.utils import parametrizations

from txm2sem_core.errors import ConfigError
from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.initialisation import initialise, seeded
from txm2sem_core.networks.layers import check_norm


@dataclass(frozen=True, kw_only=True)
class GeneratorOptions:
    """What a generator's builder is given. A builder ignores what its network has no use for."""

    in_channels: int = 1
    out_channels: int = 1
    width: int = 64
    norm: str = "batch"
    dropout: bool = False
    factor: int = 1


@dataclass(frozen=True, kw_only=True)
class DiscriminatorOptions:
    """What a discriminator's builder is given."""

    in_channels: int
    width: int = 64
    layers: int = 3
    norm: str = "batch"


GeneratorBuilder = Callable[[GeneratorOptions], ImageGenerator]
DiscriminatorBuilder = Callable[[DiscriminatorOptions], nn.Module]
AnyGeneratorBuilder = TypeVar("AnyGeneratorBuilder", bound=GeneratorBuilder)
AnyDiscriminatorBuilder = TypeVar("AnyDiscriminatorBuilder", bound=DiscriminatorBuilder)


@dataclass(frozen=True)
class _GeneratorEntry:
    build: GeneratorBuilder
    factors: tuple[int, ...] | None  # None: every whole number from 1


_generators: dict[str, _GeneratorEntry] = {}
_discriminators: dict[str, DiscriminatorBuilder] = {}


def register_generator(
    name: str, *, factors: tuple[int, ...] | None = (1,)
) -> Callable[[AnyGeneratorBuilder], AnyGeneratorBuilder]:
    """Make `build_generator(name)` call the decorated builder.

    Args:
        name: the name in the config.
        factors: super-resolution factors that the network can be built with; None for every whole number from 1.

    Raises:
        ConfigError: the name is taken.
    """
    _refuse_taken(name, _generators)

    def register(builder: AnyGeneratorBuilder) -> AnyGeneratorBuilder:
        _generators[name] = _GeneratorEntry(builder, factors)
        return builder

    return register


def register_discriminator(name: str) -> Callable[[AnyDiscriminatorBuilder], AnyDiscriminatorBuilder]:
    """Make `build_discriminator(name)` call the decorated builder; ConfigError where the name is taken."""
    _refuse_taken(name, _discriminators)

    def register(builder: AnyDiscriminatorBuilder) -> AnyDiscriminatorBuilder:
        _discriminators[name] = builder
        return builder

    return register


def generator_names() -> list[str]:
    """Names that `build_generator` knows."""
    return sorted(_generators)


def forget_module(module: str) -> None:
    """Take back all generators that a module has registered, as its file has changed."""
    for name in [name for name, entry in _generators.items() if entry.build.__module__ == module]:
        del _generators[name]


def builder_module(generator: str) -> str:
    """The module whose function builds a generator; empty for a name that is not known."""
    return _generators[generator].build.__module__ if generator in _generators else ""


def discriminator_names() -> list[str]:
    """Names that `build_discriminator` knows."""
    return sorted(_discriminators)


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
        seed: the same seed gives the same weights and leaves the global random state alone; None draws from it.

    Raises:
        ConfigError: an unknown name or option, or a combination that the network cannot have.
    """
    if name not in _generators:
        hint = "If it is your own, give the file that registers it by --plugin, or under plugins in the config."
        raise ConfigError(f"{_unknown('generator', name, _generators)} {hint}")
    entry = _generators[name]
    check_norm(norm)
    _check_counts(in_channels=in_channels, out_channels=out_channels, width=width, factor=factor)
    if entry.factors is not None and factor not in entry.factors:
        raise ConfigError(_wrong_factor(name, factor, entry.factors))
    options = GeneratorOptions(
        in_channels=in_channels, out_channels=out_channels, width=width, norm=norm, dropout=dropout, factor=factor
    )
    with seeded(seed):
        network = entry.build(options)
        if not isinstance(network, ImageGenerator):
            raise ConfigError(
                f"generator {name!r}: its builder returned {type(network).__name__}, which is not an ImageGenerator. "
                f"Derive the network from txm2sem_core.networks.ImageGenerator."
            )
        initialise(network, init, init_gain)
    return network


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
    if name not in _discriminators:
        raise ConfigError(_unknown("discriminator", name, _discriminators))
    check_norm(norm)
    _check_counts(in_channels=in_channels, width=width, layers=layers)
    options = DiscriminatorOptions(in_channels=in_channels, width=width, layers=layers, norm=norm)
    with seeded(seed):
        network = _discriminators[name](options)
        initialise(network, init, init_gain)
        for layer in [module for module in network.modules() if isinstance(module, nn.Conv2d)] if spectral_norm else ():
            parametrizations.spectral_norm(layer)
    return network


def _refuse_taken(name: str, registry: Iterable[str]) -> None:
    if name in registry:
        raise ConfigError(f"A network named {name!r} is registered already. Register yours under another name.")


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    remedy = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"Known: {', '.join(names)}."
    return f"{kind}: {name!r} is not known. {remedy}"


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
