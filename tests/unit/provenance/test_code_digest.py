"""The code that a rule depends on: all that it imports with effect, and nothing but code."""

from __future__ import annotations

import ast
import dis
import importlib
import json
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from workflow_rules import files_of, rules, scripts_in

from txm2sem_core.catalogue.figures import FIGURES
from txm2sem_core.errors import ConfigError
from txm2sem_core.provenance import code, code_digest, syntax, user_cache

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "workflow/scripts"
COMMANDS = sorted({found for _, text in rules() for found in re.findall(r'command_code\("([\w-]+)"\)', text)})
NAMES = sorted({found for _, text in rules() for found in scripts_in(text)})
ENTRIES: dict[str, tuple[str | Path, ...]] = {f"cli:{name}": (f"cli:{name}",) for name in COMMANDS}
ENTRIES |= {name: files_of(name) for name in NAMES}


def forget() -> None:
    for cached in (code._file, code._whole, code._source, code._run_by, code._data_files, code._content):
        cached.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that the derivation looks at, which a test may change; `forget` after a change."""
    folder = tmp_path / "copy" / code.NAME
    shutil.copytree(code.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", folder)
    forget()
    yield folder
    monkeypatch.undo()
    forget()


def digests() -> dict[str, str]:
    forget()
    return {name: code_digest(*files) for name, files in ENTRIES.items()}


def changed_by(change: Callable[[], object]) -> set[str]:
    before = digests()
    change()
    after = digests()
    return {name for name in before if before[name] != after[name]}


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


# --- nothing is missing


def imports_in(block: types.CodeType) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every import of a code object and of those within, as the interpreter sees them."""
    instructions = list(dis.get_instructions(block))
    for place, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            names = instructions[place - 1].argval
            yield instruction.argval, names if isinstance(names, tuple) else ()
    for constant in block.co_consts:
        if isinstance(constant, types.CodeType):
            yield from imports_in(constant)


def definers(module: types.ModuleType, name: str) -> set[str]:
    """The modules of the package where an imported object stands by its own name: where it says, or where it is."""
    value = getattr(module, name, None) or importlib.import_module(f"{module.__name__}.{name}")
    if isinstance(value, types.ModuleType):
        return {value.__name__} if value.__name__.startswith(code.NAME) and not hasattr(value, "__path__") else set()
    said = getattr(value, "__module__", None)
    if isinstance(said, str) and said.startswith(code.NAME) and not isinstance(value, (int, str, tuple, dict)):
        return {said}
    return {module.__name__} if not hasattr(module, "__path__") and module.__name__.startswith(code.NAME) else set()


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_is_imported_is_part_of_the_code(entry: str) -> None:
    """Against the interpreter's own view: bytecode for the imports, loaded modules for what stands behind a name."""
    parts = code.code_parts(*ENTRIES[entry])
    files = [code._file(part) for part in parts]
    files += [file for file in ENTRIES[entry] if isinstance(file, Path)]
    needed: set[str] = set()
    for file in [file for file in files if file is not None and file.name != "__init__.py"]:
        for module, names in imports_in(compile(file.read_text(), str(file), "exec")):
            if module.split(".")[0] == code.NAME:
                needed |= {definer for name in names for definer in definers(importlib.import_module(module), name)}
    short = {name.removeprefix(code.NAME).removeprefix(".") for name in needed}
    assert short - parts.keys() - code.INFRASTRUCTURE.keys() == set()
    assert needed


def test_every_rule_is_walked() -> None:
    assert COMMANDS == ["predict", "predict-test", "train"]
    scripts = {"call_function" if ":" in name else name for name in NAMES}
    assert scripts == {file.stem for file in SCRIPTS.glob("*.py")} - {"common"}


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("cli:train", "families.repair"),  # found by its place in a folder, not by an import
        ("cli:predict", "families.repair"),
        ("measure_side_task", "metrics.damage"),
        ("cli:train", "metrics.image"),
        ("cli:train", "metrics.pores.phases"),
        ("cli:train", "networks.resnet"),
        ("cli:train", "runtime.mkl"),
        ("cli:predict", "metrics.calibration"),
        ("cli:predict", "io.readers.mrc"),
        ("extract_patches", "geometry"),
        ("register_pairs", "geometry"),
        ("write_report", "report/page/templates/report.css"),
        ("write_report", "report.page.page"),
        ("figures.montage:montage_figure", "plotting.montage"),
    ],
)
def test_what_lists_by_hand_had_forgotten_is_there(entry: str, part: str) -> None:
    assert part in code.code_parts(*ENTRIES[entry])


def test_what_a_package_only_hands_on_is_no_part_of_the_code() -> None:
    trained = code.code_parts("cli:train").keys()
    assert "metrics.continuity" not in trained
    assert not any(part.startswith(("report", "plotting", "phantom")) for part in trained)
    assert "metrics" not in trained
    assert not any(part.startswith("networks") for part in code.code_parts(SCRIPTS / "make_phantom.py"))


def test_a_figure_depends_on_its_own_drawing_alone() -> None:
    """Of the modules that draw, it has what its own names; and nothing of the list that all figures stand in."""
    for figure in FIGURES:
        parts = code.code_parts(*ENTRIES[figure.function])
        drawing = {part for part in parts if part.startswith("plotting.")} - {"plotting.canvas", "plotting.images"}
        assert len(drawing) == 1, figure.name
        assert not any(part.startswith("catalogue") for part in parts)


def test_infrastructure_is_there_and_has_its_reason() -> None:
    for module, reason in code.INFRASTRUCTURE.items():
        assert code._file(module) is not None, module
        assert reason


def test_entries_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no command predicct"):
        code_digest("cli:predicct")
    with pytest.raises(ConfigError, match=r"there is no module trainings in txm2sem_core"):
        code_digest("trainings:train_model")
    with pytest.raises(ConfigError, match=r"none\.py: this file of code cannot be read"):
        code_digest(tmp_path / "none.py")
    (tmp_path / "bad.py").write_text("x = 1\ny = (\n")
    with pytest.raises(ConfigError, match=r"bad\.py, line 2: this is not Python"):
        code_digest(tmp_path / "bad.py")


# --- what is new is seen


def test_a_new_network_in_a_new_folder_counts_where_networks_do(package: Path) -> None:
    def add() -> None:
        (package / "networks/extra").mkdir()
        (package / "networks/extra/__init__.py").write_text("from txm2sem_core.networks.extra import mine\n")
        text = "from txm2sem_core.networks.registry import register_generator\nregister_generator('mine')(print)\n"
        (package / "networks/extra/mine.py").write_text(text)
        append(package / "networks/__init__.py", "from txm2sem_core.networks import extra\n")

    assert changed_by(add) == {"cli:train", "cli:predict", "cli:predict-test"}
    assert "networks.extra.mine" in code.code_parts("cli:train")


def test_a_registry_that_looks_for_its_files_counts_with_all_of_them(package: Path) -> None:
    (package / "training/families").mkdir()
    (package / "training/families/gan.py").write_text("x = 1\n")
    text = "import pkgutil\nNAMES = [module.name for module in pkgutil.iter_modules(__path__)]\n"
    (package / "training/families/__init__.py").write_text(text)
    append(package / "training/loop.py", "from txm2sem_core.training.families import NAMES\n")
    forget()
    assert "training.families.gan" in code.code_parts("cli:train")
    assert changed_by(lambda: append(package / "training/families/gan.py", "y = 2\n")) == {"cli:train"}


@pytest.mark.parametrize(
    "line",
    [
        "import txm2sem_core.commands.plan",
        "from txm2sem_core.commands import plan",
        "from txm2sem_core.commands.plan import plan_lines",
        "from ..commands.plan import plan_lines",
        "def later():\n    from txm2sem_core.commands import plan\n    return plan.plan_lines",
        "try:\n    from txm2sem_core.commands.plan import plan_lines\nexcept ImportError:\n    pass",
        "import txm2sem_core",
        "from txm2sem_core.commands import plan as other",
        "from txm2sem_core.commands.plan import *",
    ],
)
def test_every_way_to_import_is_followed(package: Path, line: str) -> None:
    append(package / "phantom/stage.py", f"\n{line}\n")
    forget()
    assert "commands.plan" in code.code_parts(SCRIPTS / "make_phantom.py")


def test_what_only_a_type_checker_sees_is_not_followed(package: Path) -> None:
    text = (
        "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from txm2sem_core.commands.plan import plan_lines\n"
    )
    append(package / "phantom/stage.py", text)
    forget()
    assert "commands.plan" not in code.code_parts(SCRIPTS / "make_phantom.py")


def test_of_a_package_that_is_imported_by_name_what_is_used_counts(package: Path) -> None:
    append(
        package / "phantom/stage.py", "\nfrom txm2sem_core import registration\n_USED = registration.register_files\n"
    )
    forget()
    parts = code.code_parts(SCRIPTS / "make_phantom.py")
    assert "registration.stage" in parts
    append(package / "phantom/stage.py", "\n_WHOLE = vars(registration)\n")
    forget()
    assert code.code_parts(SCRIPTS / "make_phantom.py").keys() >= set(code._whole("registration"))


@pytest.mark.parametrize(
    ("line", "acts"),
    [
        ("register()", True),
        ("numpy.errstate = 1", True),
        ("TABLE['a'] = 1", True),
        ("if True:\n    register()", True),
        ("from txm2sem_core.x import mark\n@mark\ndef f(): pass", True),
        ("@app.command()\ndef f(): pass", True),
        ("from functools import cache\n@cache\ndef f(): pass", False),
        ("import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass A: pass", False),
        ("'words'\nx = 1\ndef f():\n    register()", False),
    ],
)
def test_modules_that_do_something_by_being_imported_are_known(tmp_path: Path, line: str, acts: bool) -> None:
    file = tmp_path / "module.py"
    file.write_text(line)
    assert syntax.read_source(file).acts is acts


# --- only code counts


class Reworded(ast.NodeTransformer):
    """Other words in every docstring, one where there was none, and without comments and layout."""

    def _reword(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        body = node.body  # type: ignore[attr-defined]
        if ast.get_docstring(node) is not None:  # type: ignore[arg-type]
            body = body[1:]
        node.body = [ast.Expr(ast.Constant("Other words.")), *body]  # type: ignore[attr-defined]
        return node

    visit_Module = visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _reword  # noqa: N815


def reword(file: Path) -> None:
    file.write_text("# a comment\n\n\n" + ast.unparse(Reworded().visit(ast.parse(file.read_text()))) + "\n# another\n")


def test_other_words_and_another_layout_of_every_file_change_nothing(package: Path) -> None:
    files = list(package.rglob("*.py"))
    assert len(files) > 150
    assert changed_by(lambda: [reword(file) for file in files]) == set()


def test_a_copy_that_lies_elsewhere_and_has_other_times_has_the_same_digests(package: Path) -> None:
    here = digests()
    package.rename(package.with_name("moved"))
    shutil.copytree(package.with_name("moved"), package.parent / "other" / code.NAME)
    code.PACKAGE = package.parent / "other" / code.NAME
    assert digests() == here


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = f(a, b)", "x = f(b, a)"),
        ("x = a - (b - c)", "x = a - b - c"),
        ("def f(a=1): return a", "def f(a=2): return a"),
        ("x = f'{a:.2f}'", "x = f'{a:.3f}'"),
        ("if a:\n    f()\n    g()", "if a:\n    f()\ng()"),
        ("@a\ndef f(): pass", "@b\ndef f(): pass"),
        ("x = ['doc']", "x = ['other']"),
        ("return_ = not a", "return_ = a"),
    ],
)
def test_code_counts(tmp_path: Path, before: str, after: str) -> None:
    found = []
    for number, text in enumerate((before, after)):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/module.py").write_text(text)
        found.append(code_digest(tmp_path / f"{number}/module.py"))
    assert found[0] != found[1]


def test_settings_count_by_what_they_compute(package: Path) -> None:
    """Fields reach a job as values, and rules about them refuse: neither is part of its code, but a method is."""
    file = package / "config/train.py"
    text = file.read_text()
    added = text.replace(
        "    every: PositiveInt = setting(\n        4,",
        "    new: PositiveInt = 5\n    every: PositiveInt = setting(\n        6,",
    )
    assert added != text
    assert changed_by(lambda: file.write_text(added)) == set()
    assert changed_by(lambda: file.write_text(added.replace("if weight > 0}", "if weight > 1}"))) >= {"cli:train"}


def test_words_of_options_and_other_commands_are_no_part_of_a_command(package: Path) -> None:
    file = package / "cli.py"
    text = file.read_text()
    other = text.replace("What the progress calls it.", "Other words.").replace("    print(output)", "    print()")
    assert changed_by(lambda: file.write_text(other)) == set()
    above = text.replace("import typer\n", "import typer\n\nfrom txm2sem_core.commands.plan import plan_lines\n")
    above = above.replace("    set_threads(threads)\n", "    set_threads(threads)\n    plan_lines\n")
    file.write_text(above)
    forget()
    assert "commands.plan" in code.code_parts("cli:train")
    file.write_text(text)
    default = text.replace('device: Device = "auto"', 'device: Device = "cpu"')
    assert changed_by(lambda: file.write_text(default)) == {"cli:train", "cli:predict", "cli:predict-test"}
    body = text.replace("    set_threads(threads)", "    set_threads(threads + 1)")
    assert changed_by(lambda: file.write_text(body)) == {"cli:train", "cli:predict", "cli:predict-test"}


@pytest.mark.parametrize(
    ("file", "some", "others"),
    [
        (
            "families/repair.py",
            {"cli:train", "cli:predict", "cli:predict-test"},
            {"make_phantom", "extract_patches", "measure_side_task"},
        ),
        (
            "metrics/damage.py",
            {"cli:train", "measure_side_task", "figures.side_task:side_task_figure"},
            {"extract_patches", "measure_rock"},
        ),
        ("metrics/density.py", {"cli:train", "extract_patches", "measure_side_task"}, {"register_pairs"}),
        ("metrics/image.py", {"cli:train", "measure_patches"}, {"make_phantom", "register_pairs", "measure_rock"}),
        ("geometry.py", {"cli:train", "register_pairs", "extract_patches"}, {"make_phantom", "export_volume"}),
        ("training/trainer.py", {"cli:train"}, {"cli:predict", "extract_patches"}),
        ("report/page/templates/stage.js", {"write_report"}, {"figures.montage:montage_figure"}),
        ("catalogue/figures.py", {"write_report"}, {"figures.montage:montage_figure", "measure_patches"}),
        ("runtime/progress.py", set(), {"cli:train", "cli:predict"}),
    ],
)
def test_a_change_is_seen_where_the_code_is_used(package: Path, file: str, some: set[str], others: set[str]) -> None:
    seen = changed_by(lambda: append(package / file, "\nADDED = 1\n"))
    assert some <= seen
    assert not seen & others


def test_a_users_own_network_counts_by_its_code_and_by_what_it_uses(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text('"""Mine."""\nfrom txm2sem_core.metrics import permeability\nx = 1\n')
    first = code_digest("cli:train", own)
    assert "metrics.pores.permeability" in code.code_parts("cli:train", own)
    own.write_text('"""Other words."""\n\n\nfrom txm2sem_core.metrics import permeability  # a comment\n\nx = 1\n')
    assert code_digest("cli:train", own) == first
    own.write_text(own.read_text() + "y = 2\n")
    assert code_digest("cli:train", own) != first


# --- what was found is kept


def test_another_process_takes_what_was_kept_and_does_without(tmp_path: Path) -> None:
    script = (
        "import sys, time; from txm2sem_core.provenance import code_digest, syntax; found = []\n"
        "parse = syntax.ast.parse; syntax.ast.parse = lambda text: (found.append(1), parse(text))[1]\n"
        "print(code_digest('training:train_model'), len(found))"
    )

    def run(cache: Path) -> list[str]:
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    digest, parsed = run(tmp_path / "cache")
    assert int(parsed) > 50
    assert run(tmp_path / "cache") == [digest, "0"]
    (kept,) = (tmp_path / "cache/txm2sem").iterdir()
    for damaged in ("{broken", "[]", ""):
        kept.write_text(damaged)
        assert run(tmp_path / "cache") == [digest, parsed]
    (tmp_path / "file").touch()
    assert run(tmp_path / "file") == [digest, parsed]  # nowhere to keep anything


def test_processes_add_to_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = user_cache.Kept("x"), user_cache.Kept("x")
    assert one.get("a") is None
    assert other.get("b") is None
    one.put("a", 1)
    other.put("b", 2)
    one.save()
    other.save()
    assert json.loads((tmp_path / "txm2sem/x.json").read_text()) == {"a": 1, "b": 2}
    newest = user_cache.Kept("x", most=2)
    newest.put("c", 3)
    newest.save()
    assert json.loads((tmp_path / "txm2sem/x.json").read_text()) == {"b": 2, "c": 3}
