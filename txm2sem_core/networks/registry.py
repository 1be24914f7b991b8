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

from txm2sem_core.errors import ConfigError
from txm2sem_core.networks.base import ImageGenerator


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
class GeneratorEntry:
    """What was registered under a generator's name."""

    build: GeneratorBuilder
    factors: tuple[int, ...] | None  # None: every whole number from 1


_generators: dict[str, GeneratorEntry] = {}
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
        _generators[name] = GeneratorEntry(builder, factors)
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


def generator_entry(name: str) -> GeneratorEntry:
    """What was registered under a name; ConfigError where nothing was."""
    if name not in _generators:
        hint = "If it is your own, give the file that registers it by --plugin, or under plugins in the config."
        raise ConfigError(f"{_unknown('generator', name, _generators)} {hint}")
    return _generators[name]


def discriminator_builder(name: str) -> DiscriminatorBuilder:
    """What was registered under a name; ConfigError where nothing was."""
    if name not in _discriminators:
        raise ConfigError(_unknown("discriminator", name, _discriminators))
    return _discriminators[name]


def _refuse_taken(name: str, registry: Iterable[str]) -> None:
    if name in registry:
        raise ConfigError(f"A network named {name!r} is registered already. Register yours under another name.")


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    remedy = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"Known: {', '.join(names)}."
    return f"{kind}: {name!r} is not known. {remedy}"
