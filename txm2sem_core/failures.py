"""Jobs of a run that failed, and why: read from Snakemake's log and the logs of the jobs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = "txm2sem: error: "
_LONGEST = 600  # characters of a message
_BEGINS = re.compile(r"^(?:Error in rule (?P<alone>\w+):| {8}rule (?P<grouped>\w+):)$")
_DETAIL = re.compile(r"^\s+(?P<key>jobid|log): (?P<value>.*?)(?: \(check log file\(s\) for error details\))?$")
_FINISHED = re.compile(r"^Finished jobid: (\d+)\b")


@dataclass(frozen=True)
class Failure:
    """A job that failed: its rule and its log."""

    rule: str
    log: Path

    def reason(self) -> str:
        """Our message in its log, else the last line there."""
        return (messages_in(self.log) or _lines(self.log) or ["it left no message"])[-1][:_LONGEST]


def messages_in(log: Path) -> list[str]:
    """What a job of ours was stopped by, as its log says; empty where there is no log."""
    return [line.removeprefix(OURS) for line in _lines(log) if line.startswith(OURS)]


def _lines(log: Path) -> list[str]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]


def print_failures(snakemake_log: str | None, variants: Iterable[str]) -> None:
    """Say on stderr which jobs failed, after Snakemake's own words, and how to go on without their variants.

    Args:
        snakemake_log: path of Snakemake's own log, if it has one.
        variants: names of all of the run.
    """
    if snakemake_log and Path(snakemake_log).is_file():
        failed = failures(Path(snakemake_log).read_text(encoding="utf-8", errors="replace"))
        if failed:
            print(told(failed, variants), file=sys.stderr)


def failures(snakemake_log: str) -> list[Failure]:
    """The failed jobs of a run, in the order in which they failed; not one that was tried again and then succeeded.

    Args:
        snakemake_log: text of Snakemake's own log.
    """
    failed: dict[str, Failure] = {}
    rule = job = ""
    for line in snakemake_log.splitlines():
        if begins := _BEGINS.match(line):
            rule, job = begins["alone"] or begins["grouped"], ""
        elif finished := _FINISHED.match(line):
            failed.pop(finished[1], None)
        elif rule and (detail := _DETAIL.match(line)):
            if detail["key"] == "jobid":
                job = detail["value"]
            else:
                failed[job] = Failure(rule, Path(detail["value"]))
                rule = ""
    return list(failed.values())


def told(failed: Sequence[Failure], variants: Iterable[str]) -> str:
    """The failed jobs for the terminal, a few lines each, and how to go on without the variants that failed."""
    jobs = "1 job" if len(failed) == 1 else f"{len(failed)} jobs"
    lines = [f"txm2sem: {jobs} failed; what did not depend on {'it' if len(failed) == 1 else 'them'} was made:"]
    for each in failed:
        lines += [f"  {each.rule}: {each.reason()}", f"    log: {each.log}"]
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
