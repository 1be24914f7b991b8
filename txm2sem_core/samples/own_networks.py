"""Whether networks and families of the user's own take the variants' patches, before anything is trained."""

from __future__ import annotations

from txm2sem_core.config import Config
from txm2sem_core.config.families import built_in
from txm2sem_core.config.generators import BUILT_IN
from txm2sem_core.errors import ConfigError


def check_own_networks(config: Config, scans: int = 1) -> None:
    """Build the variants that use the user's own, and predict the smallest batch of their training. Runs the files.

    What ours can take is known without (`config.fitting`). `scans` is how many scans of the rock there are.

    Raises:
        ConfigError: a file or network fails, or its output has another shape than the FIB-SEM patches.
    """
    own = {name: config.variant(name) for name in config.variants}
    own = {
        name: settings
        for name, settings in own.items()
        if settings.generator.name not in BUILT_IN or settings.family not in built_in()
    }
    if not own:
        return
    import torch  # here, not above: it takes seconds, which a plan without such networks need not spend

    from txm2sem_core.families import family_of
    from txm2sem_core.networks import build_generator, load_plugins

    load_plugins(config.plugins)
    for name, settings in own.items():
        family = family_of(settings, scans)
        arguments = family.generator_arguments()
        size = config.patches.size_px // settings.factor
        batch = config.patches.train % settings.batch_size or settings.batch_size  # the last of an epoch
        given = [min(batch, 2), arguments["in_channels"], size, size]
        expected = [given[0], arguments["out_channels"], config.patches.size_px, config.patches.size_px]
        where = f"variants.{name}.generator.name: {settings.generator.name!r}"
        if settings.generator.name in BUILT_IN:
            where = f"variants.{name}.family: {settings.family!r}"
        try:
            with torch.no_grad():
                network = build_generator(**arguments, seed=0).train()
                made = list(family.predict(network, torch.zeros(given)).shape)
        except Exception as error:  # whatever the user's code does wrong
            kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
            reason = " ".join(str(error).split())[:500]
            raise ConfigError(
                f"{where} cannot take patches {given} [B, C, Y, X] ({kind}{reason}). Correct it."
            ) from error
        if made != expected:
            raise ConfigError(f"{where} makes {made} of patches {given} [B, C, Y, X], not {expected}. Correct it.")
