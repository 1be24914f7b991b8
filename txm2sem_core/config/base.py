"""What all groups of settings are made of: kinds of values, and a closed, frozen model."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
PositiveInt = Annotated[int, Field(ge=1, le=2**31 - 1)]
Width = Annotated[int, Field(ge=1, le=8192)]  # channels of a network's layer
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def one_line(text: str) -> str:
    """Text that a message, a log and a rule can show; ValueError for line breaks, control characters, surrogates."""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise ValueError("text must be in one line, without control characters")
    return text


Text = Annotated[str, Field(max_length=4096), AfterValidator(one_line)]


_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})")


def _without_expansion(text: str) -> str:
    """A path without `~` and variables, which could mean something else where a job runs."""
    if not text.strip() or text != text.strip():
        raise ValueError("a path is needed, without blanks before and after it")
    if not (text.startswith("~") or _VARIABLE.search(text)):
        return text
    meant = os.path.expandvars(os.path.expanduser(text))
    if meant.startswith("~"):
        meant = f"./{meant}"
    unknown = _VARIABLE.search(meant)
    remedy = "Write the path itself, or rename what is called so" if unknown else f"Write {meant}"
    known = f"; {unknown[0]} is not set here" if unknown else ""
    raise ValueError(f"~ and $VARIABLES in paths are not expanded, as a job may run where they differ{known}. {remedy}")


UserPath = Annotated[Text, AfterValidator(_without_expansion)]  # as the operating system is given it


def _without_patterns(text: str) -> str:
    if set(text) & set("{}<>*?[]"):
        raise ValueError("a path without { } < > * ? [ ] is needed here, which Snakemake reads as patterns")
    return text


def _in_one_spelling(text: str) -> str:
    """`results` for `./results`, `results/` and the full path of it, since Snakemake knows results by their names.

    A `..` stays, as it means something else where a link stands before it.
    """
    path = Path(text)
    with suppress(OSError, ValueError):
        path = path.relative_to(Path.cwd())
    return f"./{path}" if str(path).startswith("~") else str(path)  # as it may stand in a configuration


def _without_separator(text: str) -> str:
    if os.pathsep in text:
        raise ValueError(
            f"a file without {os.pathsep} in its path is needed, which separates the files for the commands"
        )
    return text


WorkflowPath = Annotated[UserPath, AfterValidator(_without_patterns)]  # of files that stand in the workflow's rules
ResultsPath = Annotated[WorkflowPath, AfterValidator(_in_one_spelling)]
ModelPath = ResultsPath  # a folder, which may be one of the results
PluginPath = Annotated[WorkflowPath, AfterValidator(_without_separator)]


def _power_of_two(value: int) -> int:
    if value not in (1, 2, 4, 8):
        raise ValueError("a factor is 1, 2, 4 or 8")
    return value


Factor = Annotated[int, AfterValidator(_power_of_two), Field(json_schema_extra={"enum": [1, 2, 4, 8]})]
Triple = tuple[Positive, Positive, Positive]


def setting(default: Any, meaning: str, *, reruns: str | None = None, shown: str | None = None) -> Any:
    """A field of a group of settings with what `config/README.md` and the JSON Schema say of it.

    Args:
        default: its value where the configuration has none.
        meaning: what it means, with its unit.
        reruns: what a change runs again, where that is not what is said of its group.
        shown: the default in words, where it is not one value.
    """
    extra = {"reruns": reruns, "shown": shown}
    return Field(default, description=meaning, json_schema_extra={k: v for k, v in extra.items() if v is not None})


class Settings(BaseModel):
    """Base of every group of settings: closed, and frozen once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    reruns: ClassVar[str] = ""  # what a change of its settings runs again

    def canonical_json(self) -> str:
        """The settings as one string with sorted keys: equal settings give equal strings."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)
