"""Trainings that start from a model: one that lies elsewhere counts by its weights, one of the same run comes first."""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Workflow

from txm2sem_core.checkpoint import save_model
from txm2sem_core.networks import build_generator

MODEL = "results/tiny/models/{}/seed0/model.json"
TRAIN = "train_model sample=tiny, variant={}, seed=0"


def started(variant: str, model: str, **more: Any) -> dict[str, Any]:
    """The tiny run, with a variant like `feedforward` that starts from a model."""
    config = copy.deepcopy(TINY)
    config["variants"][variant] = {**config["variants"]["feedforward"], "init_from": model, **more}
    return config


def elsewhere(workflow: Workflow) -> Path:
    return Path(
        shutil.copytree(workflow.folder / MODEL.format("feedforward")[: -len("/model.json")], workflow.folder / "mine")
    )


def test_a_model_that_lies_elsewhere_counts_by_its_weights(changed: Workflow) -> None:
    model = elsewhere(changed)
    changed.write_config(started("feedforward", "mine", freeze=["first_conv"]))
    planned = changed.planned()
    assert {job for job in planned if job.split()[0] in ("train_model", "fit_baseline", "extract_patches")} == {
        TRAIN.format("feedforward")
    }
    assert {
        f"{rule} sample=tiny, variant=feedforward, seed=0" for rule in ("predict_test", "predict_volume")
    } <= planned
    target = MODEL.format("feedforward")
    result = changed.run(target)
    assert result.returncode == 0, result.stdout
    description = json.loads((changed.folder / target).read_text())
    assert description["started_from"]["model"] == "mine"
    assert description["started_from"]["frozen"] == ["first_conv.weight"]
    assert changed.planned(target) == set()
    for file in model.iterdir():
        os.utime(file, (time.time() + 5,) * 2)
    assert changed.planned(target) == set()
    words = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**words, "voxel_size_nm": [None, None, None]}))
    assert changed.planned(target) == set()
    save_model(model, build_generator(**{**words["generator"], "seed": 9}), words)
    assert changed.planned(target) == {TRAIN.format("feedforward")}


def test_a_model_of_the_same_run_is_made_first_and_a_new_one_counts(changed: Workflow) -> None:
    config = started("tuned", "results/tiny/models/feedforward/seed0")
    changed.write_config(config)
    target = MODEL.format("tuned")
    assert changed.planned(target) == {TRAIN.format("tuned")}
    result = changed.run(target)
    assert result.returncode == 0, result.stdout
    assert changed.planned(target) == set()
    config["variants"]["feedforward"]["pixel_loss"] = "L2"
    changed.write_config(config)
    assert changed.planned(target) == {TRAIN.format("feedforward"), TRAIN.format("tuned")}
    result = changed.run(target)
    assert result.returncode == 0, result.stdout
    first, second = (json.loads((changed.folder / MODEL.format(name)).read_text()) for name in ("feedforward", "tuned"))
    assert second["started_from"]["weights_sha256"] == first["weights_sha256"]
    assert changed.planned(target) == set()


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        ("nowhere", {}, "variants.tuned.init_from: nowhere: there is no such model directory"),
        (
            "results/tiny/models/feedforward/seed0",
            {"freeze": ["encoder"]},
            "variants.tuned.freeze: 'encoder' is no layer",
        ),
        ("results/tiny/models/tuned/seed0", {}, "would never be made, since tuned starts from tuned"),
    ],
)
def test_what_cannot_be_started_from_is_refused_before_anything_runs(
    tmp_path: Path, model: str, more: dict[str, Any], words: str
) -> None:
    workflow = Workflow.create(tmp_path / "w", started("tuned", model, **more))
    result = workflow.run("--dry-run", "--nolock")
    assert result.returncode != 0
    assert words in result.stdout
    assert "Traceback" not in result.stdout
