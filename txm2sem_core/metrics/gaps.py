"""Gaps: metrics that could not be measured, and why. All other metrics, figures and the report are made nevertheless.

A gap is an exception that says that the data do not allow a metric. A file that cannot be read is an error instead:
read files before, or slice by slice as volumes (`UnreadableError`). So is a lack of memory, since the job may be tried
again with more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from txm2sem_core.errors import OutOfMemoryError, Txm2semError, UnreadableError, printable

CALIBRATION = "calibration"  # of the uncertainty: its name as a metric, in two stages
NOT_MEASURED = "not_measured"  # the key and column under which the reasons stand beside what was measured


class Gaps:
    """The metrics of one job that failed, and the reason for each."""

    def __init__(self, job: str = "") -> None:
        """`job` names what is measured, for the log; without it nothing is logged."""
        self._job = job
        self.reasons: dict[str, str] = {}

    @contextmanager
    def of(self, metric: str) -> Iterator[None]:
        """Go on after a metric that fails, and keep the reason; its value is left as it was before.

        A reason is logged once per metric.
        """
        try:
            yield
        except (OutOfMemoryError, UnreadableError):
            raise
        except (Txm2semError, ValueError, ArithmeticError) as error:
            if metric not in self.reasons:
                self.reasons[metric] = " ".join(printable(error).split()) or type(error).__name__
                if self._job:
                    log_gap(self._job, metric, self.reasons[metric])

    def as_text(self) -> str:
        """All of them in one line, for a cell of a table; empty where there is none."""
        return reasons_text(self.reasons)


def tried(gaps: Gaps | None, metric: str, action: Callable[[], object]) -> bool:
    """Compute a metric; returns whether that worked. Without `gaps` its failure is raised."""
    if gaps is None:
        action()
        return True
    with gaps.of(metric):
        action()
        return True
    return False


def log_gap(job: str, what: str, reason: str) -> None:
    """Write a gap to the log."""
    print(f"{job}: warning: {what} not measured: {reason}", file=sys.stderr, flush=True)


def with_gaps(metrics: Mapping[str, Any], gaps: Gaps) -> dict[str, Any]:
    """Metrics for JSON, with the reasons for those that are missing, if any."""
    return dict(metrics) | ({NOT_MEASURED: gaps.reasons} if gaps.reasons else {})


def as_row(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What `with_gaps` made as a row of a table: the reasons as text."""
    return {key: reasons_text(value) if key == NOT_MEASURED else value for key, value in metrics.items()}


def reasons_text(reasons: Mapping[str, str]) -> str:
    """Reasons by metric in one line; a reason of several metrics is given once."""
    metrics: dict[str, list[str]] = {}
    for metric, reason in reasons.items():
        metrics.setdefault(reason, []).append(metric)
    return " ".join(f"{', '.join(names)}: {reason.rstrip('.')}." for reason, names in metrics.items())
