"""How large a prediction is before it is begun: voxels, bytes, files, jobs, and the time on so many GPUs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from txm2sem_core.costs.disk import volume_bytes, volume_files
from txm2sem_core.errors import ConfigError
from txm2sem_core.io.units import plan_slab, plan_units
from txm2sem_core.io.zarr_levels import UNIT_Z, level_shapes


@dataclass(frozen=True)
class PredictionPlan:
    """What a prediction takes. Bytes are before compression, and decimal prefixes are used where it is shown."""

    input_voxels: int
    input_bytes: int
    output_voxels: int  # of the first level, of one channel
    output_bytes: int  # all channels and levels
    levels: int
    units: int  # of the first level; what is written at once
    files: int  # shards, with one description a level and one of the volume
    jobs: int
    units_a_job: int  # of the longest
    gpu_hours: float  # of all jobs together
    hours_a_job: float  # of the longest
    hours: float  # of all, on the GPUs that are there


def plan_prediction(
    shape: tuple[int, int, int],
    voxels_per_second: float,
    *,
    jobs: int,
    gpus: int,
    factor: int = 1,
    channels: int = 1,
    input_bytes: int = 2,
    output_bytes: int = 1,
) -> PredictionPlan:
    """Count what a volume's prediction takes.

    Args:
        shape: (Z, Y, X) of the TXM volume in voxels.
        voxels_per_second: predicted voxels that one GPU makes in a second, everything included, as measured.
        jobs: into how many the volume is split (`predict.jobs`).
        gpus: how many compute at a time, each one job.
        factor: SEM pixels a TXM pixel along y and x.
        channels: of the output; 2 with an uncertainty.
        input_bytes: of a TXM voxel.
        output_bytes: of a predicted voxel.

    Raises:
        ConfigError: a number is not greater than 0.
    """
    numbers = {"voxels per second": voxels_per_second, "jobs": jobs, "GPUs": gpus, "factor": factor, **_sizes(shape)}
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ConfigError(f"{name}: a number greater than 0 is needed, it is {number}.")
    depth, height, width = shape
    levels = level_shapes((depth, height * factor, width * factor))
    units = plan_units(depth, UNIT_Z)
    most = max(len(plan_slab(units, slab, jobs)) for slab in range(1, jobs + 1))
    voxels = math.prod(levels[0])
    seconds = voxels / voxels_per_second
    seconds_a_job = min(most * UNIT_Z, depth) / depth * seconds
    busy = min(jobs, len(units))  # jobs beyond the units have nothing to do
    return PredictionPlan(
        input_voxels=math.prod(shape),
        input_bytes=math.prod(shape) * input_bytes,
        output_voxels=voxels,
        output_bytes=volume_bytes(levels[0], channels, output_bytes),
        levels=len(levels),
        units=len(units),
        files=volume_files(levels[0]),
        jobs=jobs,
        units_a_job=most,
        gpu_hours=seconds / 3600,
        hours_a_job=seconds_a_job / 3600,
        hours=math.ceil(busy / gpus) * seconds_a_job / 3600,
    )


def plan_lines(plan: PredictionPlan) -> Iterator[str]:
    """The plan as lines of a name, a tab and a number."""
    for name, value in asdict(plan).items():
        yield f"{name}\t{value:.4g}" if isinstance(value, float) else f"{name}\t{value}"


def _sizes(shape: tuple[int, int, int]) -> dict[str, int]:
    return {f"shape along {axis}": size for axis, size in zip("zyx", shape, strict=True)}
