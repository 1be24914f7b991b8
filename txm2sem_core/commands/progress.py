"""`txm2sem progress`: how far the run of a folder is, by the journal that it keeps. It changes nothing there."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from txm2sem_core.commands.run_lines import ChangedLines, table
from txm2sem_core.commands.run_state import read_state

_LOOK_AGAIN_S = 5.0
_CLEAR = "\x1b[H\x1b[J"


def show_progress(folder: Path) -> None:
    """Print the state of the last run in a folder.

    Raises:
        InputError: no run began there.
    """
    print("\n".join(table(read_state(folder), time.time())))


def watch_progress(folder: Path, look_again_s: float = _LOOK_AGAIN_S) -> None:
    """Print it until the run has ended: a table that is renewed on a terminal, elsewhere a line a stage as it changes.

    Raises:
        InputError: no run began there.
    """
    on_terminal, lines = sys.stdout.isatty(), ChangedLines()
    while (state := read_state(folder)).alive() is not False:
        now = time.time()
        shown = [_CLEAR + "\n".join(table(state, now))] if on_terminal else lines.due(state, now)
        for text in shown:
            print(text, flush=True)
        time.sleep(look_again_s)
    show_progress(folder)
