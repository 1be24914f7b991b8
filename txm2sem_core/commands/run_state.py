"""How far a run is, by the events that it leaves: what is done, running and left of each stage, and the time left."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from txm2sem_core.errors import InputError
from txm2sem_core.io.lock_marks import boot
from txm2sem_core.io.lock_marks import started as process_start

JOURNAL = "txm2sem_progress.jsonl"
FOREIGN = "other rules"
NETWORKS = ("train", "predict")  # kinds whose forecast is of the least speed of devices, until one tells its own
_OWN_LINE = re.compile(r": (\d+)/(\d+) ([\w ]+), [\d:]+ done, ([\d:]+) left")  # of `runtime.progress` in a log
_TAIL_BYTES = 4096


@dataclass
class RunJob:
    """A job of a run.

    Attributes:
        rule: its name in Snakemake's plan.
        stage: that it belongs to.
        wildcards: as Snakemake says them; empty where there are none.
        like: what it has in common with jobs that tell how long it takes.
        seconds: its forecast, before any such job ended.
        share: of all that may run at a time; 0 on a cluster without bounds.
        log: its log, empty where there is none.
        state: `left`, `running`, `done` or `failed`.
        begun, ended: times in seconds since 1970.
    """

    rule: str
    stage: str
    wildcards: str
    like: str
    seconds: float
    share: float
    log: str = ""
    state: str = "left"
    begun: float = 0.0
    ended: float = 0.0

    @property
    def name(self) -> str:
        """As a reader knows it."""
        return f"{self.rule} {self.wildcards}".strip()


@dataclass(frozen=True)
class OwnProgress:
    """What the log of a running job says: how far it is, and the seconds that are left of it."""

    text: str
    left: float


@dataclass(frozen=True)
class Expected:
    """Seconds that are left, and whether most of them rest on jobs of this run that ended or say how far they are."""

    seconds: float
    measured: bool


@dataclass(frozen=True)
class _Speeds:
    """Measured seconds for each of the forecast: of kinds of jobs, and of those kinds that are not known yet."""

    of_kind: Mapping[str, float]
    others: float

    def of(self, job: RunJob) -> float:
        return self.of_kind.get(job.like, 1.0 if job.like in NETWORKS else self.others)


@dataclass
class RunState:
    """A run, as far as its events are known.

    Attributes:
        host: the machine that Snakemake runs on.
        process: its machine since the last start, its number and its start, by which it is known whether it lives.
        begun: when it began, in seconds since 1970.
        cluster: whether jobs are submitted, so that one that runs may still wait in a queue.
        jobs: by their numbers in Snakemake's plan.
        ended: when Snakemake ended; 0 before, and where it was killed.
    """

    host: str = ""
    process: tuple[str, int, str] = ("", 0, "")
    begun: float = 0.0
    cluster: bool = False
    jobs: dict[int, RunJob] = field(default_factory=dict)
    ended: float = 0.0

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take in one event, as the journal holds it; jobs that the plan did not name are passed over."""
        if "host" in event:
            self.host, self.process = str(event["host"]), tuple(event["process"])
            self.begun, self.cluster = float(event["time"]), bool(event["cluster"])
        elif "id" in event:
            own = {key: value for key, value in event.items() if key != "id"}
            self.jobs[int(event["id"])] = RunJob(**own)
        elif event["state"] == "ended":
            self.ended = float(event["time"])
        elif (job := self.jobs.get(int(event["job"]))) is not None:
            job.state = str(event["state"])
            if job.state == "running":
                job.begun = float(event["time"])
            else:
                job.ended = float(event["time"])

    def alive(self) -> bool | None:
        """Whether its Snakemake still runs; None where it ran on another machine and left no end."""
        if self.ended:
            return False
        machine, number, start = self.process
        return process_start(number) == start if machine == boot() else None

    def counts(self) -> dict[str, Counter[str]]:
        """How many jobs of each stage are in each state."""
        found: dict[str, Counter[str]] = {}
        for job in self.jobs.values():
            found.setdefault(job.stage, Counter())[job.state] += 1
        return found

    def expected(self, now: float, stage: str | None = None) -> Expected:
        """What is left, of a stage or of all.

        Forecasts of one kind are right in proportion, and may all be wrong by one factor: it is taken from the jobs of
        that kind that ended in this run, and from running ones that say how much is left; else from all that ended,
        save for networks. As many jobs run at a time as threads and GPUs allow; stages follow one another, each as long
        as its longest job at the least. Time in a queue is not known.
        """
        said = {job.log: own_progress(job, now) for job in self.jobs.values() if job.state == "running"}
        speeds = self._speeds(said, now)
        area, measured, whole = 0.0, 0.0, 0.0
        longest: dict[str, float] = {}
        for job in self.jobs.values():
            if job.state not in ("left", "running") or stage not in (None, job.stage):
                continue
            seconds = _left_of(job, speeds.of(job), said.get(job.log), now)
            area += seconds * job.share
            whole += seconds
            measured += seconds if job.like in speeds.of_kind else 0.0
            longest[job.stage] = max(longest.get(job.stage, 0.0), seconds)
        return Expected(max(area, sum(longest.values())), measured >= whole / 2)

    def _speeds(self, said: Mapping[str, OwnProgress | None], now: float) -> _Speeds:
        taken, forecast = defaultdict[str, float](float), defaultdict[str, float](float)
        for job in self.jobs.values():
            own = said.get(job.log) if job.state == "running" else None
            if job.state == "done" or own is not None:
                taken[job.like] += job.ended - job.begun if own is None else now - job.begun + own.left
                forecast[job.like] += job.seconds
        kinds = [like for like in taken if like not in NETWORKS]
        whole = sum(forecast[like] for like in kinds)
        others = sum(taken[like] for like in kinds) / whole if whole > 0 else 1.0
        return _Speeds({like: taken[like] / forecast[like] for like in taken if forecast[like] > 0}, others)


def _left_of(job: RunJob, ratio: float, own: OwnProgress | None, now: float) -> float:
    if job.state == "left":
        return job.seconds * ratio
    return own.left if own is not None else max(job.seconds * ratio - (now - job.begun), 0.0)


def own_progress(job: RunJob, now: float) -> OwnProgress | None:
    """The last line of a running job's log that says how far it is; None where there is none of this attempt."""
    if not job.log:
        return None
    path = Path(job.log)
    try:
        changed = path.stat().st_mtime
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
            tail = file.read().decode("utf-8", errors="replace")
    except OSError:
        return None
    found = _OWN_LINE.findall(tail)
    if not found or changed < job.begun - 1:  # file systems count whole seconds
        return None
    done, total, unit, left = found[-1]
    return OwnProgress(f"{done}/{total} {unit}", max(_seconds(left) - max(now - changed, 0.0), 0.0))


def _seconds(clock: str) -> float:
    """Of `M:SS` or `H:MM:SS`."""
    total = 0.0
    for part in clock.split(":"):
        total = 60 * total + float(part or 0)
    return total


def read_state(folder: Path) -> RunState:
    """The last run in a folder, by the journal in its `.snakemake`; logs are then found from there.

    Raises:
        InputError: no run began there, or its journal cannot be read.
    """
    path = folder / ".snakemake" / JOURNAL
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # what a killed process wrote last may be half a line
    except FileNotFoundError as error:
        raise InputError(
            f"{folder.absolute()}: no run has begun here. Give by --folder the folder that snakemake was started in."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this cannot be read ({error}). It is made again by the next run.") from error
    state = RunState()
    try:
        for line in lines:
            state.apply(json.loads(line))
        if not state.host:
            raise ValueError("it is empty")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: this is no journal of a run ({error}). It is made again by the next run.") from error
    over = state.alive() is False
    for job in state.jobs.values():
        job.log = str(folder / job.log) if job.log else ""
        if over and job.state == "running":  # it ended with its Snakemake
            job.state = "left"
    return state
