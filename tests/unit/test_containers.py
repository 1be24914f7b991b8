"""The container files: what they copy is there, the wheel is made of it, and both make one environment."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "containers/Dockerfile").read_text()
DEFINITION = (ROOT / "containers/txm2sem.def").read_text()
IGNORED = (ROOT / ".dockerignore").read_text()


def copied_by_docker() -> set[str]:
    found: set[str] = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        found |= set(line.split()[:-1])
    return found


def copied_by_apptainer() -> set[str]:
    section = re.search(r"^%files\n(.*?)^%", DEFINITION, re.MULTILINE | re.DOTALL)
    assert section is not None
    return {line.split()[0] for line in section[1].splitlines() if line.strip()}


def needed() -> set[str]:
    """What `setup.py` puts into the wheel, and what setuptools reads."""
    setup = ast.parse((ROOT / "setup.py").read_text())
    names = next(node for node in setup.body if isinstance(node, ast.Assign) and "PROJECT" in ast.unparse(node))
    project = set(ast.literal_eval(names.value))
    return project | {"setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "txm2sem_core"}


@pytest.mark.parametrize("copied", [copied_by_docker(), copied_by_apptainer()], ids=["docker", "apptainer"])
def test_all_that_is_needed_is_copied_and_there(copied: set[str]) -> None:
    assert copied == needed() | {"requirements.lock"}
    assert all((ROOT / name).exists() for name in copied)


def test_docker_is_sent_that_and_nothing_else() -> None:
    assert set(re.findall(r"^!(.+)$", IGNORED, re.MULTILINE)) == copied_by_docker()
    assert IGNORED.splitlines()[1] == "*"


def test_both_make_the_environment_of_the_lock_with_the_same_extras() -> None:
    asked = [re.findall(r"txm2sem\[[\w,]+\] @", text) for text in (DOCKERFILE, DEFINITION)]
    assert asked[0] == asked[1]
    assert len(asked[0]) == 1
    assert all("--constraint" in text and "requirements.lock" in text for text in (DOCKERFILE, DEFINITION))


def test_no_index_stands_in_them() -> None:
    assert not re.search(r"https?://", DOCKERFILE + DEFINITION)
