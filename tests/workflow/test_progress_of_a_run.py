"""What runs leave for `txm2sem progress`: a whole one, one of another workflow's with a job that fails, and none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import Workflow

from txm2sem_core.commands.run_lines import table
from txm2sem_core.commands.run_state import read_state
from txm2sem_core.costs.forecast import own_name, stage_of
from txm2sem_core.errors import InputError

USER = """
configfile: "config.yaml"

module txm2sem:
    snakefile: "{folder}/Snakefile"
    config: config

use rule * from txm2sem as my_*

rule everything:
    default_target: True
    input: "results/tiny/raw/phantom.json", "tea.txt", "cake.txt"

rule make_tea:
    output: "tea.txt"
    log: "tea.log"
    shell: "echo no water left > {{log}}; exit 1"

rule make_cake:
    input: "tea.txt"
    output: "cake.txt"
    resources: sugar=lambda wildcards, input: len(open(input[0]).read())
    shell: "touch {{output}}"
"""


def test_the_whole_run_is_told_stage_by_stage(finished: Workflow) -> None:
    state = read_state(finished.folder)
    assert {job.state for job in state.jobs.values()} == {"done"}
    assert all(job.stage == stage_of(own_name(job.rule)) for job in state.jobs.values())
    assert all(0 < job.share <= 1 and job.seconds > 0 and job.ended > job.begun > 0 for job in state.jobs.values())
    assert {job.name for job in state.jobs.values()} == finished.planned("--forceall")
    first, _, _, *lines = table(state, time.time())
    assert f": done, {len(state.jobs)} jobs in " in first
    stages = ["phantom", "register", "patches", "downsample", "train", "predict", "measure", "figures", "all"]
    assert [line.split()[0] for line in lines] == stages
    said = [line for line in (finished.folder / "output.txt").read_text().splitlines() if line.startswith("progress: ")]
    ends = [line.split("; ")[0] for line in said if " running" not in line and " left" not in line.split("; ")[0]]
    assert sorted(ends) == sorted(
        f"progress: {stage}: {counts['done']} of {counts['done']} done" for stage, counts in state.counts().items()
    )


def test_as_a_module_beside_other_rules_of_which_one_fails(tmp_path: Path) -> None:
    """A real phantom: a few seconds, as jobs start Python."""
    workflow = Workflow.create(tmp_path / "ours")
    (workflow.folder / "user.smk").write_text(USER.format(folder=workflow.folder))
    result = workflow.run("--snakefile", "user.smk", "--keep-going", "--quiet", "rules")
    assert result.returncode == 1, result.stdout
    state = read_state(workflow.folder)
    found = {job.rule: (job.stage, job.state) for job in state.jobs.values()}
    assert found == {
        "my_make_phantom": ("phantom", "done"),
        "make_tea": ("other rules", "failed"),
        "make_cake": ("other rules", "left"),
    }
    text = "\n".join(table(state, time.time()))
    assert ", 2 jobs not made. The same command goes on." in text
    assert "  make_tea: no water left\n" in text
    assert "progress: other rules: 0 of 2 done, 1 left, 1 failed; " in result.stdout


def test_plans_and_targets_that_are_there_leave_no_journal(tmp_path: Path) -> None:
    workflow = Workflow.create(tmp_path / "ours")
    assert workflow.run("--dry-run", "--quiet", "rules").returncode == 0
    with pytest.raises(InputError, match="no run has begun here"):
        read_state(workflow.folder)
