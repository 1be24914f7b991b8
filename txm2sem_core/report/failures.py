"""Jobs of a run that failed, and why, by their logs."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = "txm2sem: error: "
Maker = Callable[[Path], str | None]
_LONGEST = 600  # characters of a message


@dataclass(frozen=True, order=True)
class Failure:
    """A job that failed: its rule and its log."""

    rule: str
    log: Path

    def reason(self) -> str:
        """Our message in its log, else the last line there."""
        return (messages_in(self.log) or _lines(self.log) or ["it left no message"])[-1][:_LONGEST]


def messages_in(log: Path) -> list[str]:
    """The error messages in a job's log; empty where there is no log."""
    return [line.removeprefix(OURS) for line in _lines(log) if line.startswith(OURS)]


def _lines(log: Path) -> list[str]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]


def failures(groups: Iterable[Sequence[Failure]]) -> list[Failure]:
    """The jobs that failed, in order of their rules.

    Args:
        groups: each with jobs that were one to the cluster, and are known to have failed only together: those that left
            a message of ours count, else all that left a log, else all.
    """
    found = []
    for jobs in groups:
        ours = [job for job in jobs if messages_in(job.log)]
        found += ours or [job for job in jobs if job.log.is_file()] or list(jobs)
    return sorted(found)


def failure_message(failed: Sequence[Failure], variants: Iterable[str], maker_of: Maker = lambda path: None) -> str:
    """The failed jobs for the terminal, a few lines each, and how to go on without the variants that failed.

    Where a job failed because a result was removed, the message says how to make that again.
    """
    jobs = "1 job" if len(failed) == 1 else f"{len(failed)} jobs"
    lines = [f"txm2sem: {jobs} failed; what did not depend on {'it' if len(failed) == 1 else 'them'} was made:"]
    for each in failed:
        lines += [f"  {each.rule}: {each.reason()}", f"    log: {each.log}"]
        lacking = Path(each.reason().partition(": ")[0])
        if not lacking.exists() and (result := maker_of(lacking)) is not None:
            again = shlex.quote(result)
            lines.append(
                f"    It was made by an earlier job. To make it again, add to the same command: --forcerun {again}"
            )
    without = [name for name in variants if any(_is_of(each.log, name) for each in failed)]
    if without and len(without) < len(list(variants)):
        lines.append(
            f"txm2sem: for tables, figures and the report of the other variants add to the same command: "
            f"--config 'leave_out=[{','.join(without)}]'"
        )
    return "\n".join(lines)


def _is_of(log: Path, variant: str) -> bool:
    """Whether a job's log is of this variant: logs are `{variant}_seed{seed}...`, or lie in a folder of its name."""
    return variant == log.parent.name or bool(re.match(rf"{re.escape(variant)}_(seed\d+|ensemble)", log.name))


def print_failures(
    groups: Iterable[Iterable[tuple[str, Sequence[str]]]], variants: Iterable[str], maker_of: Maker = lambda path: None
) -> None:
    """Write to stderr which jobs failed (see `failures`); each job is the name of its rule, and its logs.

    Args:
        groups: of jobs, one each where they ran alone.
        variants: all of the run.
        maker_of: the output of a rule that a path is or lies in, or None.
    """
    failed = failures([[Failure(rule, Path(logs[0])) for rule, logs in jobs if logs] for jobs in groups])
    if failed:
        print(failure_message(failed, list(variants), maker_of), file=sys.stderr)
