"""A variant that draws samples: its volumes, the rock as intervals, and what a change of its settings runs again."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import ROOT, TINY, Workflow

from txm2sem_core import io

SAMPLES: dict[str, Any] = {
    **copy.deepcopy(TINY),
    "predict": {"samples": 2},
    "variants": {"flow": {"family": "flow", "generator": {"width": 2}, "flow": {"steps": 1}, "denoise": 0}},
}
HERE = "results/tiny"
REPORT = {"write_report", "write_provenance"}
DRAWN = ("draw_distributions", "draw_representative", "draw_rock")
ROCK = {f"{rule} sample=tiny" for rule in ("summarise_rock", *DRAWN)}
OF_FLOW = "sample=tiny, variant=flow, seed=0"


def second(rule: str, draw: int = 2) -> set[str]:
    return {f"{rule} {OF_FLOW}, draw={draw}"}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = Workflow.create(tmp_path_factory.mktemp("samples") / "run", SAMPLES)
    result = workflow.run()
    assert result.returncode == 0, result.stdout
    return workflow


def test_each_sample_is_a_volume_and_the_rock_is_their_interval(sampled: Workflow) -> None:
    first, other = (
        io.open_volume(sampled.folder / HERE / "volumes/flow" / run / "sem.ome.zarr").read(0, 16)
        for run in ("seed0", "seed0_sample2")
    )
    assert (first != other).mean() > 0.5
    table = io.read_csv(sampled.folder / HERE / "metrics/rock_intervals.csv")
    table = table[table["variant"] == "flow"].set_index("metric")
    rocks = [
        io.read_json(sampled.folder / HERE / f"metrics/flow/{run}/rock.json") for run in ("seed0", "seed0_sample2")
    ]
    assert table.loc["porosity", "n"] == 2
    assert table.loc["porosity", "mean"] == pytest.approx(np.mean([rock["porosity"] for rock in rocks]))
    assert np.isnan(table.loc["porosity", "low"])  # of one seed
    assert "The rock as intervals" in (sampled.folder / "results/report.html").read_text()
    assert sampled.planned() == set()


def test_the_command_of_the_guide_draws_the_sample_of_its_number(sampled: Workflow) -> None:
    text = (ROOT / "docs/guides/samples.md").read_text().replace("results/demo", HERE)
    (command,) = re.findall(r"^txm2sem predict .*$", text, re.M)
    again = command.replace("--draw 3", "--draw 2").replace("sample3", "sample2")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    for one in (command, again):
        subprocess.run(one.split(), cwd=sampled.folder, env=environment, check=True, capture_output=True)
    third, second_one = (io.open_volume(sampled.folder / f"sample{n}.ome.zarr").read(0, 16) for n in (3, 2))
    of_run = io.open_volume(sampled.folder / HERE / "volumes/flow/seed0_sample2/sem.ome.zarr").read(0, 16)
    np.testing.assert_array_equal(second_one, of_run)
    assert (third != second_one).mean() > 0.5


CHANGES: list[tuple[str, Any, set[str]]] = [
    ("samples", 1, ROCK | REPORT),
    (
        "samples",
        3,
        second("predict_sample", 3) | second("measure_sample_rock", 3) | ROCK | REPORT,
    ),
    ("jobs", 2, set()),
    ("coherence", 0.5, set()),
]


@pytest.mark.parametrize(("key", "value", "expected"), CHANGES)
def test_a_change_runs_again_what_depends_on_it(
    sampled: Workflow, tmp_path: Path, key: str, value: Any, expected: set[str]
) -> None:
    config = copy.deepcopy(SAMPLES)
    config["predict"][key] = value
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    planned = sampled.planned("--configfile", str(tmp_path / "config.yaml"))
    if expected:
        assert planned == expected
        return
    again = {f"predict_volume {OF_FLOW}", f"measure_rock {OF_FLOW}", "summarise_rock sample=tiny"}
    again |= second("predict_sample") | second("measure_sample_rock")
    assert again <= planned
    assert not {job for job in planned if job.split()[0] in ("train_model", "extract_patches")}
    slabs = {job for job in planned if "slab=" in job}
    assert len(slabs) == (4 if key == "jobs" else 0)  # two of each sample
