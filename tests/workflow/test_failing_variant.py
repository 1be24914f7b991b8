"""One variant whose training fails: the others are made, the failure is reported, and the run can go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, TINY, Workflow

SETTINGS: dict[str, Any] = {
    **TINY,
    "phantom": {**TINY["phantom"], "shape": [16, 96, 96]},
    "variants": {
        "good": {"family": "feedforward", "generator": {"name": "resnet_1blocks"}},
        "bad": {"family": "feedforward", "generator": {"name": "resnet_1blocks"}, "loss_limit": 1e-9},
    },
}


@pytest.mark.slow  # five jobs that each start Python
def test_a_training_that_fails(tmp_path: Path) -> None:
    workflow = Workflow.create(tmp_path / "run", SETTINGS, SAMPLES)
    result = workflow.run("models", "--quiet", "rules")
    assert result.returncode != 0
    models = workflow.folder / "results" / "tiny" / "models"
    assert (models / "good" / "seed0" / "model.json").exists(), result.stdout
    assert not (models / "bad" / "seed0" / "model.json").exists()
    last = result.stdout[result.stdout.index("txm2sem: 1 job failed") :]
    assert "train_model: epoch 1, step 1: a loss exceeds train.loss_limit = 1e-09" in last
    assert "log: results/logs/tiny/train_model/bad_seed0.log" in last
    assert "--config 'leave_out=[bad]'" in last
    assert "Error in rule" not in last  # Snakemake's own words come before

    planned = workflow.planned("--config", "leave_out=[bad]")
    assert {job.split()[0] for job in planned} >= {"write_report", "predict_volume", "draw_comparison"}
    assert not [job for job in planned if "bad" in job or job.split()[0] in ("train_model", "extract_patches")]
