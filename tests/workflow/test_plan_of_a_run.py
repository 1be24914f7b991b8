"""`txm2sem plan` beside a run: its jobs, and what they left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from txm2sem_core.cli import app
from txm2sem_core.commands.planned import plan_run, planned_jobs
from txm2sem_core.errors import ConfigError

CONFIG = Path("config.yaml")


@pytest.fixture
def within(finished, monkeypatch: pytest.MonkeyPatch):
    """The finished run, as the folder that commands work in."""
    monkeypatch.chdir(finished.folder)
    return finished


def test_the_jobs_are_those_of_snakemakes_plan(within) -> None:
    planned = list(planned_jobs(CONFIG, ["--forceall"]))
    names = {
        " ".join([job.rule, ", ".join(f"{name}={value}" for name, value in job.wildcards.items())]).strip()
        for job in planned
    }
    assert names == within.planned("--forceall")
    assert len(names) == len(planned)
    assert {job.threads for job in planned if job.rule == "train_model"} == {8}


def test_disk_and_files_are_as_foreseen(within) -> None:
    stages = plan_run(CONFIG, whole=True, device="cpu")
    results = within.folder / "results"
    left = [path for path in results.rglob("*") if path.is_file() and "crate" not in path.parts]
    drawn = {".png", ".html"}  # those of the tiny run are smaller than figures are meant to be
    size = sum(path.stat().st_size for path in left if path.suffix not in drawn)
    assert 0.5 < sum(stage.disk for name, stage in stages.items() if name != "figures") / size < 2
    assert 0.5 < sum(stage.files for stage in stages.values()) / len(left) < 2
    assert 0 < sum(stage.core_hours for stage in stages.values()) < 1
    assert list(stages) == sorted(stages, key=lambda name: -stages[name].core_hours)


def test_nothing_is_left_of_a_finished_run(within) -> None:
    done = CliRunner().invoke(app, ["plan", str(CONFIG), "--device", "cpu"])
    assert (done.exit_code, done.stdout) == (0, "Nothing is left to do.\n")


def test_a_folder_without_a_workflow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    CONFIG.write_text("{}")
    with pytest.raises(ConfigError, match=r"snakemake cannot plan this run: .*Snakefile"):
        list(planned_jobs(CONFIG))


def test_what_the_workflow_refuses_is_said_as_it_says_it(within, tmp_path: Path) -> None:
    other = tmp_path / "config.yaml"
    other.write_text(CONFIG.read_text().replace("size_px: 32", "size_px: 4096"))
    with pytest.raises(ConfigError) as refused:
        list(planned_jobs(other))
    assert "4096" in str(refused.value)
    assert not re.search("snakemake|profile", str(refused.value))


def test_rules_of_a_project_of_ones_own_are_named_and_not_counted(within, tmp_path: Path, capsys) -> None:
    own = tmp_path / "Snakefile"
    workflow = Path(__file__).parents[2] / "Snakefile"
    own.write_text(
        f"""
include: {str(workflow)!r}

rule everything:
    default_target: True
    input: rules.all.input, "tea.txt"

rule make_tea:
    output: "tea.txt"
    shell: "touch {{output}}"
"""
    )
    planned = plan_run(CONFIG, whole=True, device="cpu", snakefile=own)
    assert "make_tea" in capsys.readouterr().err
    jobs = {stage: cost.jobs for stage, cost in planned.items()}
    assert jobs == {stage: cost.jobs for stage, cost in plan_run(CONFIG, whole=True, device="cpu").items()}
