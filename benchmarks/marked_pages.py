"""Tables that a benchmark prints, or puts into a page between two marks."""

from __future__ import annotations

from pathlib import Path


def print_or_put(table: str, page: Path | None, begin: str, end: str) -> None:
    """Print a table, or replace what stands between two marks of a page by it."""
    if page is None:
        print(table)
        return
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
