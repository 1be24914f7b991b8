"""The state of a run as text: a table, and a line a stage when it changes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from txm2sem_core.commands.run_state import Expected, RunJob, RunState, own_progress
from txm2sem_core.costs.forecast import STAGES
from txm2sem_core.report.failures import Failure

STATES = ("done", "running", "left", "failed")
_MOST_RUNNING = 20
LINES_INTERVAL_S = 60.0


class ChangedLines:
    """A line for each stage that changed: at once when it begins or ends, else once a minute at most."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[int, ...]] = {}
        self._when = 0.0

    def due(self, state: RunState, now: float) -> list[str]:
        """The lines that are to be said now."""
        found = []
        often = now - self._when < LINES_INTERVAL_S
        for stage, counted in in_order(state.counts()).items():
            counts = tuple(counted[each] for each in STATES)
            before = self._said.get(stage)
            turned = before is None or counts[1] + counts[2] == 0 or counts[3] > before[3]
            if counts == before or (before is None and counts[2] == sum(counts)) or (often and not turned):
                continue
            self._said[stage], self._when = counts, now
            found.append(f"progress: {stage}: {_counts(counts, state)}; {_of_all(state, now)}")
        return found


def in_order(stages: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    """The stages of a run, in the order in which data goes through them."""
    known = [stage for stage in dict.fromkeys(STAGES.values()) if stage in stages]
    return {stage: stages[stage] for stage in dict.fromkeys([*known, *stages])}


def _running(state: RunState) -> str:
    """What running jobs are called: one that was submitted may still wait in a queue."""
    return "submitted" if state.cluster else "running"


def _counts(counts: tuple[int, ...], state: RunState) -> str:
    done, running, left, failed = counts
    at_work = f"{running} {_running(state)}" * bool(running)
    parts = [f"{done} of {sum(counts)} done", at_work, f"{left} left" * bool(left)]
    return ", ".join(filter(None, [*parts, f"{failed} failed" * bool(failed)]))


def _of_all(state: RunState, now: float) -> str:
    so_far = f"{duration(now - state.begun)} so far"
    if not any(job.state in ("left", "running") for job in state.jobs.values()):
        return so_far
    return f"{so_far}, {_left(state.expected(now))} left"


def _left(expected: Expected) -> str:
    return f"{'about' if expected.measured else 'perhaps'} {duration(expected.seconds)}"


def duration(seconds: float) -> str:
    """As a reader says it: `40 s`, `12 min`, `5 h 20 min`, `3.1 days`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 1440:.1f} days"


def table(state: RunState, now: float) -> Iterator[str]:
    """The whole state: a line for the run, a line a stage, then what runs and what failed."""
    yield headline(state, now)
    yield ""
    yield from _stage_lines(state, now)
    running = [job for job in state.jobs.values() if job.state == "running"]
    if running and state.alive() is not False:
        yield from ["", f"{_running(state)}:"]
        for job in running[:_MOST_RUNNING]:
            yield f"  {job.name}: {_how_far(job, now)}"
        if len(running) > _MOST_RUNNING:
            yield f"  and {len(running) - _MOST_RUNNING} more"
    failed = [job for job in state.jobs.values() if job.state == "failed"]
    if failed:
        yield from ["", "failed:"]
        for job in failed:
            yield f"  {job.name}: {Failure(job.rule, Path(job.log)).reason() if job.log else 'it has no log'}"
            if job.log:
                yield f"    log: {job.log}"


def headline(state: RunState, now: float) -> str:
    """The run in one line: when it began, and whether it is at work, done, or how it ended."""
    began = time.strftime("%d %b %Y, %H:%M", time.localtime(state.begun))
    what = f"run of {began}, on {state.host}: "
    unmade = sum(job.state != "done" for job in state.jobs.values())
    alive = state.alive()
    if not unmade:
        return f"{what}done, {_jobs(len(state.jobs))} in {duration(max(state.ended or now, state.begun) - state.begun)}"
    if state.ended:
        after = duration(state.ended - state.begun)
        return f"{what}ended after {after}, {_jobs(unmade)} not made. The same command goes on."
    if alive is False:
        queue = " Cancel first what is still in the queue." if state.cluster else ""
        return f"{what}killed, {_jobs(unmade)} not made.{queue} The same command goes on."
    if alive is None:
        last = max([state.begun, *(max(job.begun, job.ended) for job in state.jobs.values())])
        what += f"last heard of {duration(now - last)} ago (whether it lives is known there alone), "
    return f"{what}{_of_all(state, now)}"


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"


def _stage_lines(state: RunState, now: float) -> Iterator[str]:
    going_on = state.alive() is not False
    stages = in_order(state.counts())
    whole = sum(stages.values(), Counter())
    states = [each for each in STATES if each != "failed" or whole["failed"]]
    heads = [_running(state) if each == "running" else each for each in states]
    rows = [["stage", *heads, *["time left"] * going_on]]
    for stage, counts in [*stages.items(), (None, whole)]:
        unfinished = counts["left"] + counts["running"] > 0
        time_left = [_left(state.expected(now, stage)) if unfinished else ""] * going_on
        rows.append([stage or "all", *[str(counts[each]) for each in states], *time_left])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells]).rstrip()


def _how_far(job: RunJob, now: float) -> str:
    so_far = f"{duration(now - job.begun)} so far"
    own = own_progress(job, now)
    return so_far if own is None else f"{so_far}, {own.text}, {duration(own.left)} left"
