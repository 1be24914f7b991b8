"""A copy of the workflow in a folder of its own, and one tiny run of the whole pipeline that many tests look at."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dry_runs import dry_run
from filelock import FileLock

from txm2sem_core import io

ROOT = Path(__file__).parents[2]
COPIED = ("Snakefile", "workflow", "txm2sem_core", "profiles", "envs")
SAMPLES = "sample\tsource\tlabels\ntiny\tphantom\tlabels\n"
TINY: dict[str, Any] = {
    "samples": "samples.tsv",
    "figures": "figures.yaml",
    "phantom": {"shape": [16, 128, 128], "pair_every": 3, "max_rotation_deg": 1, "max_shift_px": 3},
    "patches": {"size_px": 32, "train": 8, "evaluation_count": 4},
    "train": {
        "generator": {"width": 4},
        "schedule": {"policy": "constant", "epochs": 1},
        "batch_size": 4,
    },
    "variants": {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "feedforward": {
            "family": "feedforward",
            "generator": {"name": "resnet_6blocks", "dropout": True},
            "z_penalty": {"stack": 0.01},
        },
        "srcnn_x2": {
            "family": "srcnn",
            "factor": 2,
            "generator": {"name": "sr_resnet_6blocks"},
            "z_penalty": {"stack": 0.01},
        },
    },
}
FIGURES: dict[str, Any] = {"common": {"dpi": 72, "formats": ["png"]}, "montage": {"patches": 1}}


class Workflow:
    """A copy of the workflow, and how to run it."""

    def __init__(self, folder: Path, *, code_stays: bool = False) -> None:
        """Of a folder; `code_stays` where no test changes the code in it, so that dry runs read it once."""
        self.folder, self.code_stays = folder, code_stays

    @classmethod
    def create(cls, folder: Path, config: dict[str, Any] = TINY, samples: str = SAMPLES) -> Workflow:
        folder.mkdir(parents=True)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name)
        workflow = cls(folder)
        workflow.write_config(config)
        workflow.write_figures(FIGURES)
        (folder / "samples.tsv").write_text(samples)
        (folder / "labels").mkdir()  # in bands: what they say is not looked at, only what they run again
        bands = np.repeat(np.arange(128, dtype=np.uint8) // 16 % 5, 128).reshape(128, 128)
        io.write_tiff(folder / "labels" / "labels001.tif", bands)
        return workflow

    def write_config(self, config: dict[str, Any]) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def write_figures(self, figures: dict[str, Any]) -> None:
        (self.folder / "figures.yaml").write_text(yaml.safe_dump(figures))

    @property
    def untouched(self) -> Path:
        """A copy of what `shared_run` made, to take copies of: others plan in the folder, and marks come and go."""
        return self.folder.with_name(f"{self.folder.name}-untouched")

    def run(self, *arguments: str, cores: int = 2, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *self.options(cores), *arguments],
            cwd=self.folder,
            env={**self.environment(), **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    @staticmethod
    def options(cores: int) -> list[str]:
        return ["--configfile", "config.yaml", "--cores", str(cores)]

    @staticmethod
    def environment() -> dict[str, str]:
        own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
        return {**os.environ, **own}

    def planned(self, *arguments: str) -> set[str]:
        """The jobs of a dry run, as `rule` or `rule wildcard=value, ...`; the targets' own rule `all` is left out."""
        options = [*self.options(2), "--dry-run", "--nolock", *arguments]
        code, output = dry_run(self.folder, options, self.environment(), self.folder if self.code_stays else None)
        assert code == 0, output
        return jobs_in(output)


def jobs_in(output: str) -> set[str]:
    """The jobs that the output of a dry run names, see `Workflow.planned`."""
    jobs = set()
    for block in re.split(r"\n(?=(?:local)?rule \w+:\n)", output)[1:]:
        name = re.match(r"(?:local)?rule (\w+):", block)[1]  # type: ignore[index]
        wildcards = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
        jobs.add(f"{name} {wildcards[1]}" if wildcards else name)
    return jobs - {"all"}


def shared_run(tmp_path_factory: pytest.TempPathFactory, worker: str, name: str, make: Any) -> Workflow:
    """What `make(folder)` leaves, made once for all test processes."""
    base = tmp_path_factory.getbasetemp() if worker == "master" else tmp_path_factory.getbasetemp().parent
    with FileLock(base / f"{name}.lock"):
        if not (base / f"{name}.done").exists():
            make(base / name)
            shutil.copytree(base / name, Workflow(base / name).untouched, symlinks=True)
            (base / f"{name}.done").touch()
    return Workflow(base / name, code_stays=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    """The whole pipeline, run once on a tiny phantom. Takes about a minute: some forty jobs that each start Python.

    `trace/` tells which files of the package had a part in each job (`traced/sitecustomize.py`).
    """

    def make(folder: Path) -> None:
        workflow = Workflow.create(folder)
        (folder / "trace").mkdir()
        trace = {"TXM2SEM_TRACE": str(folder / "trace"), "TXM2SEM_TRACED_PACKAGE": str(folder / "txm2sem_core")}
        result = workflow.run(PYTHONPATH=str(Path(__file__).parent / "traced"), **trace)
        (folder / "output.txt").write_text(result.stdout)
        assert result.returncode == 0, result.stdout

    return shared_run(tmp_path_factory, worker_id, "finished", make)


@pytest.fixture
def changed(finished: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the finished run (times of change kept) that a test may change."""
    shutil.copytree(finished.untouched, tmp_path / "copy", symlinks=True)
    return Workflow(tmp_path / "copy")
