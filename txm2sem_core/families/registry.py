"""Families by name.

A family of one's own is one class in one file:

    from txm2sem_core.families import Feedforward, register_family

    @register_family("my_family", settings={"pixel_weight": 10.0})
    class MyFamily(Feedforward):
        def content_loss(self, learner, predicted, batch):
            ...

The keywords are the fields of `config.families.FamilyRules`, as plain values: the configuration reads them without
running the file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from txm2sem_core.config import FamilyRules, TrainSettings, validated
from txm2sem_core.config.checking import known_keys
from txm2sem_core.config.families import STAND_IN, built_in, declare, unknown_family
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families.base import Family
from txm2sem_core.families.learner import Learner
from txm2sem_core.networks.plugins import described, file_of

AnyFamily = TypeVar("AnyFamily", bound=type[Family])
_families: dict[str, type[Family]] = {}


def register_family(name: str, **rules: Any) -> Callable[[AnyFamily], AnyFamily]:
    """Make the decorated class the family of this name in the settings.

    Args:
        name: in the config.
        rules: fields of `FamilyRules`.

    Raises:
        ConfigError: the name is taken.
    """

    def register(family: AnyFamily) -> AnyFamily:
        if name in family_names() and _families[name].__module__ != family.__module__:
            raise ConfigError(f"A family named {name!r} is registered already. Register yours under another name.")
        family.name, family.rules = name, FamilyRules(**rules)
        _families[name] = family
        if name not in built_in():
            declare(name, family.rules)
        return family

    return register


def family_names() -> list[str]:
    """The families that there are; those of a user's file that has changed are gone with it."""
    return sorted(name for name, family in _families.items() if family.__module__ in sys.modules)


def family_of(settings: TrainSettings, scans: int = 1) -> Family:
    """The family of a variant; ConfigError where there is none of this name.

    Args:
        settings: of the variant.
        scans: of the rock, that there are; it may look at the first alone (`Family.seen_of`).
    """
    family = _named(settings.family)(settings)
    family.scans = family.seen_of(scans)
    return family


def learner_of(settings: TrainSettings, seed: int, device: torch.device) -> Learner:
    """Fresh networks and optimisers of a variant, for one scan; ConfigError for a baseline."""
    return family_of(settings).learner(seed, device)


def family_of_model(description: Mapping[str, Any]) -> Family:
    """The family that a model was trained in, by its `model.json`.

    Keys of its settings that are no longer known are ignored. A model without settings, as one of the published
    code, has their defaults.

    Raises:
        ConfigError: the family is a user's, whose file has not been given.
        InputError: a setting has a value that it cannot have.
    """
    name = description.get("family") or STAND_IN
    if name not in family_names():
        file = (description.get("family_plugin") or {}).get("file")
        made = f" It was registered by the file {file!r} when the model was trained." if file else ""
        raise ConfigError(
            f"the model's {unknown_family(name, family_names())}{made} Give its file by --plugin, or under plugins in "
            "the config."
        )
    values, scans = description.get("settings"), 1 + len(description.get("further_scans") or ())
    if not values:
        return family_of(TrainSettings.model_construct(family=name))
    try:
        settings = validated(TrainSettings, known_keys(TrainSettings, values), "settings", "model.json")
    except ConfigError as error:
        raise InputError(str(error).replace("config/README.md describes this key.", "Make the model again.")) from error
    family = _named(name)(settings)
    family.scans = scans
    return family


def family_file(family: str) -> Path | None:
    """The user's file that registered a family; None for one of ours."""
    return file_of(_families[family].__module__) if family in family_names() else None


def family_plugin(family: str) -> dict[str, str] | None:
    """The same as `model.json` records it (name, sha256)."""
    return described(family_file(family))


def _named(name: str) -> type[Family]:
    if name not in family_names():
        raise ConfigError(f"family: {unknown_family(name, family_names())} Your own needs its file, by --plugin.")
    return _families[name]
