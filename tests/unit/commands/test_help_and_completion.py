"""The groups of `txm2sem --help`, and what the shell completes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from txm2sem_core.cli import app
from txm2sem_core.commands.app import Group

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_every_command_has_a_group_and_stands_in_it_once() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    sections = re.split(rf"^({'|'.join(map(re.escape, Group))}):$", text, flags=re.MULTILINE)[1:]
    assert sections[::2] == list(Group)
    listed = {group: re.findall(r"^  ([\w-]+) ", rows, re.MULTILINE) for group, rows in zip(*[iter(sections)] * 2)}  # noqa: B905
    assert sorted(name for names in listed.values() for name in names) == sorted(COMMANDS)
    for group, names in listed.items():
        assert names
        assert {COMMANDS[name].rich_help_panel for name in names} == {group}


def test_a_command_without_a_group_would_be_seen() -> None:
    assert all(command.rich_help_panel in list(Group) for command in COMMANDS.values())


def completed(line: str) -> list[str]:
    words = line.split(" ")
    asked = {"_TXM2SEM_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    command = [str(Path(sys.executable).with_name("txm2sem"))]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout.split()


CASES = {
    "txm2sem pre": ["predict", "predict-test"],
    "txm2sem export --fo": ["--format"],
    "txm2sem export --format o": ["onnx"],
    "txm2sem predict --ome-zarr 0": ["0.5", "0.4"],
    "txm2sem predict --device c": ["cpu", "cuda"],
    "txm2sem init rock --from p": ["pairs"],
    "txm2sem nothing-of-this": [],
}


@pytest.mark.parametrize("line", CASES)
def test_what_is_completed(line: str) -> None:
    assert completed(line) == CASES[line]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_by_the_script_that_is_shown(tmp_path: Path) -> None:
    folder = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    script = (
        'eval "$(txm2sem --show-completion bash)"; COMP_WORDS=(txm2sem imp); COMP_CWORD=1; '
        '_txm2sem_completion txm2sem; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "import-reference", done.stderr
    assert list(tmp_path.iterdir()) == []
