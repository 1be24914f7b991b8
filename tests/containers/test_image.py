"""The Apptainer image: a project is run in it, and jobs of a clone are, each by itself. `make test-containers`.

Slow: the image is gigabytes, and every job starts in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import txm2sem_core
from txm2sem_core import io

ROOT = Path(__file__).parents[2]
COPIED = ("Snakefile", "workflow", "txm2sem_core", "profiles", "envs")
CONFIG: dict[str, Any] = {
    "samples": "samples.tsv",
    "figures": "figures.yaml",
    "phantom": {"shape": [16, 128, 128], "pair_every": 3},
    "patches": {"size_px": 32, "train": 8, "evaluation_count": 4},
    "train": {"generator": {"name": "resnet_6blocks", "width": 4}, "schedule": {"policy": "constant", "epochs": 1}},
    "variants": {"feedforward": {"family": "feedforward"}},
}
VOLUME = "results/tiny/volumes/feedforward/seed0/sem.ome.zarr"
SCORES = "results/tiny/metrics/feedforward/seed0/volume.json"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder with the image and the Apptainer that runs it (`prepare`)."""
    folder = os.environ.get("TXM2SEM_TEST_CONTAINERS")
    if not folder:
        pytest.skip("make test-containers runs it, as root on Debian")
    return Path(folder).resolve()


def run(built: Path, folder: Path, *command: str) -> str:
    """What a command says, in a folder, by that Apptainer; no Python of this machine is found by its name."""
    nothing = built / "nothing"
    nothing.mkdir(exist_ok=True)
    for name in ("python", "python3"):
        (nothing / name).write_text("#!/bin/sh\necho 'a job ran outside of the image' >&2\nexit 1\n")
        (nothing / name).chmod(0o755)
    paths = f"{nothing}:{built / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": paths, "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def write_config(folder: Path, **more: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "samples.tsv").write_text("sample\tsource\ntiny\tphantom\n")
    (folder / "figures.yaml").write_text("{}")
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, **more}, sort_keys=False))


def test_a_project_is_made_and_run_in_it(built: Path, tmp_path: Path) -> None:
    inside = (str(built / "bin/apptainer"), "exec", str(built / "txm2sem.sif"))
    assert txm2sem_core.__version__ in run(built, tmp_path, *inside, "txm2sem", "--version")
    run(built, tmp_path, *inside, "txm2sem", "init", "my-rock", "--from", "demo")
    write_config(tmp_path / "my-rock")
    command = ("snakemake", "--configfile", "config.yaml", "--cores", "2", "--resources", "gpu=1", "--", VOLUME)
    run(built, tmp_path / "my-rock", *inside, *command)
    assert io.open_volume(tmp_path / "my-rock" / VOLUME).shape == (16, 128, 128)


def test_each_job_of_a_clone_runs_in_the_container_that_the_config_names(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    write_config(folder, container=str(built / "txm2sem.sif"))
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    command = (sys.executable, "-m", "snakemake", "--configfile", "config.yaml", "--cores", "2", "--resources", "gpu=1")
    run(built, folder, *command, "--sdm", "apptainer", "--", VOLUME, SCORES)
    assert io.read_json(folder / SCORES)["psnr"] > 0
