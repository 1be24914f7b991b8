"""The wheel, installed in an environment of its own, makes a project and runs it, with no clone anywhere near.

Slow: it builds a wheel, makes an environment, and runs the first stages: half a minute.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, TINY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    # of a copy, since the build leaves files in the folder that it builds from
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            target = folder / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run([*build, str(folder / "clone")], check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_the_workflow(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = "txm2sem_core/project/"
    held = ("Snakefile", "workflow/rules/common.smk", "workflow/run_script.py", "config/demo.yaml", "envs/torch.yaml")
    assert {f"{inside}{place}" for place in held} <= names
    assert "txm2sem_core/napari_plugin/napari.yaml" in names
    (points,) = [name for name in names if name.endswith("entry_points.txt")]
    assert "txm2sem = txm2sem_core.napari_plugin:napari.yaml" in zipfile.ZipFile(wheel).read(points).decode()
    assert not any("__pycache__" in name or name.startswith("tests") for name in names)


def test_the_source_archive_holds_what_the_wheel_is_made_of() -> None:
    """A wheel is built from it when a release is (`docs/releasing.md`)."""
    setup = ast.parse((ROOT / "setup.py").read_text())
    (held,) = [
        ast.literal_eval(node.value)
        for node in setup.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PROJECT"
    ]
    manifest = (ROOT / "MANIFEST.in").read_text().splitlines()
    for name in held:
        assert f"{'graft' if (ROOT / name).is_dir() else 'include'} {name}" in manifest


@pytest.mark.slow
def test_a_project_runs_where_the_wheel_is_installed(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False)
    site = environment / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    zipfile.ZipFile(wheel).extractall(site)
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))  # all others, but not ours as it is edited

    def run(*command: Any, folder: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        own = {**os.environ, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": ""}
        command = (environment / "bin/python", "-m", *command)
        return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)

    made = run("txm2sem_core", "init", "my-rock", "--from", "demo")
    assert made.returncode == 0, made.stderr
    project = tmp_path / "my-rock"
    own = {"samples": "config/samples.tsv", "figures": "config/figures.yaml"}
    (project / "config/config.yaml").write_text(yaml.safe_dump({**TINY, **own}, sort_keys=False))
    checked = run("txm2sem_core", "check", "--config", "config/config.yaml", folder=project)
    assert checked.returncode == 0, checked.stderr
    plan = run("snakemake", "-n", "--cores", "2", folder=project)
    assert "train_model" in plan.stdout + plan.stderr
    target = "results/demo/models/pointwise/seed0/model.json"
    done = run("snakemake", "--cores", "2", "--", target, folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / target).is_file()
    progress = run("txm2sem_core", "progress", folder=project)
    assert ": done, " in progress.stdout, progress.stderr
    again = run("snakemake", "--cores", "2", "--", target, folder=project)
    assert "Nothing to be done" in again.stdout + again.stderr
    conda = run("snakemake", "-n", "--cores", "2", "--sdm", "conda", folder=project)
    assert "an installed workflow runs in the environment" in conda.stdout + conda.stderr
