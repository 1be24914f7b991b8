"""Which generator a variant's settings ask for; and whether one of the user's own takes the variant's patches."""

from __future__ import annotations

from typing import Any

from txm2sem_core.config import Config, TrainSettings
from txm2sem_core.config.generators import BUILT_IN
from txm2sem_core.errors import ConfigError
from txm2sem_core.families.side_tasks import CLASSES


def input_channels(settings: TrainSettings) -> int:
    """Channels that the generator is given."""
    return 2 * settings.context + 1 + 2 * (settings.family == "repair")


def generator_arguments(settings: TrainSettings) -> dict[str, Any]:
    """Arguments of `build_generator` for a variant, as `model.json` keeps them."""
    return {
        **settings.generator.model_dump(),
        "in_channels": input_channels(settings),
        "out_channels": len(CLASSES) if settings.family == "segmentation" else 1,
        "factor": settings.factor,
    }


def check_own_networks(config: Config) -> None:
    """Build the networks of the user's own and give each the smallest batch of its training. This runs their files.

    What ours can take is known without (`config.fitting`).

    Raises:
        ConfigError: a file or network fails, or its answer has another shape than the FIB-SEM patches.
    """
    own = {name: config.variant(name) for name in config.variants}
    own = {name: settings for name, settings in own.items() if settings.generator.name not in BUILT_IN}
    if not own:
        return
    import torch  # here, not above: it takes seconds, which a plan without such networks need not spend

    from txm2sem_core.networks import build_generator, load_plugins

    load_plugins(config.plugins)
    for name, settings in own.items():
        arguments = generator_arguments(settings)
        size = config.patches.size_px // settings.factor
        batch = config.patches.train % settings.batch_size or settings.batch_size  # the last of an epoch
        given = [min(batch, 2), arguments["in_channels"], size, size]
        expected = [given[0], arguments["out_channels"], config.patches.size_px, config.patches.size_px]
        where = f"variants.{name}.generator.name: {settings.generator.name!r}"
        try:
            with torch.no_grad():
                answer = list(build_generator(**arguments, seed=0).train()(torch.zeros(given)).shape)
        except Exception as error:  # whatever the user's code does wrong
            kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
            told = " ".join(str(error).split())[:500]
            raise ConfigError(f"{where} cannot take patches {given} [B, C, Y, X] ({kind}{told}). Mend it.") from error
        if answer != expected:
            raise ConfigError(f"{where} makes {answer} of patches {given} [B, C, Y, X], not {expected}. Mend it.")
