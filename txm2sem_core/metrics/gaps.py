"""Measures that fail: what could not be measured, and why, in place of an end of all tables, figures and the report.

A failure is an exception that says that these data do not allow a measure. Files that cannot be read are no such thing:
read them before, or slice by slice as volumes (`UnreadableError`). Nor is a lack of memory, for which the same may be
tried again with more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from txm2sem_core.errors import OutOfMemoryError, Txm2semError, UnreadableError, printable

CALIBRATION = "calibration"  # of the uncertainty: its name as a measure, in two stages
NOT_MEASURED = "not_measured"  # the key and column under which the reasons stand beside what was measured


class Gaps:
    """The metrics of one job that failed, and the reason for each."""

    def __init__(self, job: str = "") -> None:
        """`job` names what is measured, for the log; without it nothing is logged."""
        self._job = job
        self.reasons: dict[str, str] = {}

    @contextmanager
    def of(self, measure: str) -> Iterator[None]:
        """Go on after a measure that fails, and keep why; what it would have given is left as it was before.

        A reason is logged once per metric.
        """
        try:
            yield
        except (OutOfMemoryError, UnreadableError):
            raise
        except (Txm2semError, ValueError, ArithmeticError) as error:
            if measure not in self.reasons:
                self.reasons[measure] = " ".join(printable(error).split()) or type(error).__name__
                if self._job:
                    say(self._job, measure, self.reasons[measure])

    def as_text(self) -> str:
        """All of them in one line, for a cell of a table; empty where there is none."""
        return told(self.reasons)


def tried(gaps: Gaps | None, measure: str, action: Callable[[], object]) -> bool:
    """Do what a measure needs, and say whether it went well; without `gaps` its failure is raised."""
    if gaps is None:
        action()
        return True
    with gaps.of(measure):
        action()
        return True
    return False


def say(job: str, what: str, reason: str) -> None:
    """Tell the log of a gap."""
    print(f"{job}: warning: {what} not measured: {reason}", file=sys.stderr, flush=True)


def with_gaps(figures: Mapping[str, Any], gaps: Gaps) -> dict[str, Any]:
    """Figures for JSON, with the reasons of those that are not there, if any."""
    return dict(figures) | ({NOT_MEASURED: gaps.reasons} if gaps.reasons else {})


def as_row(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What `with_gaps` made as a row of a table: the reasons as text."""
    return {key: told(value) if key == NOT_MEASURED else value for key, value in figures.items()}


def told(reasons: Mapping[str, str]) -> str:
    """Reasons by metric in one line; a reason of several metrics is given once."""
    measures: dict[str, list[str]] = {}
    for measure, reason in reasons.items():
        measures.setdefault(reason, []).append(measure)
    return " ".join(f"{', '.join(names)}: {reason.rstrip('.')}." for reason, names in measures.items())
