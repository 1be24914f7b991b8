"""What each preset sets, for all variants and by objective; `train:` and then the variant's own keys override it.

What it sets by family stands in the family's file (`config.families`).
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "corrected": {
        "all": {"context": "auto"},
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
        "wgangp": {"gradient_penalty_weight": 0.0, "critic_steps": 1},
    },
}
# What `preset: paper` sets outside the variants.
PAPER_STAGES: dict[str, dict[str, Any]] = {
    "patches": {"evaluation": "random", "min_nonzero": 0.75},
    "downsample": {"method": "nearest"},
}
# What the published code fixes of some families' generators (`FamilyRules.paper_fixes_generator`).
PAPER_FIXED = {"norm": "batch", "dropout": False, "init": "normal", "init_gain": 0.02}
