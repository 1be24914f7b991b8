"""Progress with the time left: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_LOG_INTERVAL_S = 5.0


class _Lines:
    """A stream in which tqdm's updates become lines of their own, since a log has no cursor to move back."""

    def __init__(self) -> None:
        self._last = ""

    def write(self, text: str) -> None:
        line = text.strip()
        if line and line != self._last:
            self._last = line
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None:
        sys.stderr.flush()


def progress(items: Iterable[Item], description: str, total: int, unit: str, done: int = 0) -> Iterator[Item]:
    """Pass `items` through, and report on stderr how many of `total` are done and the time left.

    `done` were so before, in an earlier run.
    """
    from tqdm import tqdm

    if sys.stderr.isatty():
        yield from tqdm(items, desc=description, total=total, unit=unit, initial=done, dynamic_ncols=True)
    else:
        bar = "{desc}: {n_fmt}/{total_fmt} {unit}, {elapsed} done, {remaining} left{postfix}"
        yield from tqdm(
            items,
            desc=description,
            total=total,
            unit=unit,
            initial=done,
            file=_Lines(),
            mininterval=_LOG_INTERVAL_S,
            miniters=1,
            bar_format=bar,
        )
