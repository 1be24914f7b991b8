"""A cache folder of the tests' own; and what became of the hostile cases (tests/helpers/hostile.py) in the summary."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Two processes of tests, and all that they start, share the cores. Threads that wait for work in a loop, as those of
# OpenMP do, would keep the others from it: a run of the workflow beside another one took twice the processor time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

COUNTS: Counter[str] = Counter()
WORKFLOW = Path(__file__).parent / "workflow"


@pytest.fixture(scope="session", autouse=True)
def _no_cache_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs of the workflow first: they are long, and a process that has nothing else left would wait for the other."""
    items.sort(key=lambda item: WORKFLOW not in item.path.parents)


def _own() -> dict[str, int]:
    module = sys.modules.get("hostile")
    return {} if module is None else {" ".join(key): count for key, count in module.OUTCOMES.items()}


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["hostile"] = _own()
    else:
        COUNTS.update(_own())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    COUNTS.update(getattr(node, "workeroutput", {}).get("hostile", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if COUNTS:
        terminalreporter.section("hostile cases")
        terminalreporter.line(f"{sum(COUNTS.values())} tried")
        for name, count in sorted(COUNTS.items()):
            terminalreporter.line(f"{name}: {count}")
