"""The rules of each family of models, read from the calls of `register_family` without running any family.

A family is one file: ours lie in `families/`, a user's are named under `plugins`. The keywords of its `register_family`
are the fields of `FamilyRules`, and stand there as plain values, so that a configuration is checked without running
such a file, and without the seconds that PyTorch takes to load.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from txm2sem_core.errors import ConfigError

Task = Literal["translation", "repair", "segmentation"]
TASKS: tuple[str, ...] = get_args(Task)
STAND_IN = "feedforward"  # where none is named: `train:` checked alone, and models of the published code
_FOLDER = Path(__file__).parents[1] / "families"


@dataclass(frozen=True)
class FamilyRules:
    """The rules of a family that are known before its file runs.

    Attributes:
        task: what its models are for. `translation` of TXM to FIB-SEM has volumes, tables and ensembles; `repair` (of
            charged areas) and `segmentation` (by density) see one slice, and have tables and figures of their own.
        trained: by epochs, from seeds and presets; else fitted at once (baselines).
        enlarges: whether the factor must be greater than 1, or 1; None for any.
        samples: whether it draws samples, of which there may be many, and not one prediction.
        penalised: whether z-penalties can be added to its losses.
        adversarial: whether a discriminator is trained, so that `critic_steps` and `discriminator` are used.
        settings: its values where neither `train:` nor the variant says otherwise, in every preset.
        paper_settings: the same over them in `preset: paper`.
        paper_fixes_generator: the published code fixes norm, dropout and initialisation, whatever is asked.
    """

    task: Task = "translation"
    trained: bool = True
    enlarges: bool | None = False
    samples: bool = False
    penalised: bool = True
    adversarial: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    paper_settings: Mapping[str, Any] = field(default_factory=dict)
    paper_fixes_generator: bool = False

    def __post_init__(self) -> None:
        """Refuse a task that is not known, and settings without keys."""
        if self.task not in TASKS:
            raise ConfigError(f"register_family: task {self.task!r} is not known. Choose one of {', '.join(TASKS)}.")
        for key in ("settings", "paper_settings"):
            if not isinstance(getattr(self, key), Mapping):
                raise ConfigError(f"register_family: {key} must be keys and values, not {getattr(self, key)!r}.")

    @property
    def translates(self) -> bool:
        """Whether it makes FIB-SEM images of TXM images."""
        return self.task == "translation"


_declared: dict[str, FamilyRules] = {}  # of the user's files


def declare(name: str, rules: FamilyRules) -> None:
    """Let settings name a family of the user's."""
    _declared[name] = rules


def declare_plugins(files: Iterable[str]) -> None:
    """Let settings name the families of the user's files, which are read and not run; ConfigError as `declared_in`."""
    for file in files:
        _declared.update(declared_in(Path(file)))


def rules_of(family: str) -> FamilyRules | None:
    """The rules of a family; None where there is none of this name."""
    return built_in().get(family) or _declared.get(family)


@cache
def built_in() -> dict[str, FamilyRules]:
    """The families of this package, by name."""
    return {name: rules for file in sorted(_FOLDER.glob("*.py")) for name, rules in declared_in(file).items()}


def check_family_name(name: str, plugins: Iterable[str], where: str) -> None:
    """Refuse a name that neither we nor a plug-in registers; ConfigError names the nearest."""
    known = built_in().keys() | {own for file in plugins for own in declared_in(Path(file))}
    if name not in known:
        raise ConfigError(f"{where}: {unknown_family(name, known)} If it is your own, name its file under plugins.")


def unknown_family(name: str, known: Iterable[str]) -> str:
    """The message that there is no such family, with the known ones."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    remedy = f"Did you mean {near[0]!r}? " if near else ""
    return f"there is no family {name!r}. {remedy}They are {', '.join(names)}."


def declared_in(file: Path) -> dict[str, FamilyRules]:
    """The families that a Python file registers, read and not run.

    Raises:
        ConfigError: the file is missing or is not Python, or a call has an argument that is not known or is no plain
            value.
    """
    calls = registrations(parsed(file), "register_family")
    return {name: _rules(call, file) for name, call in calls.items()}


def parsed(file: Path) -> ast.Module:
    """A Python file of the user's; ConfigError where it is missing or is not Python."""
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"plugins: {file} cannot be read ({error.strerror}). Check the path.") from error
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"plugins: {file} is not Python ({error}).") from error


def registrations(tree: ast.Module, function: str) -> dict[str, ast.Call]:
    """The calls of a registering function, by the name that stands in each as text."""
    return {
        call.args[0].value: call
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", getattr(call.func, "id", "")) == function
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def _rules(call: ast.Call, file: Path) -> FamilyRules:
    known = [one.name for one in fields(FamilyRules)]
    values = {}
    for keyword in call.keywords:
        if keyword.arg not in known:
            raise ConfigError(
                f"plugins: {file}, line {call.lineno}: register_family has no argument {keyword.arg!r}. It has "
                f"{', '.join(known)}."
            )
        try:
            values[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError as error:
            raise ConfigError(
                f"plugins: {file}, line {call.lineno}: {keyword.arg} of register_family must stand there as a plain "
                "value, since the file is read before it is run."
            ) from error
    return FamilyRules(**values)
