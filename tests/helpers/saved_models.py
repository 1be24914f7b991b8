"""A model folder whose description a test may change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from txm2sem_core.checkpoint import (
    save_model,
)
from txm2sem_core.networks import build_generator

OPTIONS = {"name": "resnet_1blocks", "width": 2}
DESCRIPTION: dict[str, Any] = {
    "generator": OPTIONS,
    "normalisation": {"txm": {"low": 0.0, "high": 255.0}, "sem": {"low": 0.0, "high": 255.0}},
    "preparation": {"equalise": 0.0, "contrast": 1.0},
    "sem_dtype": "uint8",
    "voxel_size_nm": [None, 32.0, 32.0],
    "inference_mode": "evaluation",
}


def saved(folder: Path, **changes: Any) -> Path:
    """A good model, then its description changed."""
    save_model(folder, build_generator(**OPTIONS, seed=0), DESCRIPTION)
    file = folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return folder
