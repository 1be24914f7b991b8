"""Models that trainings start from (`init_from`): those of the same run, and those that lie elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePath
from typing import NamedTuple

from txm2sem_core.config import Config
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.io import read_json


class Place(NamedTuple):
    """A model of a run."""

    sample: str
    variant: str
    seed: int


def place_in_run(folder: str, config: Config, samples: Collection[str]) -> Place | None:
    """Which model of this run has this folder; None where it is none."""
    path, results = PurePath(folder), PurePath(config.results_dir)
    if not path.is_relative_to(results) or len(parts := path.relative_to(results).parts) != 4:
        return None
    sample, models, variant, run = parts
    if models != "models" or sample not in samples or variant not in config.variants:
        return None
    return next((Place(sample, variant, seed) for seed in config.seeds_of(variant) if run == f"seed{seed}"), None)


def weights_digest(folder: str) -> str:
    """The SHA-256 of a model's weights, as its description states it and every training compares it.

    Raises:
        InputError: it has no description that states it.
    """
    description = read_json(Path(folder, "model.json"))
    digest = description.get("weights_sha256") if isinstance(description, dict) else None
    if not isinstance(digest, str):
        raise InputError(f"{folder}/model.json: key 'weights_sha256' is missing. Make the model again.")
    return digest


def check_starts(config: Config, samples: Collection[str], scans: int = 1) -> None:
    """Look at the models that variants start from, and whether their weights fit. Nothing in them is run.

    Variants with a network or family of the user's own are left out until its file has been loaded. `scans` is how many
    scans of the rock there are.

    Raises:
        ConfigError: there is no such model, a training would start from itself, no weight fits, or `freeze` does not.
        InputError: a model is damaged.
    """
    for name in config.variants:
        if config.variant(name).init_from is not None:
            _check_order(config, samples, name)
            _check_weights(config, samples, name, scans)


def _check_order(config: Config, samples: Collection[str], name: str) -> None:
    """Refuse a circle of trainings that start from one another, and a model that is fitted."""
    chain = [name]
    while (folder := config.variant(chain[-1]).init_from) is not None:
        place = place_in_run(folder, config, samples)
        if place is None:
            return
        if not config.variant(place.variant).rules.trained:
            raise ConfigError(
                f"variants.{chain[-1]}.init_from: {folder} is of variant {place.variant}, which is fitted and not "
                "trained. Name a model that is trained."
            )
        if place.variant in chain:
            circle = " starts from ".join([*chain[chain.index(place.variant) :], place.variant])
            raise ConfigError(
                f"variants.{chain[-1]}.init_from: {folder} would never be made, since {circle}, in every sample. Name "
                "a model that lies outside results_dir, or another variant's."
            )
        chain.append(place.variant)


def _check_weights(config: Config, samples: Collection[str], name: str, scans: int) -> None:
    # here, not above: PyTorch takes seconds, which a plan without such variants need not spend
    from txm2sem_core.checkpoint import fit_weights, load_weights, shapes_of
    from txm2sem_core.families import family_names, family_of
    from txm2sem_core.networks import generator_names

    settings = config.variant(name)
    folder = settings.init_from
    assert folder is not None  # the caller has looked
    place = place_in_run(folder, config, samples)
    known = [settings] if place is None else [settings, config.variant(place.variant)]
    if any(one.generator.name not in generator_names() or one.family not in family_names() for one in known):
        return
    try:
        if place is None:
            given, _ = load_weights(folder)
        else:
            given = shapes_of(family_of(config.variant(place.variant), scans).generator_arguments())
        fit_weights(shapes_of(family_of(settings, scans).generator_arguments()), given, settings.freeze, folder)
    except InputError as error:
        raise InputError(f"variants.{name}.init_from: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"variants.{name}.{error}") from error
