"""A release says one version everywhere, and the workflow that uploads it may do no more than it must."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from txm2sem_core import __version__

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PUBLISH: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/publish.yml").read_text())


def test_one_version_everywhere() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == __version__


def test_the_step_that_compares_the_tag_reads_the_version() -> None:
    (step,) = [one for one in PUBLISH["jobs"]["build"]["steps"] if one.get("name") == "The tag is the version"]
    for tag, fine in ((f"v{__version__}", True), ("v99", False), (__version__, False)):
        done = subprocess.run(
            ["sh", "-c", step["run"]], cwd=ROOT, env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
        )
        assert (done.returncode == 0) == fine


def test_only_the_upload_has_a_token_and_it_runs_nothing_of_the_repository() -> None:
    build, upload = PUBLISH["jobs"]["build"], PUBLISH["jobs"]["upload"]
    assert PUBLISH["permissions"] == {"contents": "read"}
    assert "permissions" not in build
    assert upload["permissions"] == {"id-token": "write"}
    assert (upload["needs"], upload["environment"]) == ("build", "pypi")
    assert all("run" not in step and "checkout" not in step["uses"] for step in upload["steps"])
    assert PUBLISH[True] == {"push": {"tags": ["v*"]}}  # YAML reads the key `on` so


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_commits_and_one_has_one_version(path: Path) -> None:
    used = re.findall(r"uses: (\S+)@(\S+)  # (v\S+)", path.read_text())
    assert len(used) == path.read_text().count("uses:")
    assert all(re.fullmatch(r"[0-9a-f]{40}", commit) for _, commit, _ in used)
    everywhere = [found for one in WORKFLOWS for found in re.findall(r"uses: (\S+)@(\S+)", one.read_text())]
    assert len({name for name, _ in everywhere}) == len(set(everywhere))


def test_no_page_installs_by_a_name_that_nobody_owns() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("config/*.md")]
    for page in pages:
        found = re.findall(
            r"pip install [^`\n]*?(?<![/\w.])['\"]?txm2sem(?:\[[^\]]*\])?['\"]?(?![\w/.])", page.read_text()
        )
        assert not found or page.name == "releasing.md", (page.name, found)
