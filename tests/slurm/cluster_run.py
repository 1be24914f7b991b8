"""The workflow in a folder of its own, run on the cluster as a user would, and what is seen of it from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from txm2sem_core.io.results import MARK

ROOT = Path(__file__).parents[2]
COPIED = ("Snakefile", "workflow", "txm2sem_core", "profiles", "envs")
SEED = "seed0"
TRAINED = ("feedforward", "pix2pix")
CONFIG: dict[str, Any] = {
    "samples": "samples.tsv",
    "figures": "figures.yaml",
    "phantom": {"shape": [32, 128, 128], "pair_every": 6, "max_rotation_deg": 1, "max_shift_px": 3},
    "patches": {"size_px": 32, "train": 96, "evaluation_count": 4},
    "train": {
        "generator": {"name": "resnet_6blocks", "width": 8},
        "discriminator": {"width": 8},
        "schedule": {"policy": "constant", "epochs": 16},
        "batch_size": 4,
    },
    "variants": {name: {"family": name} for name in TRAINED},
    "predict": {"jobs": 2},  # 32 slices are two units
}
FIGURES: dict[str, Any] = {"common": {"dpi": 72, "formats": ["png"]}, "montage": {"patches": 1}}
# one thread everywhere, since sums over threads are rounded in their order: the weights must be the same to the byte
ON_ONE_THREAD = ("train_model", "predict_test", "predict_slab", "predict_volume")
ONE_THREAD = ("--set-threads", *(f"{rule}=1" for rule in ON_ONE_THREAD))
MODEL_FILES = ("generator.safetensors", "best.safetensors", "last.safetensors", "model.json", "history.csv")


@dataclass(frozen=True)
class Training:
    """A training that is going on: its process, and what SLURM gave to it."""

    process: psutil.Process
    job: str
    node: str
    gpus: str


class PipelineRun:
    """A copy of the workflow with its tiny config."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, folder / name)
        for name, values in {"config.yaml": CONFIG, "figures.yaml": FIGURES}.items():
            (folder / name).write_text(yaml.safe_dump(values))
        (folder / "samples.tsv").write_text("sample\tsource\ntiny\tphantom\n")

    @contextmanager
    def running(self, *arguments: str, log: str) -> Iterator[subprocess.Popen[bytes]]:
        """A snakemake in the background; interrupted, if it is still there at the end."""
        command = (sys.executable, "-m", "snakemake", "--configfile", "config.yaml", *ONE_THREAD, *arguments)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": "",
            "OMP_NUM_THREADS": "1",
        }
        with (self.folder / log).open("wb") as stream:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=stream, stderr=stream)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=30)
                process.kill()

    def take_over(self, other: PipelineRun, *folders: str) -> None:
        """Bring results of another run, as old as they are there, with the mark of a run's results."""
        for name in folders:
            shutil.copytree(other.folder / "results/tiny" / name, self.folder / "results/tiny" / name)
        shutil.copy2(other.folder / "results" / MARK, self.folder / "results" / MARK)

    def model(self, variant: str) -> Path:
        """The folder of a variant's model."""
        return self.folder / "results/tiny/models" / variant / SEED

    def model_bytes(self, variant: str) -> dict[str, bytes]:
        """Every file of a model."""
        return {name: (self.model(variant) / name).read_bytes() for name in MODEL_FILES}

    def training(self, variant: str) -> Training | None:
        """The variant's training on the cluster, if one is going on right now."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                command = process.cmdline()
                if "txm2sem_core" in command and f"tiny/{variant}/{SEED}" in command and "train" in command:
                    around = process.environ()
                    if process.cwd() == str(self.folder) and "SLURM_JOB_ID" in around:
                        gpus = around.get("CUDA_VISIBLE_DEVICES", "")
                        return Training(process, around["SLURM_JOB_ID"], around["SLURMD_NODENAME"], gpus)
        return None

    def saved_at(self, variant: str) -> float:
        """When the training's state was last written; 0 if there is none."""
        times = [0.0]
        for state in self.model(variant).glob(".state/[!.]*.pt"):
            with suppress(FileNotFoundError):
                times.append(state.stat().st_mtime)
        return max(times)

    def volume_bytes(self, variant: str) -> dict[str, bytes]:
        """Every file of a predicted volume."""
        folder = self.folder / "results/tiny/volumes" / variant / SEED / "sem.ome.zarr"
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    def in_the_middle(
        self, variant: str, workflow: subprocess.Popen[bytes], other_than: str = "", seconds: float = 600
    ) -> Training:
        """Wait until a training (of another process than `other_than`) has itself saved its state.

        Raises:
            TimeoutError: it has not, or the workflow has ended.
        """
        began = time.monotonic()
        seen, saved = "", 0.0
        while time.monotonic() < began + seconds:
            if workflow.poll() is not None:
                raise TimeoutError(f"snakemake ended with {workflow.returncode} before {variant} was in the middle")
            found = self.training(variant)
            if found is not None and identity(found) != other_than:
                if identity(found) != seen:
                    seen, saved = identity(found), self.saved_at(variant)
                elif self.saved_at(variant) > saved:
                    return found
            time.sleep(0.3)
        raise TimeoutError(f"{variant} has saved no state in {seconds:g} s")


def identity(training: Training) -> str:
    """One run of a job; a job that is put back into the queue keeps its number."""
    return f"{training.job} {training.process.pid} {training.process.create_time()}"
