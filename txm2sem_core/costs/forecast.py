"""What all jobs of a planned run take together: time, memory, disk, by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from txm2sem_core.config import TrainSettings
from txm2sem_core.costs.disk import left_by
from txm2sem_core.costs.memory import peak_bytes
from txm2sem_core.costs.quantities import Job
from txm2sem_core.costs.reservations import Reservations
from txm2sem_core.costs.trial import NetworkSpeed
from txm2sem_core.costs.work import core_seconds

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
    device = {"device": "cuda" if on_gpu else "cpu"}
    for planned in jobs:
        job = reservations.job(planned.rule, planned.wildcards, planned.threads)
        job = replace(job, config=job.config.model_copy(update=device))
        found.setdefault(STAGES[planned.rule.split("_")[0]], StageCost()).add(_cost(planned, job, speed, on_gpu=on_gpu))
    return dict(sorted(found.items(), key=lambda item: -(item[1].core_hours + item[1].gpu_hours)))


def _cost(planned: PlannedJob, job: Job, speed: Callable[[TrainSettings], NetworkSpeed], *, on_gpu: bool) -> StageCost:
    of_network = 0.0
    if job.variant is not None and job.network is not None:
        own = speed(job.variant)
        if job.kind == "train":
            of_network = own.step * job.steps
        elif not planned.rule.startswith("predict_test"):
            passes = job.config.predict.uncertainty.dropout_samples if _by_dropout(planned) else job.models
            of_network = own.voxel * job.sizes.voxels * passes * _share(planned, job)
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
