"""Families of models, each one file: which networks it builds, what one step of training is, and how it predicts.

- `base`: what a family is; `registry`: families by name, those of a user's own among them
- `learner`, `average`: networks and optimisers that a step works on
- `batch`, `scores`: what a family is given, and how its predictions are scored in training
- `losses`, `z_penalty`: pure functions that steps are made of; `shifts`: a pixel loss that bears misfit

All other modules are families. They are imported here so that their names are registered: whichever lies in this
folder, so that a new one needs no list.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from txm2sem_core.families.base import Family
from txm2sem_core.families.batch import Batch, BatchSource, Images
from txm2sem_core.families.feedforward import Feedforward
from txm2sem_core.families.learner import Learner
from txm2sem_core.families.pix2pix import Pix2Pix
from txm2sem_core.families.registry import (
    family_file,
    family_names,
    family_of,
    family_of_model,
    family_plugin,
    learner_of,
    register_family,
)

__all__ = [
    "Batch",
    "BatchSource",
    "Family",
    "Feedforward",
    "Images",
    "Learner",
    "Pix2Pix",
    "family_file",
    "family_names",
    "family_of",
    "family_of_model",
    "family_plugin",
    "learner_of",
    "register_family",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
