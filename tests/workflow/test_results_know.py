"""Results know what they were made with, whatever Snakemake remembers; and what was removed is made again if needed."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Workflow
from test_rerun_contract import AFTER_PHASES, ALL_FROM_PATCHES, ALL_FROM_REGISTER, ONE_AGAIN, REPORT

# what makes Snakemake forget, or not look; and its options
FORGETTING: dict[str, tuple[dict[str, Any], list[str]]] = {
    "its folder was removed": ({}, []),
    "results_dir is written otherwise": ({"results_dir": "./results/"}, []),
    "it looks at times alone": ({}, ["--rerun-triggers", "mtime"]),
}
ONE_VARIANT = {"variants": TINY["variants"] | {"feedforward": TINY["variants"]["feedforward"] | {"pixel_loss": "L2"}}}
CHANGES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set()),
    ({"title": "Another"}, REPORT),
    ({"measure": {"phases": 3}}, AFTER_PHASES),
    ({"patches": TINY["patches"] | {"train": 12}}, ALL_FROM_PATCHES),
    (ONE_VARIANT, ONE_AGAIN),
]


@pytest.mark.parametrize("how", FORGETTING)
@pytest.mark.parametrize(("change", "expected"), CHANGES, ids=[",".join(change) or "nothing" for change, _ in CHANGES])
def test_other_settings_run_again_whatever_snakemake_remembers(
    changed: Workflow, how: str, change: dict[str, Any], expected: set[str]
) -> None:
    settings, options = FORGETTING[how]
    changed.write_config({**copy.deepcopy(TINY), **change, **settings})
    if how == "its folder was removed":
        shutil.rmtree(changed.folder / ".snakemake")
    assert changed.planned(*options) == expected


def test_the_plan_names_the_results_and_their_settings(changed: Workflow) -> None:
    shutil.rmtree(changed.folder / ".snakemake")
    changed.write_config(copy.deepcopy(TINY) | {"patches": TINY["patches"] | {"train": 12}})
    said = changed.run("--dry-run").stdout
    assert "made again: results/tiny/patches/store.safetensors (train 8, now 12)" in said


def test_every_job_leaves_a_record(finished: Workflow) -> None:
    results = finished.folder / "results"
    assert len(list(results.rglob(".settings/**/*.json"))) == len(list((results / "benchmarks").rglob("*.tsv"))) > 20


def test_touch_takes_results_for_those_of_the_present_settings(changed: Workflow) -> None:
    changed.write_config(copy.deepcopy(TINY) | {"measure": {"phases": 3}})
    result = changed.run("--touch")
    assert result.returncode == 0, result.stdout
    assert changed.planned() == set()


def test_the_report_warns_of_results_of_other_settings_and_of_those_without_a_record(changed: Workflow) -> None:
    report = changed.folder / "results/report.html"
    assert "Made with other settings" not in report.read_text()
    assert "No record says" not in report.read_text()
    records = changed.folder / "results/tiny/.settings"
    model = records / "models/feedforward/seed0/generator.safetensors.json"
    model.write_text(model.read_text().replace('\\"batch_size\\": 4', '\\"batch_size\\": 8'))
    (records / "models/srcnn_x2/seed0/generator.safetensors.json").unlink()
    result = changed.run("-R", "write_report", "--allowed-rules", "write_report", "--", "results/report.html")
    assert result.returncode == 0, result.stdout
    page = report.read_text()
    assert "(settings): models/feedforward/seed0/generator.safetensors." in page
    assert "were made: models/srcnn_x2/seed0/generator.safetensors." in page


INTERMEDIATE = ["raw/sem", "raw/txm_volume", "registered/pairs", "patches/store.safetensors", "patches/index.csv"]


@pytest.mark.parametrize("name", INTERMEDIATE)
def test_intermediate_files_that_were_removed_are_not_missed(changed: Workflow, name: str) -> None:
    remove(changed.folder / "results/tiny" / name)
    assert changed.planned() == set()


@pytest.mark.parametrize(
    ("name", "change", "made_again"),
    [
        ("registered/pairs", {"patches": TINY["patches"] | {"train": 12}}, "register_pairs sample=tiny"),
        ("raw/sem", {"register": {"levels": 3}}, "make_phantom sample=tiny"),
        ("raw/txm_volume", {"predict": {"overlap_px": 16}}, "make_phantom sample=tiny"),
        ("raw/truth", {"measure": {"phases": 3}}, "make_phantom sample=tiny"),
        ("patches/store.safetensors", {"predict": {"overlap_px": 16}}, "extract_patches sample=tiny"),
        ("patches/index.csv", {"measure": {"phases": 3}}, "extract_patches sample=tiny"),
    ],
)
def test_where_a_job_needs_them_they_are_made_again(
    changed: Workflow, name: str, change: dict[str, Any], made_again: str
) -> None:
    remove(changed.folder / "results/tiny" / name)
    changed.write_config(copy.deepcopy(TINY) | change)
    planned = changed.planned()
    assert made_again in planned
    if name == "registered/pairs":
        assert planned == ALL_FROM_REGISTER


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


MODULE = """
configfile: "mine.yaml"
module txm:
    snakefile: "{root}/Snakefile"
    config: config{more}
use rule * from txm as txm_*
rule mine:
    default_target: True
    input: "results/tiny/raw/phantom.json"
"""


@pytest.mark.parametrize("prefix", [False, True])
def test_the_workflow_is_a_module_of_another_or_says_that_it_is_not(tmp_path: Path, prefix: bool) -> None:
    workflow = Workflow.create(tmp_path / "theirs")
    mine = Workflow.create(tmp_path / "mine")
    for name in ("Snakefile", "workflow", "txm2sem_core"):
        remove(mine.folder / name)
    shutil.move(mine.folder / "config.yaml", mine.folder / "mine.yaml")
    more = '\n    prefix: "sub"' if prefix else ""
    (mine.folder / "Snakefile").write_text(MODULE.format(root=workflow.folder, more=more))
    shutil.copy(mine.folder / "mine.yaml", mine.folder / "config.yaml")
    result = mine.run()
    if prefix:
        assert result.returncode == 1
        assert "txm2sem: error: module: prefix" in result.stdout
        assert "Traceback" not in result.stdout
    else:
        assert result.returncode == 0, result.stdout
        assert (mine.folder / "results/tiny/raw/phantom.json").exists()
        assert (mine.folder / "results/tiny/.settings/raw/phantom.json.json").exists()
        assert not any((workflow.folder / name).exists() for name in ("results", ".snakemake"))
        whole = mine.run("--dry-run", "--nolock", "txm_all")
        assert whole.returncode == 0, whole.stdout
        assert {"txm_train_model", "txm_predict_volume", "txm_write_report"} <= set(
            re.findall(r"rule (\w+):", whole.stdout)
        )
