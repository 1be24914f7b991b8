"""What all jobs of a planned run take together: time, memory, disk, by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from txm2sem_core.config import TrainSettings
from txm2sem_core.costs.disk import left_by
from txm2sem_core.costs.memory import has_cost, kind_of, peak_bytes
from txm2sem_core.costs.quantities import Job
from txm2sem_core.costs.reservations import Reservations
from txm2sem_core.costs.trial import NetworkSpeed
from txm2sem_core.costs.work import core_seconds, least_flops

_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg")  # of Linux, and of Linux in Windows
STAGES = {
    "make": "phantom",
    "register": "register",
    "extract": "patches",
    "downsample": "downsample",
    "train": "train",
    "fit": "train",
    "predict": "predict",
    "export": "predict",
    "place": "measure",
    "learn": "measure",
    "measure": "measure",
    "suggest": "measure",
    "summarise": "measure",
    "draw": "figures",
    "write": "figures",
}


@dataclass(frozen=True)
class PlannedJob:
    """A job of Snakemake's plan."""

    rule: str
    wildcards: Mapping[str, str]
    threads: int


@dataclass
class StageCost:
    """What the jobs of a stage take.

    Attributes:
        jobs: how many.
        core_hours: of processor cores.
        gpu_hours: of GPUs.
        memory: bytes of its largest job.
        disk: bytes that they leave.
        files: that they leave.
    """

    jobs: int = 0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    files: int = 0

    def add(self, other: StageCost) -> None:
        """Count the jobs of another one, too."""
        self.jobs += other.jobs
        self.core_hours += other.core_hours
        self.gpu_hours += other.gpu_hours
        self.memory = max(self.memory, other.memory)
        self.disk += other.disk
        self.files += other.files


def forecast(
    jobs: Iterable[PlannedJob],
    reservations: Reservations,
    speed: Callable[[TrainSettings], NetworkSpeed],
    *,
    on_gpu: bool,
) -> dict[str, StageCost]:
    """What each stage takes, the one with the most hours first.

    Args:
        jobs: of the plan.
        reservations: of its configuration.
        speed: of a variant's networks, on the device that will compute.
        on_gpu: whether that is a GPU.
    """
    found: dict[str, StageCost] = {}
    for planned in jobs:
        job = _job_on(planned, reservations, on_gpu=on_gpu)
        found.setdefault(stage_of(planned.rule), StageCost()).add(_cost(planned, job, speed, on_gpu=on_gpu))
    return dict(sorted(found.items(), key=lambda item: -(item[1].core_hours + item[1].gpu_hours)))


def stage_of(rule: str) -> str:
    """The stage of a rule of the workflow."""
    return STAGES[rule.split("_")[0]]


def own_name(rule: str) -> str:
    """The name that a rule of the workflow has here: a workflow that uses it as a module may put a prefix before it.

    Raises:
        KeyError: it is no rule of this workflow.
    """
    words = rule.split("_")
    names = ["_".join(words[first:]) for first in range(len(words) - 1)]
    for name in reversed(names):  # the shortest, since any prefix may be there
        if name.split("_")[0] in STAGES and has_cost(name):
            return name
    raise KeyError(f"{rule}: the costs know no rule of this name")


def likeness(rule: str) -> str:
    """What jobs have in common of which one tells how long another takes, in proportion to their forecasts."""
    return "predict_test" if rule.startswith("predict_test") else kind_of(rule)


def expects_gpu(device: str, *, submitted: bool) -> bool:
    """Whether networks will compute on a GPU, without asking PyTorch, which takes seconds to load.

    Args:
        device: of the configuration.
        submitted: to a cluster, whose profile asks for GPUs; else this machine has one if the system knows of it.
    """
    known = any(Path(place).exists() for place in _GPU_DEVICES)
    return device == "cuda" or (device == "auto" and (submitted or known))


def least_speed_seconds(planned: PlannedJob, reservations: Reservations, *, on_gpu: bool) -> float:
    """Seconds that a job takes, where nothing is tried: its networks compute at the least that devices reach.

    Args:
        planned: the job.
        reservations: of its configuration.
        on_gpu: whether its networks compute on a GPU.
    """
    job = _job_on(planned, reservations, on_gpu=on_gpu)

    def speed(settings: TrainSettings) -> NetworkSpeed:
        rate = least_flops(job)
        assert job.network is not None
        return NetworkSpeed(job.network.step_flops / rate, job.network.voxel_flops / rate)

    return core_seconds(job) + _network_seconds(planned, job, speed)


def _job_on(planned: PlannedJob, reservations: Reservations, *, on_gpu: bool) -> Job:
    job = reservations.job(planned.rule, planned.wildcards, planned.threads)
    return replace(job, config=job.config.model_copy(update={"device": "cuda" if on_gpu else "cpu"}))


def _network_seconds(planned: PlannedJob, job: Job, speed: Callable[[TrainSettings], NetworkSpeed]) -> float:
    if job.variant is None or job.network is None or planned.rule.startswith("predict_test"):
        return 0.0
    own = speed(job.variant)
    if job.kind == "train":
        return own.step * job.steps
    passes = job.config.predict.uncertainty.dropout_samples if _by_dropout(planned) else job.models
    return own.voxel * job.sizes.voxels * passes * job.passes * _share(planned, job)


def _cost(planned: PlannedJob, job: Job, speed: Callable[[TrainSettings], NetworkSpeed], *, on_gpu: bool) -> StageCost:
    of_network = _network_seconds(planned, job, speed)
    left = left_by(job, planned.rule)
    return StageCost(
        jobs=1,
        core_hours=(core_seconds(job) + (0.0 if on_gpu else of_network)) / 3600,
        gpu_hours=of_network / 3600 if on_gpu else 0.0,
        memory=peak_bytes(job),
        disk=left.bytes,
        files=left.files,
    )


def _share(planned: PlannedJob, job: Job) -> float:
    """Of a volume that a job predicts."""
    if "slabs" in planned.wildcards:
        return 1 / int(planned.wildcards["slabs"])
    return 1.0 if job.config.predict.jobs == 1 else 0.0


def _by_dropout(planned: PlannedJob) -> bool:
    """Whether several passes with dropout stand for one prediction."""
    run = planned.wildcards.get("run", "")
    return planned.rule.endswith("uncertainty") and not run.endswith("/ensemble")


def lines(stages: Mapping[str, StageCost]) -> Iterator[str]:
    """The forecast as a table of text."""
    whole = StageCost()
    for stage in stages.values():
        whole.add(stage)
    with_gpu = whole.gpu_hours > 0
    heads = ["stage", "jobs", "core-hours", *["GPU-hours"] * with_gpu, "GB a job", "GB on disk", "files"]
    rows = [heads]
    for name, stage in {**stages, "all": whole}.items():
        hours = [f"{stage.core_hours:.3g}", *[f"{stage.gpu_hours:.3g}"] * with_gpu]
        rows.append(
            [name, str(stage.jobs), *hours, f"{stage.memory / 1e9:.2g}", f"{stage.disk / 1e9:.2g}", str(stage.files)]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        yield "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
