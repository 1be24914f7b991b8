"""The rules of the workflow as text."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RULES = sorted((REPOSITORY / "workflow/rules").glob("*.smk"))


def rules() -> list[tuple[str, str]]:
    """Every rule of the workflow: its name and its text."""
    found = []
    for path in RULES:
        parts = re.split(r"^(?:rule|checkpoint) (\w+):$", path.read_text(), flags=re.MULTILINE)
        found += list(zip(parts[1::2], parts[2::2], strict=True))
    return found


def section(text: str, key: str) -> str | None:
    """The indented block under a keyword of a rule."""
    found = re.search(rf"^    {key}:(.*(?:\n(?: {{8}}.*)?)*)", text, flags=re.MULTILINE)
    return found[1] if found else None
