"""Generators and discriminators, built by name.

The modules that define networks are imported here so that their names are registered.
"""

from __future__ import annotations

from txm2sem_core.networks import baselines, discriminators, filters, residual_unet, resnet, srresnet, unet  # noqa: F401
from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.baselines import Baseline
from txm2sem_core.networks.building import build_discriminator, build_generator
from txm2sem_core.networks.flow import Flow
from txm2sem_core.networks.initialisation import INITIALISATIONS
from txm2sem_core.networks.layers import NORMS
from txm2sem_core.networks.modes import has_dropout, inference
from txm2sem_core.networks.plugins import load_plugins, plugin_file, plugin_of
from txm2sem_core.networks.registry import (
    DiscriminatorOptions,
    GeneratorOptions,
    discriminator_names,
    generator_names,
    register_discriminator,
    register_generator,
)

__all__ = [
    "INITIALISATIONS",
    "NORMS",
    "Baseline",
    "DiscriminatorOptions",
    "Flow",
    "GeneratorOptions",
    "ImageGenerator",
    "build_discriminator",
    "build_generator",
    "discriminator_names",
    "generator_names",
    "has_dropout",
    "inference",
    "load_plugins",
    "plugin_file",
    "plugin_of",
    "register_discriminator",
    "register_generator",
]
