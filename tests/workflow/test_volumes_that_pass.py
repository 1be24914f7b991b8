"""`predict.keep: shown`: volumes that the report does not show are removed, and what was made of them stays."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TINY, Workflow, shared_run

from txm2sem_core import io
from txm2sem_core.commands.compare import compare_results

KEPT: dict[str, Any] = {
    **copy.deepcopy(TINY),
    "seeds": [0, 1],
    "predict": {"samples": 2, "coherence": 0.5, "jobs": 2, "keep": "shown"},
    "variants": {"flow": {"family": "flow", "generator": {"width": 2}, "flow": {"steps": 1}, "denoise": 0}},
}
VOLUMES = Path("results/tiny/volumes/flow")
METRICS = Path("results/tiny/metrics/flow")
SHOWN, PASSING = "seed0", ("seed0_sample2", "seed1", "seed1_sample2")


@pytest.fixture(scope="session")
def passed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    def make(folder: Path) -> None:
        result = Workflow.create(folder, KEPT).run()
        assert result.returncode == 0, result.stdout

    return shared_run(tmp_path_factory, worker_id, "passed", make)


def changed_config(folder: Path, **predict: Any) -> str:
    config = copy.deepcopy(KEPT)
    for key, value in predict.items():
        config["predict"][key] = value
    path = folder / "other.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return str(path)


def left(workflow: Workflow) -> list[str]:
    """The runs whose volumes are there."""
    return sorted(path.parent.name for path in (workflow.folder / VOLUMES).glob("*/sem.ome.zarr"))


def check_what_stays(workflow: Workflow) -> None:
    assert left(workflow) == [SHOWN]
    for run in (SHOWN, *PASSING):
        assert (workflow.folder / VOLUMES / run / "sem.digest").is_file()
        assert io.read_json(workflow.folder / METRICS / run / "rock.json")["porosity"] >= 0
        slabs = list((workflow.folder / VOLUMES / run).glob("slabs/*.json"))
        assert len(slabs) == (2 if run == SHOWN else 0)
    assert not list((workflow.folder / VOLUMES).glob("*/.sem*"))


def test_what_the_report_does_not_show_is_removed_and_its_measures_stay(passed: Workflow) -> None:
    check_what_stays(passed)
    assert (passed.folder / METRICS / "seed1/volume.json").is_file()
    assert passed.planned() == set()
    assert passed.planned("--forceall") >= {
        "predict_volume sample=tiny, variant=flow, seed=0",
        "predict_passing_volume sample=tiny, variant=flow, seed=1",
        "predict_passing_sample sample=tiny, variant=flow, seed=0, draw=2",
    }


def test_the_record_says_what_was_not_kept(passed: Workflow) -> None:
    record = io.read_json(passed.folder / "results/provenance.json")
    kept, gone = record["volumes"]
    assert (kept["path"], kept["kept"]) == ("tiny/volumes/flow/seed0/sem.ome.zarr", True)
    assert (gone["path"], gone["kept"]) == ("tiny/volumes/flow/seed1/sem.ome.zarr", False)
    digest = io.read_json(passed.folder / VOLUMES / "seed1/sem.digest")
    assert gone["units_sha256"] == digest["sha256"]
    crate = json.loads((passed.folder / "results/ro-crate-metadata.json").read_text())
    named = {entity["@id"] for entity in crate["@graph"]}
    assert "tiny/volumes/flow/seed0/sem.ome.zarr/" in named
    assert "tiny/volumes/flow/seed1/sem.ome.zarr/" not in named


def test_what_is_kept_is_part_of_no_job(passed: Workflow, tmp_path: Path) -> None:
    """To keep all again makes the volumes that are gone, with what reads them, and no model."""
    planned = passed.planned("--configfile", changed_config(tmp_path, keep="all"))
    assert "predict_volume sample=tiny, variant=flow, seed=1" in planned
    assert not {job for job in planned if job.split()[0] in ("train_model", "predict_test")}
    assert "predict_volume sample=tiny, variant=flow, seed=0" not in planned


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_volume_has_one_rule(passed: Workflow, tmp_path: Path, jobs: int) -> None:
    """Also the mean over seeds, and passes with dropout."""
    uncertain = {"ensemble": True, "dropout_samples": 2}
    config = copy.deepcopy(KEPT)
    config["variants"] |= copy.deepcopy(TINY["variants"])
    config["predict"] |= {"jobs": jobs, "uncertainty": uncertain}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    planned = passed.planned("--configfile", str(tmp_path / "config.yaml"), "--forceall")
    volumes = {job for job in planned if job.startswith(("predict_volume", "predict_passing")) and "slab=" not in job}
    assert volumes >= {
        "predict_volume_uncertainty sample=tiny, run=feedforward/seed0",
        "predict_volume_uncertainty sample=tiny, run=feedforward/ensemble",
        "predict_volume_uncertainty sample=tiny, run=flow/ensemble",
        "predict_passing_volume_uncertainty sample=tiny, run=feedforward/seed1",
        "predict_passing_volume sample=tiny, variant=srcnn_x2, seed=1",
        "predict_volume sample=tiny, variant=pointwise, seed=0",
    }
    samples = {job for job in planned if "draw=" in job and job.startswith("predict") and "slab=" not in job}
    assert samples == {f"predict_passing_sample sample=tiny, variant=flow, seed={seed}, draw=2" for seed in (0, 1)}
    assert len([job for job in planned if "slab=" in job]) == (2 * len(volumes) if jobs == 2 else 0)


def test_a_change_of_a_measure_makes_them_again_and_removes_them(passed: Workflow, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(passed.untouched, folder, symlinks=True)
    again = Workflow(folder)
    config = {**copy.deepcopy(KEPT), "measure": {"rock": {"cube_px": 16}}}
    again.write_config(config)
    planned = again.planned()
    assert not {job for job in planned if job.split()[0] in ("train_model", "predict_test", "predict_volume")}
    # a run that ended as soon as the first of them was there: the next one goes on
    stopped = again.run(str(VOLUMES / "seed1/sem.ome.zarr"))
    assert stopped.returncode == 0, stopped.stdout
    assert left(again) == [SHOWN, "seed1"]  # since it was asked for
    result = again.run()
    assert result.returncode == 0, result.stdout
    assert "rule predict_passing_volume:" not in result.stdout
    check_what_stays(again)
    assert again.planned() == set()
    # the same volumes were measured
    compared = compare_results(passed.folder / "results", folder / "results")
    assert not [one.name for one in compared if one.missing]
    assert {one.name for one in compared if not one.same and one.kind == "volumes"} == set()
