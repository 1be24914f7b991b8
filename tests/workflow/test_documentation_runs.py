"""The page of the command `txm2sem`, typed line by line, and its Python: each does its work and exits 0.

Slow, as it starts Python for each of its 15 commands: half a minute.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COPIED, ROOT, Workflow

PAGE = (ROOT / "docs/start/command.md").read_text()
REPAIR = {
    "family": "repair",
    "generator": {"name": "unet_32", "width": 2},
    "discriminator": {"name": "pixel", "width": 2},
    "damage": [0.001, 1],
    "schedule": {"policy": "constant", "epochs": 1},
}


def typed(folder: Path, *command: str) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


@pytest.mark.slow
def test_every_command_of_the_page_does_its_work(finished: Workflow, tmp_path: Path) -> None:
    made = finished.folder / "results/tiny"
    demo = tmp_path / "results/demo"
    for name in ("patches", "raw/txm_volume"):
        shutil.copytree(made / name, demo / name)
    (demo / "metrics").mkdir()
    shutil.copy(made / "metrics/patches.csv", demo / "metrics")
    for name in ("feedforward", "feedforward_z"):
        shutil.copytree(made / "models/feedforward/seed0", demo / f"models/{name}/seed0")
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "results/.txm2sem-results").touch()  # they are ours
    for name in COPIED:  # the workflow, which `txm2sem plan` asks
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "tests/fixtures/reference/resnet6_instance_net_G.pth", tmp_path / "latest_net_G.pth")
    repair = "results/side-tasks/demo/models/repair/seed0"
    settings = json.dumps(REPAIR)
    typed(tmp_path, "txm2sem", "train", "--patches", "results/demo/patches", "--settings", settings, "--output", repair)
    commands = [line for block in re.findall(r"^```\n(.*?)^```$", PAGE, re.M | re.S) for line in block.splitlines()]
    assert len(commands) >= 12
    for command in commands:
        typed(tmp_path, "bash", "-c", command)
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S):
        typed(tmp_path, sys.executable, "-c", block)
    made_by_them = (
        "registered/transform.json",
        "sem.ome.zarr",
        "mean.ome.zarr",
        "repaired.tif",
        "scores.json",
        "sem.tif",
    )
    assert all((tmp_path / "rock" / name).exists() for name in made_by_them)
    assert (tmp_path / "imported/generator.safetensors").exists()
