"""A run that was killed goes on by the same command; one that is alive is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import TINY, Workflow

from txm2sem_core.commands.run_lines import table
from txm2sem_core.commands.run_state import read_state

TARGET = "results/tiny/raw/phantom.json"
SLOW = TINY | {"phantom": {"shape": [48, 192, 192], "pair_every": 6}}  # seconds of work, in which to be killed


def begin(workflow: Workflow, target: str) -> subprocess.Popen[bytes]:
    """Start a run of its own process group, so that its jobs can be killed with it."""
    command = [sys.executable, "-m", "snakemake", "--configfile", "config.yaml", "--cores", "1", target]
    return subprocess.Popen(
        command,
        cwd=workflow.folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def start(workflow: Workflow) -> subprocess.Popen[bytes]:
    """Begin a run, and wait until Snakemake has locked the folder and a job is at work."""
    process = begin(workflow, TARGET)
    log = workflow.folder / "results/logs/tiny/make_phantom.log"
    locks = workflow.folder / ".snakemake/locks"
    while not (log.exists() and locks.exists() and any(locks.iterdir())):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    return process


def test_after_a_kill_the_same_command_goes_on(tmp_path: Path) -> None:
    workflow = Workflow.create(tmp_path / "w", SLOW)
    process = start(workflow)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert any((workflow.folder / ".snakemake/locks").iterdir())
    killed = read_state(workflow.folder)
    assert killed.alive() is False
    assert ": killed, 1 job not made." in next(table(killed, time.time()))
    again = workflow.run(TARGET)
    assert again.returncode == 0, again.stdout
    assert (workflow.folder / TARGET).exists()
    assert ": done, 1 job in " in next(table(read_state(workflow.folder), time.time()))


def test_a_run_that_is_alive_keeps_its_lock(tmp_path: Path) -> None:
    workflow = Workflow.create(tmp_path / "w", SLOW)
    process = start(workflow)
    try:
        os.killpg(process.pid, signal.SIGSTOP)  # alive, however slow this machine is
        second = workflow.run(TARGET)
        assert second.returncode == 1
        assert "cannot be locked" in second.stdout
        assert "Traceback" not in second.stdout
        assert read_state(workflow.folder).alive() is True
    finally:
        os.killpg(process.pid, signal.SIGCONT)
    assert process.wait() == 0


def test_a_training_whose_whole_job_is_asked_to_end_saves_its_state_and_says_so(changed: Workflow) -> None:
    """As SLURM does at a time limit: SIGTERM to Snakemake, the shell, tee and the training at once."""
    train = TINY["train"] | {"schedule": {"policy": "constant", "epochs": 1000}}
    changed.write_config(TINY | {"train": train})
    model = changed.folder / "results/tiny/models/feedforward/seed0"
    process = begin(changed, f"{model.relative_to(changed.folder)}/model.json")
    while not any(model.glob(".state/[!.]*.pt")):
        assert process.poll() is None, "the run ended before it could be asked to"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() == 1
    log = changed.folder / "results/logs/tiny/train_model/feedforward_seed0.log"
    assert "asked to end (SIGTERM). The state is saved in" in log.read_text()
