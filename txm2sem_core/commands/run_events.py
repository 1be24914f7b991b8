"""What Snakemake says of a run's jobs, kept beside it for `txm2sem progress`, and said in a line a stage.

The workflow adds this handler to Snakemake's logger, which gives it the events that logger plugins get (documented in
`snakemake-interface-logger-plugins`). It is no such plugin: that must be a second top-level module of the package, is
found only where the package is installed (not where a clone is merely on the path), and works only if `--logger` or a
profile asks for it. Nor is the text of Snakemake's own log read, since `--quiet rules` leaves the jobs out of it.

Nothing of it may hinder a run: where the journal cannot be written, or an event is not understood, it says so once.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from txm2sem_core.commands.run_lines import ChangedLines
from txm2sem_core.commands.run_state import JOURNAL, RunState
from txm2sem_core.io.lock_marks import boot, started

_STATES = {"job_info": "running", "job_finished": "done", "job_error": "failed"}


@dataclass(frozen=True)
class Plan:
    """What Snakemake is going to run.

    Attributes:
        jobs: each with the keys of `RunJob` that are known before it runs, and `id`.
        cluster: whether they are submitted.
        is_done: whether the job of an `id` is; under `--quiet progress` Snakemake sends no event of that.
    """

    jobs: Sequence[Mapping[str, Any]]
    cluster: bool
    is_done: Callable[[int], bool]


class RunEvents(logging.Handler):
    """Keeps the events of a run.

    Args:
        folder: `.snakemake`; nothing is kept where it is a link.
        plan: called when Snakemake has one; None where none of it will run, as in a dry run.
        silent: whether nothing is said of it.
    """

    def __init__(self, folder: Path, plan: Callable[[], Plan | None], *, silent: bool) -> None:
        super().__init__(logging.INFO)
        self._folder, self._plan = folder.absolute(), plan
        self._lines = None if silent else ChangedLines()
        self._state: RunState | None = None
        self._is_done: Callable[[int], bool] = lambda number: False
        self._given_up = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take in what Snakemake says."""
        if self._given_up:
            return
        try:
            self._take(record)
        except Exception as error:  # whatever a later Snakemake may say: the run goes on
            self._given_up = True
            print(f"txm2sem: the progress of this run is not shown any more ({error!r}).", file=sys.stderr)

    def _take(self, record: logging.LogRecord) -> None:
        event = str(getattr(record, "event", ""))
        if event == "run_info" and self._state is None:
            self._begin(self._plan())
        elif event in _STATES and self._state is not None:
            number = getattr(record, "job_id", getattr(record, "jobid", None))
            if number in self._state.jobs:
                this = {"time": record.created, "state": _STATES[event], "job": number}
                self._keep([*self._unsaid(record.created, number), this])
                self._say()

    def _unsaid(self, now: float, besides: int | None = None) -> list[dict[str, Any]]:
        """Running jobs that are done, though no event said so."""
        assert self._state is not None
        running = [number for number, job in self._state.jobs.items() if job.state == "running" and number != besides]
        return [{"time": now, "state": "done", "job": number} for number in running if self._is_done(number)]

    def _begin(self, plan: Plan | None) -> None:
        if plan is None:
            self._given_up = True
            return
        self._state, self._is_done = RunState(), plan.is_done
        process = [boot(), os.getpid(), started(os.getpid())]
        first = {"time": time.time(), "host": socket.gethostname(), "process": process, "cluster": plan.cluster}
        self._keep([first, *plan.jobs], new=True)

    def _keep(self, events: Iterable[Mapping[str, Any]], *, new: bool = False) -> None:
        assert self._state is not None
        text = ""
        for event in events:
            self._state.apply(event)
            text += json.dumps(event) + "\n"
        if self._folder.is_symlink():
            return
        path = self._folder / JOURNAL
        if new:
            path.unlink(missing_ok=True)
        how = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | (os.O_CREAT | os.O_EXCL if new else 0)
        with open(os.open(path, how, 0o666), "a", encoding="utf-8") as file:
            file.write(text)

    def _say(self) -> None:
        if self._lines is not None and self._state is not None:
            for line in self._lines.due(self._state, time.time()):
                print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Snakemake ends, however; only where it is killed this is not called."""
        if self._state is not None and not self._state.ended and not self._given_up:
            now = time.time()
            with suppress(OSError):
                self._keep([*self._unsaid(now), {"time": now, "state": "ended"}])
        super().close()
