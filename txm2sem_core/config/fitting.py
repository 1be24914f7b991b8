"""Whether a variant's networks can be built, and take patches of the size that is asked for: before a job has run.

Of a network of the user's own only its file could tell; see `samples.own_networks`.
"""

from __future__ import annotations

import math

from txm2sem_core.config.generators import BASELINES, TAKES, VELOCITY, Takes
from txm2sem_core.config.stages import PatchesSettings
from txm2sem_core.config.train import DiscriminatorSettings, TrainSettings
from txm2sem_core.errors import ConfigError

SSIM_WINDOW_PX = 11  # of `metrics`, which scores every patch by it
_LAYERS = DiscriminatorSettings().layers  # of the discriminators that have no number of their own
_FEWEST_SCORES = 3  # along Y and X before the last two layers of a discriminator, each of which takes one away


def check_patches(patches: PatchesSettings) -> None:
    """Refuse patches that no score can be computed of; ConfigError."""
    if patches.size_px < SSIM_WINDOW_PX:
        raise ConfigError(
            f"patches.size_px: {patches.size_px} pixels are less than the window of SSIM, {SSIM_WINDOW_PX}, by which "
            "patches are scored. Enlarge it."
        )


def check_networks(name: str, variant: TrainSettings, patches: PatchesSettings) -> None:
    """Refuse a variant whose networks cannot be built, or cannot take its patches.

    Raises:
        ConfigError: names the variant, the key, the rule and sizes that fit.
    """
    _check_generator(name, variant, patches)
    if variant.rules.adversarial:
        _check_discriminator(name, variant.discriminator, patches)


def _check_generator(name: str, variant: TrainSettings, patches: PatchesSettings) -> None:
    generator, where = variant.generator.name, f"variants.{name}.generator.name"
    if variant.rules.trained == (generator in BASELINES):
        if not variant.rules.trained:
            raise ConfigError(f"{where}: {generator!r} is no baseline. Choose one of {', '.join(BASELINES)}.")
        raise ConfigError(f"{where}: {generator!r} is fitted, not trained. Give it the family baseline.")
    takes = TAKES.get(generator)
    if variant.rules.samples:
        takes = _both(takes or Takes(), TAKES[VELOCITY])
    if takes is None:
        return
    if takes.factors is not None and variant.factor not in takes.factors:
        raise ConfigError(
            f"variants.{name}.factor: {generator!r} has none of {variant.factor}, only "
            f"{', '.join(map(str, takes.factors))}. Choose another, or another generator."
        )
    size = patches.size_px // variant.factor
    if size % takes.multiple or size < takes.minimum:
        step = math.lcm(takes.multiple * variant.factor, patches.grid_px)
        raise ConfigError(
            f"{where}: {generator!r} cannot take patches of {size} pixels (patches.size_px = {patches.size_px}, factor "
            f"{variant.factor}): a multiple of {takes.multiple}, at least {takes.minimum}, is needed. "
            f"{_sizes(patches.size_px, step, takes.minimum * variant.factor)}, or another generator."
        )


def _both(one: Takes, other: Takes) -> Takes:
    """What two networks can be given that see the same patches."""
    multiple, minimum = math.lcm(one.multiple, other.multiple), max(one.minimum, other.minimum)
    return Takes(multiple, minimum, one.factors)


def _check_discriminator(name: str, settings: DiscriminatorSettings, patches: PatchesSettings) -> None:
    where = f"variants.{name}.discriminator"
    if settings.name != "n_layers" and settings.layers != _LAYERS:
        raise ConfigError(
            f"{where}.layers: {settings.layers} has no meaning for {settings.name!r}. Set discriminator.name to "
            "n_layers, or leave layers out."
        )
    needed = 1 if settings.name == "pixel" else _FEWEST_SCORES * 2**settings.layers
    if patches.size_px < needed:
        fewer = max((n for n in range(1, settings.layers) if _FEWEST_SCORES * 2**n <= patches.size_px), default=0)
        remedy = f"discriminator: {{name: n_layers, layers: {fewer}}}" if fewer else "discriminator.name: pixel"
        raise ConfigError(
            f"{where}: {settings.name!r} with {settings.layers} layers needs patches of {needed} pixels, but "
            f"patches.size_px is {patches.size_px}. Enlarge it, or set {remedy}."
        )


def _sizes(size: int, step: int, least: int) -> str:
    """The sizes next to `size` that fit, as a remedy."""
    below, above = size // step * step, -(-size // step) * step
    smallest = -(-max(least, SSIM_WINDOW_PX) // step) * step
    fitting = sorted({max(below, smallest), max(above, smallest)})
    return f"Set patches.size_px to {' or '.join(map(str, fitting))}"
