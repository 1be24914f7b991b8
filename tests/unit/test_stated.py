"""The report says where a model was trained with other settings than it states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from txm2sem_core import io
from txm2sem_core.config import load_config
from txm2sem_core.reporting.stated import models_of_other_settings

STATED: dict[str, Any] = {
    "seeds": [0, 1],
    "variants": {
        "net": {"family": "feedforward", "schedule": {"epochs": 3}},
        "line": {"family": "baseline", "generator": {"name": "pointwise"}},
    },
}


def model(folder: Path, seed: int, context: int = 0, **own: Any) -> None:
    trained = {**STATED, "variants": {"net": {**STATED["variants"]["net"], **own}}}
    settings = load_config(trained, neighbours=context).variant("net").model_dump(mode="json")
    io.write_json(folder / f"models/net/seed{seed}/model.json", {"settings": settings})


@pytest.mark.parametrize("context", [0, 2])
def test_models_of_the_stated_settings_give_no_warning(tmp_path: Path, context: int) -> None:
    model(tmp_path, 0, context)
    model(tmp_path, 1, context)
    assert models_of_other_settings(tmp_path, yaml.safe_dump(STATED)) == []


def test_a_model_of_other_settings_is_named_with_seed_and_values(tmp_path: Path) -> None:
    model(tmp_path, 0)
    model(tmp_path, 1, schedule={"epochs": 2}, flips=False)
    (told,) = models_of_other_settings(tmp_path, yaml.safe_dump(STATED))
    assert "net, seed 1" in told
    assert "schedule.epochs 2, stated 3" in told
    assert "flips false, stated true" in told


def test_a_setting_of_another_version_is_no_difference(tmp_path: Path) -> None:
    model(tmp_path, 0)
    path = tmp_path / "models/net/seed0/model.json"
    values = io.read_json(path)
    del values["settings"]["flips"]
    values["settings"]["gone"] = 1
    path.write_text(json.dumps(values))
    assert models_of_other_settings(tmp_path, yaml.safe_dump(STATED)) == []
