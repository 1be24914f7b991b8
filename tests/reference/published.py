"""The published code, imported from a copy outside this repository, and one of its models beside one of ours.

Needs `TXM2SEM_PUBLISHED` (a checkout of suetri-a/TXM2SEM at b1e1fa2, the last commit at which training starts) and
`TXM2SEM_JACOBIAN` (a checkout of facebookresearch/jacobian_regularizer). Nothing of either is copied here.
"""

from __future__ import annotations

import importlib
import os
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from txm2sem_core.checkpoint.reference import _published_key
from txm2sem_core.checkpoint.reference_layout import read_architecture
from txm2sem_core.config import TrainSettings
from txm2sem_core.families import Batch, Learner

VARIABLES = ("TXM2SEM_PUBLISHED", "TXM2SEM_JACOBIAN")
MODELS = {
    "feedforward": "FeedforwardModel",
    "pix2pix": "Pix2PixModel",
    "srcnn": "SRCNNModel",
    "srgan": "SRGANModel",
}
# our loss terms, and the attributes of the published models that hold the same
TERMS = {
    "feedforward": {"loss_pixel": "loss_G_img", "loss_z_projection": "loss_G_img_grad", "loss_generator": "loss_G"},
    "pix2pix": {
        "loss_pixel": "loss_G_L1",
        "loss_adversarial": "loss_G_GAN",
        "loss_z_projection": "loss_G_img_grad",
        "loss_generator": "loss_G",
        "loss_gradient_penalty": "loss_D_gp",
        "loss_discriminator": "loss_D",
    },
}
TERMS |= {"srcnn": TERMS["feedforward"], "srgan": TERMS["pix2pix"]}


def is_there() -> bool:
    """Whether both checkouts are named and exist."""
    return all(Path(os.environ.get(name, "/nowhere")).is_dir() for name in VARIABLES)


def checkout(variable: str) -> str:
    """The folder that a variable names."""
    return os.environ[variable]


def published(module: str) -> ModuleType:
    """A module of the published code, such as `models.networks`."""
    for name in VARIABLES:
        if os.environ[name] not in sys.path:
            sys.path.append(os.environ[name])
    return importlib.import_module(module)


def options(settings: TrainSettings, **values: Any) -> Namespace:
    """The published options that say what the settings say."""
    generator, discriminator = settings.generator, settings.discriminator
    chosen: dict[str, Any] = {
        "gpu_ids": [],
        "isTrain": True,
        "checkpoints_dir": "/nowhere",
        "name": "model",
        "preprocess": "none",
        "direction": "AtoB",
        "input_nc": 1,
        "output_nc": 1,
        "netG": generator.name,
        "ngf": generator.width,
        "norm": generator.norm,
        "no_dropout": not generator.dropout,
        "init_type": generator.init,
        "init_gain": generator.init_gain,
        "netD": discriminator.name,
        "ndf": discriminator.width,
        "n_layers_D": discriminator.layers,
        "d_condition": False,
        "downsample_factor": settings.factor,
        "gan_mode": settings.objective,
        "lambda_gp": settings.gradient_penalty_weight if settings.objective == "wgangp" else 0.0,
        "regression_loss": settings.pixel_loss,
        "lambda_regression": settings.pixel_weight,
        "lambda_L1": settings.pixel_weight,
        "lambda_img_grad": settings.z_penalty.projection,
        "lr": settings.optimiser.learning_rate,
        "beta1": settings.optimiser.beta1,
        "weight_decay": settings.optimiser.weight_decay,
    }
    return Namespace(**(chosen | values))


def published_model(settings: TrainSettings, seed: int) -> Any:
    """A published model, ready to train."""
    torch.manual_seed(seed)
    module = published(f"models.{settings.family}_model")
    model = getattr(module, MODELS[settings.family])(options(settings))
    for name in ("netG", "netD", "criterionGAN"):  # its buffers are float32, whatever the default
        if hasattr(model, name):
            getattr(model, name).to(torch.get_default_dtype())
    return model


def networks_of(learner: Learner, model: Any) -> list[tuple[nn.Module, nn.Module]]:
    """Our networks beside the published ones."""
    pairs = [(learner.generator, model.netG)]
    if learner.discriminator is not None:
        pairs.append((learner.discriminator, model.netD))
    return pairs


def published_names(ours: nn.Module, theirs: nn.Module) -> dict[str, str]:
    """The published key of each of our weights that has one."""
    _, names = read_architecture(theirs.state_dict())
    keys = {key: _published_key(key, names) for key in ours.state_dict()}
    return {key: name for key, name in keys.items() if name in theirs.state_dict()}


def copy_weights(ours: nn.Module, theirs: nn.Module, *, to_ours: bool) -> None:
    """Give one network the other's weights."""
    names = published_names(ours, theirs)
    assert set(names.values()) == set(theirs.state_dict()), "a published weight has no counterpart"
    source, target = (theirs.state_dict(), ours.state_dict()) if to_ours else (ours.state_dict(), theirs.state_dict())
    for key, name in names.items():
        target[key if to_ours else name].copy_(source[name if to_ours else key])


def published_step(model: Any, batch: Batch) -> None:
    """One step of the published training loop."""
    model.set_input({"A": batch.txm, "B": batch.sem, "A_paths": "", "B_paths": "", "A_orig": batch.txm})
    model.optimize_parameters()


def published_losses(family: str, model: Any) -> dict[str, float]:
    """The published loss terms, by our names."""
    return {ours: float(getattr(model, theirs)) for ours, theirs in TERMS[family].items()}


def our_losses(family: str, terms: dict[str, Tensor]) -> dict[str, float]:
    """The same of a step of ours; a term that is off is 0, as it is there."""
    return {name: float(terms.get(name, torch.zeros(()))) for name in TERMS[family]}


def our_step(learner: Learner, batch: Batch) -> dict[str, Tensor]:
    """One step of ours, on a batch that it may change."""
    copied = Batch(batch.txm.clone(), batch.sem.clone(), batch.mask)
    return learner.step(copied)
