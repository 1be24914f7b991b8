"""The whole pipeline on tiny data, run as a user does, and what is compared of its results."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Mount = Callable[[Path, str], None]  # the fixture `mount`
WORKFLOW_COPY = Path(__file__).resolve().parents[1] / "workflow/conftest.py"
ALL = os.environ.get("TXM2SEM_FAULTS") == "all"
PIPELINE: dict[str, Any] = {
    "samples": "samples.tsv",
    "figures": "figures.yaml",
    "phantom": {"shape": [24, 128, 128], "pair_every": 4, "max_rotation_deg": 1, "max_shift_px": 3},
    "patches": {"size_px": 32, "train": 8, "evaluation_count": 4},
    "train": {"generator": {"width": 4}, "schedule": {"policy": "constant", "epochs": 2}, "batch_size": 4},
    "predict": {"jobs": 2},
    "variants": {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "pix2pix": {"family": "pix2pix", "generator": {"name": "unet_32"}},
        "srcnn_x2": {"family": "srcnn", "factor": 2, "generator": {"name": "sr_resnet_6blocks"}},
    },
}
SAMPLES = "sample\tsource\ntiny\tphantom\n"
# Logs and benchmarks hold times. provenance.json holds times and the digests of what holds times; the crate repeats it.
TIMED = ("logs", "benchmarks", "provenance.json", "ro-crate-metadata.json", "crate")


@dataclass(frozen=True)
class Undisturbed:
    """Seconds that the pipeline takes, the fingerprint of its results, and their size in bytes."""

    seconds: float
    expected: dict[str, str]
    size: int


def make_workflow(folder: Path, config: dict[str, Any] = PIPELINE, samples: str = SAMPLES) -> Path:
    """A copy of the workflow, by default with the tiny pipeline's settings."""
    spec = importlib.util.spec_from_file_location("workflow_copy", WORKFLOW_COPY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Workflow.create(folder, config, samples)
    return folder


def start(folder: Path, *before: str) -> subprocess.Popen[bytes]:
    """The documented command, in a process group of its own; `before` are words of a command that starts it."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    command = [*before, sys.executable, "-m", "snakemake", "--configfile", "config.yaml", "--cores", "2"]
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )


def fingerprint(results: Path) -> dict[str, str]:
    """SHA-256 of every file whose bytes must not depend on when it was made, by its path."""
    found = {}
    for file in sorted(results.rglob("*")):
        name = file.relative_to(results)
        if file.is_file() and name.parts[0] not in TIMED:
            found[str(name)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found
