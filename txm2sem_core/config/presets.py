"""What each preset sets, for all variants and by family; `train:` and then the variant's own keys override it."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "corrected": {
        "all": {"context": "auto"},
        "feedforward": {"generator": {"name": "resnet_9blocks"}},
        "pix2pix": {"generator": {"name": "unet_256", "dropout": True}, "pixel_weight": 100.0},
        "repair": {"generator": {"name": "unet_256", "dropout": True}, "pixel_weight": 10.0},
        "segmentation": {"generator": {"name": "resnet_9blocks"}},
        "srcnn": {"generator": {"name": "sr_resnet_9blocks", "width": 256}},
        "srgan": {
            "generator": {"name": "sr_resnet_9blocks", "width": 256},
            "discriminator": {"conditional": False},
            "pixel_weight": 1000.0,
            "schedule": {"epochs": 50, "decay_epochs": 25},
        },
        "wgangp": {"discriminator": {"norm": "none"}, "critic_steps": 5},
    },
    "paper": {
        "all": {
            "batch_size": 1,
            "turns": False,
            "mask_loss": False,
            "select": "last",
            "inference_mode": "batch_statistics",
            "z_penalty": {"reduction": "sum", "every": 1},
        },
        "feedforward": {"generator": {"name": "resnet_9blocks"}},
        "pix2pix": {"generator": {"name": "unet_256", "dropout": True}, "pixel_weight": 100.0},
        "repair": {"generator": {"name": "unet_256", "dropout": True}, "pixel_weight": 10.0},
        "segmentation": {"generator": {"name": "resnet_9blocks"}},
        "srcnn": {"generator": {"name": "sr_resnet_9blocks", "width": 256}},
        "srgan": {
            "generator": {"name": "sr_resnet_9blocks", "width": 256, "dropout": True},
            "discriminator": {"conditional": False},
            "pixel_weight": 1000.0,
            "schedule": {"epochs": 50, "decay_epochs": 25},
        },
        "wgangp": {"gradient_penalty_weight": 0.0, "critic_steps": 1},
    },
}
# What `preset: paper` sets outside the variants.
PAPER_STAGES: dict[str, dict[str, Any]] = {
    "patches": {"evaluation": "random", "min_nonzero": 0.75},
    "downsample": {"method": "nearest"},
}
# Families whose norm, dropout and initialisation the published code fixes, whatever is asked.
PAPER_FIXED = {"norm": "batch", "dropout": False, "init": "normal", "init_gain": 0.02}
PAPER_FIXED_FAMILIES = ("feedforward", "srcnn", "segmentation")
