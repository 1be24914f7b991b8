"""The variants that are compared: every family, objective and option, as `preset: paper` has it, small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from txm2sem_core.config import TrainSettings, load_config
from txm2sem_core.families import Batch

STEPS = 3
SMALL: dict[str, dict[str, Any]] = {
    "feedforward": {"generator": {"name": "resnet_6blocks", "width": 4}},
    "pix2pix": {"generator": {"name": "unet_128", "width": 4, "dropout": False}},
    "srcnn": {"generator": {"name": "sr_resnet_6blocks", "width": 8}, "factor": 2},
    "srgan": {"generator": {"name": "sr_resnet_6blocks", "width": 8, "dropout": False}, "factor": 2},
}
PENALISED = {"z_penalty": {"projection": 0.1}}
SIZE_PX = 128  # what unet_128 needs

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "feedforward L1": ("feedforward", {}),
    "feedforward L2": ("feedforward", {"pixel_loss": "L2", "pixel_weight": 3.0}),
    "feedforward penalty": ("feedforward", PENALISED),
    "feedforward unet_128": ("feedforward", {"generator": {"name": "unet_128"}}),
    "feedforward unet_128 penalty": ("feedforward", {"generator": {"name": "unet_128"}, **PENALISED}),
    "feedforward resnet_9blocks": ("feedforward", {"generator": {"name": "resnet_9blocks"}}),
    "feedforward linearfilt": ("feedforward", {"generator": {"name": "linearfilt"}}),
    "pix2pix vanilla": ("pix2pix", {}),
    "pix2pix lsgan": ("pix2pix", {"objective": "lsgan"}),
    "pix2pix wgangp": ("pix2pix", {"objective": "wgangp"}),
    "pix2pix wgangp with its penalty": ("pix2pix", {"objective": "wgangp", "gradient_penalty_weight": 10.0}),
    "pix2pix penalty": ("pix2pix", PENALISED),
    "pix2pix wgangp, both penalties": (
        "pix2pix",
        {"objective": "wgangp", "gradient_penalty_weight": 10.0, **PENALISED},
    ),
    "pix2pix weight decay": ("pix2pix", {"optimiser": {"weight_decay": 0.01}}),
    "pix2pix instance norm": ("pix2pix", {"generator": {"norm": "instance"}, "discriminator": {"norm": "instance"}}),
    "pix2pix no norm": ("pix2pix", {"generator": {"norm": "none"}, "discriminator": {"norm": "none"}}),
    "pix2pix resnet_6blocks": ("pix2pix", {"generator": {"name": "resnet_6blocks"}}),
    "pix2pix n_layers": ("pix2pix", {"discriminator": {"name": "n_layers", "layers": 2}}),
    "pix2pix pixel": ("pix2pix", {"discriminator": {"name": "pixel"}}),
    "srcnn x2": ("srcnn", {}),
    "srcnn x4": ("srcnn", {"factor": 4}),
    "srcnn L2 penalty": ("srcnn", {"pixel_loss": "L2", **PENALISED}),
    "srcnn sr_resnet_9blocks": ("srcnn", {"generator": {"name": "sr_resnet_9blocks"}}),
    "srgan x2 vanilla": ("srgan", {}),
    "srgan x4 vanilla": ("srgan", {"factor": 4}),
    "srgan x2 lsgan": ("srgan", {"objective": "lsgan"}),
    "srgan x2 wgangp with its penalty": ("srgan", {"objective": "wgangp", "gradient_penalty_weight": 10.0}),
    "srgan x2 penalty": ("srgan", PENALISED),
}


def settings_of(case: str) -> TrainSettings:
    """The case as `preset: paper` completes it."""
    family, values = CASES[case]
    own: dict[str, Any] = {"family": family, **SMALL[family], "discriminator": {"width": 4}}
    for key, value in values.items():
        own[key] = {**own.get(key, {}), **value} if isinstance(value, dict) else value
    return load_config({"preset": "paper", "variants": {"one": own}}).variant("one")


@contextmanager
def double_precision() -> Iterator[None]:
    """Random draws and new tensors in float64.

    Adam's first steps are the learning rate times the sign of a gradient. In float32 many gradients are rounding noise,
    which differs from processor to processor and with the order of sums; in float64 none of those that count is.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def batch_of(settings: TrainSettings, step: int, count: int = 1) -> Batch:
    """Patches from a formula, so that they depend on no random numbers: waves whose period changes with the step."""
    size = SIZE_PX // settings.factor
    txm = torch.stack([wave(size, settings.factor, 0.11 + 0.03 * step + 0.05 * n) for n in range(count)])
    sem = torch.stack([wave(SIZE_PX, 1, 0.13 + 0.02 * step + 0.05 * n) for n in range(count)])
    default = torch.get_default_dtype()
    return Batch(txm.to(default), sem.to(default), torch.ones_like(sem, dtype=torch.bool))


def wave(size: int, step_px: int, frequency: float) -> torch.Tensor:
    """`[1, size, size]` in [-0.9, 0.9]."""
    y, x = torch.meshgrid(*[torch.arange(0, size * step_px, step_px, dtype=torch.float64)] * 2, indexing="ij")
    return (0.6 * torch.sin(frequency * y + 0.4) + 0.3 * torch.cos(2.3 * frequency * x - y / 9))[None].float()
