"""The rules of the workflow as text."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from txm2sem_core.catalogue.figures import FIGURES, Figure

REPOSITORY = Path(__file__).resolve().parents[2]
RULES = sorted((REPOSITORY / "workflow/rules").glob("*.smk"))
# a rule that is made once for each figure
_LOOP = re.compile(r"^for figure in FIGURES:\n\n    rule:\n        name:\n((?: {8}.*)?\n)+", re.MULTILINE)


def rules() -> list[tuple[str, str]]:
    """Every rule of the workflow: its name and its text; the one for figures once for each, as it is there."""
    found = []
    for path in RULES:
        text = path.read_text()
        loops = [match[0] for match in _LOOP.finditer(text)]
        assert len(re.findall(r"^ +(?:rule|checkpoint)\b.*:$", text, re.MULTILINE)) == len(loops), path
        for loop in loops:
            found += [_of_figure(loop, figure) for figure in FIGURES]
        parts = re.split(r"^(?:rule|checkpoint) (\w+):$", _LOOP.sub("", text), flags=re.MULTILINE)
        found += list(zip(parts[1::2], parts[2::2], strict=True))
    return found


def _of_figure(loop: str, figure: Figure) -> tuple[str, str]:
    text = textwrap.dedent(loop.partition("rule:\n")[2]).replace("\n", "\n    ")
    for name, value in vars(figure).items():
        text = text.replace(f"{{figure.{name}}}", str(value))
        text = re.sub(rf"\bfigure\.{name}\b", f'"{value}"' if isinstance(value, str) else str(value), text)
    named = re.search(r'name:\n +f"(\w+)"\n', text)
    assert named is not None
    return named[1], f"\n    {text}"


def section(text: str, key: str) -> str | None:
    """The indented block under a keyword of a rule."""
    found = re.search(rf"^    {key}:(.*(?:\n(?: {{8}}.*)?)*)", text, flags=re.MULTILINE)
    return found[1] if found else None


def scripts_in(text: str) -> list[str]:
    """What a rule's text runs by `run_script`: a script, or `module:function` of the package."""
    return re.findall(r'run_script\(\s*"([\w.:]+)"', text)


def files_of(script: str) -> tuple[str | Path, ...]:
    """The entries of the code of a script, or of a function of the package."""
    scripts = REPOSITORY / "workflow/scripts"
    return (scripts / "call_function.py", script) if ":" in script else (scripts / f"{script}.py",)
