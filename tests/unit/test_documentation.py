"""What the pages tell a reader to type is there: commands with their options, targets, files, Python and YAML."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from txm2sem_core.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *ROOT.glob("docs/**/*.md")])
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def blocks(page: Path, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def lines(program: str) -> list[Any]:
    """Each line of a block without a language that begins with the program, beside its page."""
    found = []
    for page in PAGES:
        text = "\n".join(blocks(page)).replace("\\\n", " ")
        for line in text.splitlines():
            if line.startswith(f"{program} "):
                found.append(pytest.param(line, id=f"{page.stem}: {line[:60]}"))
    return found


@pytest.mark.parametrize("line", lines("txm2sem"))
def test_the_command_has_these_options(line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = COMMANDS[name]
    parser = command.make_parser(command.context_class(command))
    _, rest, _ = parser.parse_args(arguments)
    assert rest == []


@pytest.mark.parametrize("line", lines("make"))
def test_the_target_is_there(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    assert {word for word in words if "=" not in word} <= TARGETS


@pytest.mark.parametrize("line", lines("snakemake"))
def test_files_that_snakemake_is_given_are_there(line: str) -> None:
    words = shlex.split(line, comments=True)
    for option in ("--configfile", "--workflow-profile"):
        if option in words:
            assert (ROOT / words[words.index(option) + 1]).exists()


PYTHON = [(page, block) for page in PAGES for block in blocks(page, "python")]


@pytest.mark.parametrize(("page", "block"), PYTHON, ids=[f"{page.stem} {n}" for n, (page, _) in enumerate(PYTHON)])
def test_python_imports_what_is_there(page: Path, block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("txm2sem_core"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names), page


YAML = [(page, block) for page in PAGES for block in blocks(page, "yaml")]


@pytest.mark.parametrize(("page", "block"), YAML, ids=[f"{page.stem} {n}" for n, (page, _) in enumerate(YAML)])
def test_yaml_can_be_read(page: Path, block: str) -> None:
    assert isinstance(yaml.safe_load(block), dict), page


def test_there_is_something_to_test() -> None:
    assert len(lines("txm2sem")) > 15
    assert len(lines("snakemake")) > 10
    assert len(PYTHON) > 5
