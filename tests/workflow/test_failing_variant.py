"""One variant whose training fails: the others are made, the failure is told last, and the run can go on without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, TINY, Workflow

SETTINGS: dict[str, Any] = {
    **TINY,
    "phantom": {**TINY["phantom"], "shape": [16, 96, 96]},
    "variants": {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "good": {"family": "feedforward", "generator": {"name": "resnet_1blocks"}},
        "bad": {"family": "feedforward", "generator": {"name": "resnet_1blocks"}, "loss_limit": 1e-9},
    },
}


@pytest.mark.slow  # two runs of some twenty jobs that each start Python
def test_a_training_that_fails(tmp_path: Path) -> None:
    workflow = Workflow.create(tmp_path / "run", SETTINGS, SAMPLES)
    result = workflow.run()
    assert result.returncode != 0
    results = workflow.folder / "results"
    for made in ("models/good/seed0/model.json", "volumes/good/seed0/sem.ome.zarr", "metrics/good/seed0/patches.csv"):
        assert (results / "tiny" / made).exists(), made
    assert not (results / "report.html").exists()
    last = result.stdout[result.stdout.index("txm2sem: 1 job failed") :]
    assert "train_model: epoch 1, step 1: a loss exceeds train.loss_limit = 1e-09" in last
    assert "log: results/logs/tiny/train_model/bad_seed0.log" in last
    assert "--config 'leave_out=[bad]'" in last
    assert "rule" not in last  # Snakemake's own list comes before

    again = workflow.run("--config", "leave_out=[bad]")
    assert again.returncode == 0, again.stdout
    assert "train_model" not in again.stdout[: again.stdout.index("Select jobs")]  # nothing is trained again
    report = (results / "report.html").read_text()
    assert "The variant bad is left out (leave_out)" in report
    assert "a loss exceeds train.loss_limit" in report
