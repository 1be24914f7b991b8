"""Run programs in turns, each as a process of its own, and collect what they say in their last line."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# what lets the C library keep freed memory, for programs that do not see to it themselves
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
LAST_LINES = 15


@dataclass(frozen=True)
class Contender:
    """A program: its command, which prints one JSON object as its last line, its environment, and where it runs."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    where: Path | None = None


def python_path(*folders: Path) -> str:
    """The folders, and behind them what the caller's own PYTHONPATH names."""
    own = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([*map(str, folders), *([own] if own else [])])


def take_turns(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Run each once a round, in an order that is turned by one from round to round, so that none always comes first."""
    names = list(contenders)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            print(f"  round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            found[name].append(run(contenders[name]))
    return found


def run(contender: Contender) -> dict[str, Any]:
    """What a program says in its last line; RuntimeError with its last lines where it fails."""
    environment = {**os.environ, **contender.environment}
    done = subprocess.run(
        contender.command, capture_output=True, text=True, env=environment, cwd=contender.where, check=False
    )
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-LAST_LINES:])
        raise RuntimeError(f"{' '.join(contender.command)} ended with {done.returncode}:\n{last}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def median_of(runs: Sequence[Mapping[str, Any]], key: str) -> float:
    """Median over the rounds."""
    return statistics.median(float(one[key]) for one in runs)


def spread_of(runs: Sequence[Mapping[str, Any]], key: str, digits: int = 2) -> str:
    """Median over the rounds, with the least and the greatest."""
    values = [float(one[key]) for one in runs]
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
