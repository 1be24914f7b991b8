"""The helper that plans in a fork: it must say what the command says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from conftest import TINY, Workflow, jobs_in
from dry_runs import dry_run


def test_a_fork_says_what_the_command_says(finished: Workflow, tmp_path: Path) -> None:
    def both(values: dict[str, Any]) -> list[tuple[int, str]]:
        (tmp_path / "other.yaml").write_text(yaml.safe_dump(TINY | values))
        arguments = ["--dry-run", "--nolock", "--configfile", str(tmp_path / "other.yaml")]
        command = finished.run(*arguments)
        return [
            dry_run(finished.folder, [*finished.options(2), *arguments], finished.environment()),
            (command.returncode, command.stdout),
        ]

    (code, output), (expected, said) = both({"seeds": [0, 1]})
    assert code == expected == 0
    assert len(jobs_in(said)) > 10
    assert jobs_in(output) == jobs_in(said)
    (code, output), (expected, said) = both({"seed": [0]})
    assert code == expected != 0
    assert output.splitlines()[-3:] == said.splitlines()[-3:]
