"""SRGAN (Ledig et al. 2016, arXiv 1609.04802): adversarial super-resolution."""

from __future__ import annotations

from txm2sem_core.families.pix2pix import Pix2Pix
from txm2sem_core.families.registry import register_family


@register_family(
    "srgan",
    enlarges=True,
    adversarial=True,
    settings={
        "generator": {"name": "sr_resnet_9blocks", "width": 256},
        "discriminator": {"conditional": False},
        "pixel_weight": 1000.0,
        "schedule": {"epochs": 50, "decay_epochs": 25},
    },
    paper_settings={"generator": {"dropout": True}},
)
class SRGAN(Pix2Pix):
    """An adversarial family for super-resolution."""
