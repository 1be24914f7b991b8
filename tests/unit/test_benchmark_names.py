"""Benchmarks are run seldom, and those for a GPU hardly ever: what they take from the project must still be there."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "benchmarks").rglob("*.py"))
# where a script finds other scripts
FOLDERS = [
    ROOT / "benchmarks",
    ROOT / "benchmarks" / "gpu",
    ROOT / "benchmarks" / "scale",
    *(ROOT / "tests" / name for name in ("helpers", "exact")),
]
Has = Callable[[str], bool]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def names_of_script(path: Path) -> set[str]:
    """What a script defines at its outermost level, without running it."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {each.asname or each.name for each in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def has_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def of_module(module: ModuleType) -> Has:
    return lambda name: hasattr(module, name) or has_module(f"{module.__name__}.{name}")


def ours(module: str, beside: Path) -> Has | None:
    """Whether a module of the project has a name; None for other modules. Fails where one of the package is gone."""
    if module.partition(".")[0] == "txm2sem_core":
        return of_module(importlib.import_module(module))
    scripts = [folder / f"{module}.py" for folder in [beside, *FOLDERS]]
    there = [script for script in scripts if script.is_file()]
    return names_of_script(there[0]).__contains__ if there else None


def missing(tree: ast.Module, beside: Path) -> list[str]:
    """Names that a script takes from modules of the project, and that are not there."""
    gone: list[str] = []
    modules: dict[str, Has] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = {each.asname or each.name: ours(each.name, beside) for each in node.names}
            modules |= {name: has for name, has in found.items() if has is not None}
        elif isinstance(node, ast.ImportFrom) and node.module and (has := ours(node.module, beside)) is not None:
            gone += [f"{node.module}.{each.name}" for each in node.names if not has(each.name)]
            wholes = {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
            ours_too = {name: whole for name, whole in wholes.items() if whole.startswith("txm2sem_core")}
            modules |= {
                name: of_module(importlib.import_module(whole)) for name, whole in ours_too.items() if has_module(whole)
            }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            gone += [] if modules[node.value.id](node.attr) else [f"{node.value.id}.{node.attr}"]
    return gone


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_benchmark_uses_is_there(script: Path) -> None:
    assert missing(parsed(script), script.parent) == []


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("from txm2sem_core.io import renamed_long_ago", ["txm2sem_core.io.renamed_long_ago"]),
        ("from txm2sem_core import io\nio.renamed_long_ago()", ["io.renamed_long_ago"]),
        ("import turns\nturns.renamed_long_ago()", ["turns.renamed_long_ago"]),
        ("from turns import renamed_long_ago", ["turns.renamed_long_ago"]),
        ("def f():\n    from txm2sem_core import io, renamed", ["txm2sem_core.renamed"]),
        ("from txm2sem_core import io\nfrom turns import python_path\nimport numpy\nio.read_json(numpy.nothing)", []),
    ],
)
def test_names_that_are_gone_are_found(line: str, wanted: list[str]) -> None:
    assert missing(ast.parse(line), ROOT / "benchmarks") == wanted


def test_a_module_that_is_gone_is_found() -> None:
    with pytest.raises(ModuleNotFoundError, match="renamed_long_ago"):
        missing(ast.parse("from txm2sem_core.renamed_long_ago import anything"), ROOT)
