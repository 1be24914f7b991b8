"""Whether the models of a report were trained with the settings that it states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from txm2sem_core import io
from txm2sem_core.config import load_config
from txm2sem_core.errors import InputError
from txm2sem_core.provenance.records import differing

_SHOWN = 3  # of the keys that differ


def models_of_other_settings(folder: Path, settings_yaml: str) -> list[str]:
    """A warning for each variant of a sample with models of other settings than those stated, as after `--touch`.

    Args:
        folder: the sample's results.
        settings_yaml: the configuration as the report shows it.
    """
    config = load_config(yaml.safe_load(settings_yaml))
    told = []
    for name in config.variants:
        stated = config.variant(name).model_dump(mode="json", exclude={"context"})  # `auto` is each sample's
        for seed in config.seeds_of(name):
            found = _settings(folder / "models" / name / f"seed{seed}" / "model.json")
            both = {key: value for key, value in found.items() if key in stated}  # of another version, some may lack
            here = {key: value for key, value in stated.items() if key in both}
            keys = [f"{key} {was}, stated {now}" for key, was, now in differing(both, here)]
            if keys:
                told.append(
                    f"The model {name}, seed {seed}, was trained with other settings than those stated below: "
                    f"{', '.join(keys[:_SHOWN])}. Make it again."
                )
    return told


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        values = io.read_json(path)
    except InputError:
        return {}
    return values.get("settings", {}) if isinstance(values, dict) else {}
