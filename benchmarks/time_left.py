"""How right the time left was that a run said: its journal again, at every tenth of its time.

    python benchmarks/time_left.py FOLDER

prints the seconds that were left, those that were expected, and whether these rested on jobs of the run. What running
jobs said in their logs is left out, since the logs have ended.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from txm2sem_core.commands.run_state import JOURNAL, RunState


def replayed(lines: Iterable[str]) -> Iterator[tuple[float, float, bool]]:
    """At every tenth of a run that ended: seconds left, expected, and whether they were measured."""
    events = [json.loads(line) for line in lines]
    state, tenths = RunState(), 0
    end = float(events[-1]["time"])
    for event in events:
        state.apply({**event, "log": ""} if "id" in event else event)
        if "job" not in event:
            continue
        now = float(event["time"])
        if (now - state.begun) * 10 >= tenths * (end - state.begun):
            expected = state.expected(now)
            yield end - now, expected.seconds, expected.measured
            tenths = int((now - state.begun) / (end - state.begun) * 10) + 1


if __name__ == "__main__":
    with (Path(sys.argv[1]) / ".snakemake" / JOURNAL).open(encoding="utf-8") as file:
        for left, seconds, measured in replayed(file):
            print(f"{left:.0f}\t{seconds:.0f}\t{'measured' if measured else 'forecast'}")
