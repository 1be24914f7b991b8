"""Settings of every family with small networks, and random batches for them."""

from __future__ import annotations

from typing import Any

import torch

from txm2sem_core.config import TrainSettings, parse_settings
from txm2sem_core.config.families import built_in
from txm2sem_core.families import Batch
from txm2sem_core.families.repair import repair_input

SIDE_PX = 64

# steps that a GPU takes as graphs: the family, and what else is asked of it
STEPS: dict[str, dict[str, Any]] = {
    "feedforward": {},
    "feedforward, shifts": {"pixel_shift_px": 2},
    "feedforward, projection": {"z_penalty": {"projection": 0.01}},
    "feedforward, perturbation": {"z_penalty": {"perturbation": 0.01, "every": 2}},
    "feedforward, stack": {"z_penalty": {"stack": 0.01, "every": 2}},
    "pix2pix": {"ema_decay": 0.9},
    "pix2pix, critic": {"objective": "wgangp", "critic_steps": 2, "discriminator": {"width": 4, "norm": "none"}},
    "pix2pix, R1": {"r1_weight": 1.0},
    "pix2pix, spectral norm": {"discriminator": {"width": 4, "spectral_norm": True}},
    "srgan": {},
    "segmentation": {},
    "repair": {},
    "flow": {"ema_decay": 0.9},
}


def settings_of(family: str, network: str = "", **more: Any) -> TrainSettings:
    factor = 2 if built_in()[family].enlarges else 1
    generator = {"name": network or ("sr_resnet_2blocks" if factor > 1 else "resnet_2blocks")}
    if generator["name"] not in ("linearfilt", "gammafilt"):
        generator["width"] = 4
    values = {"factor": factor, "generator": generator, "discriminator": {"width": 4}, **more}
    return parse_settings(TrainSettings, "{}", family=family, **values)


def batch_of(settings: TrainSettings) -> Batch:
    """Random patches on the CPU, where they come from."""
    side, channels = SIDE_PX // settings.factor, 2 * settings.context + 1
    txm, sem = torch.rand(2, channels, side, side) * 2 - 1, torch.rand(2, 1, SIDE_PX, SIDE_PX) * 2 - 1
    mask = torch.ones_like(sem, dtype=torch.bool)
    if settings.rules.task == "repair":
        damage = torch.zeros_like(mask)
        damage[:, :, 20:40, 20:40] = True
        return Batch(repair_input(txm, sem, damage), sem, mask, judged=damage)
    stack = torch.cat([txm, txm[:, -1:].flip(2)], dim=1) if settings.z_penalty.stack else None
    classes = (sem > 0).to(torch.uint8) + (sem > 0.5).to(torch.uint8) if settings.rules.task == "segmentation" else None
    return Batch(txm, sem, mask, stack=stack, classes=classes)
