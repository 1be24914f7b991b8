"""What is known of the networks of a variant, and kept from one plan to the next: a trial loads PyTorch."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from txm2sem_core.config import Config, TrainSettings
from txm2sem_core.config.families import built_in
from txm2sem_core.config.generators import BUILT_IN
from txm2sem_core.costs.trial import NetworkCost
from txm2sem_core.provenance import code_digest
from txm2sem_core.provenance.user_cache import Kept

UNKNOWN = NetworkCost(weights=2e9, activations=8e9, step_flops=2e13, voxel_flops=1e7)
_kept = Kept("network_costs", most=1000)


def cost_of_variant(settings: TrainSettings, config: Config, scans: int = 1) -> NetworkCost:
    """What a variant's networks take, of so many scans; of a user's own that cannot be tried, more than any of ours."""
    size_px = config.patches.size_px
    key = f"{size_px} {scans} {_code(tuple(config.plugins))} {settings.canonical_json()}"
    if (known := _kept.get(key)) is not None:
        return NetworkCost(**known)
    from txm2sem_core.costs.networks import network_cost
    from txm2sem_core.networks import load_plugins

    load_plugins(config.plugins)
    try:
        found = network_cost(settings, size_px, scans)
    except Exception:  # whatever the user's code does with a batch of noise
        if settings.family in built_in() and settings.generator.name in BUILT_IN:
            raise
        found = UNKNOWN
    _kept.put(key, asdict(found))
    return found


@cache
def _code(plugins: tuple[str, ...]) -> str:
    """A digest of the code that is tried, and PyTorch's version."""
    return f"{code_digest('costs.networks:network_cost', *map(Path, plugins))} {version('torch')}"
