"""What the jobs of each rule leave on the disk."""

from __future__ import annotations

import math
from dataclasses import dataclass

from txm2sem_core.costs.memory import MB
from txm2sem_core.costs.quantities import Job, Linear
from txm2sem_core.costs.trial import COPIES
from txm2sem_core.io.units import plan_blocks, plan_units
from txm2sem_core.io.zarr_levels import CHUNK_YX, SHARD_YX, UNIT_Z, Version, level_shapes

BESIDE = 3  # files beside a job's results: its log, its benchmark, its record
COMPRESSED = 0.8  # of a predicted volume's bytes, measured on phantoms; real ones may need more
WEIGHTS_KEPT = 5  # times the networks' bytes: the weights, the best and the last ones, and Adam's two moments


@dataclass(frozen=True)
class Left:
    """Bytes and files."""

    bytes: float
    files: int


# bytes, and files
DISK = {
    "make_phantom": (Linear(1 * MB, voxel=4.5, further=2, pair=5), Linear(10)),
    "register_pairs": (Linear(0.1 * MB, pair=4), Linear(4)),
    "extract_patches": (Linear(0.1 * MB, store=1.0), Linear(3)),
    "downsample_patches": (Linear(0.1 * MB, store=0.8), Linear(3)),
    "downsample_volume": (Linear(0.1 * MB, voxel=0.6), Linear(4)),
    "place_labels": (Linear(0, pair=1), Linear(2)),
    "measure_patches": (Linear(0.1 * MB), Linear(3)),
    "measure_consistency": (Linear(0.05 * MB, voxel=0.07), Linear(6)),
    "write_report": (Linear(10 * MB, run=1 * MB), Linear(2)),
    "write_provenance": (Linear(0.5 * MB), Linear(10)),
}
VOLUMES = ("predict_volume", "predict_volume_uncertainty", "predict_sample")
FIGURE = (Linear(2 * MB), Linear(2))
TABLE = (Linear(0.05 * MB), Linear(2))


def left_by(job: Job, rule: str) -> Left:
    """What a job leaves.

    Args:
        job: the job.
        rule: of the workflow, by name.
    """
    if rule.startswith("predict_passing"):
        return Left(TABLE[0].of(job), ("slab" not in rule) + BESIDE)  # the digest; the volume is removed
    if rule in VOLUMES and job.sizes.volume is not None:
        channels = 2 if rule.endswith("uncertainty") else 1
        size = volume_bytes(job.sizes.volume, channels, job.sizes.sem_bytes)
        files = volume_files(job.sizes.volume, job.config.predict.ome_zarr, channels)
        return Left(COMPRESSED * size, files + 1 + BESIDE)
    if rule.startswith("export"):
        return Left(job.sizes.voxels * job.sizes.sem_bytes, 1 + BESIDE)
    if job.kind == "train":
        weights = job.network.weights / COPIES if job.network is not None else 0.0
        return Left(0.1 * MB + WEIGHTS_KEPT * weights, 5 + BESIDE)
    size_of, files_of = DISK.get(job.kind, FIGURE if job.kind.startswith("draw") else TABLE)
    slices = {"make_phantom": job.sizes.voxels // max(job.sizes.plane_px, 1) + 5 * job.sizes.pairs}
    slices |= {"register_pairs": 3 * job.sizes.pairs, "place_labels": job.sizes.pairs}
    return Left(size_of.of(job), round(files_of.of(job)) + slices.get(job.kind, 0) + BESIDE)


def volume_files(shape: tuple[int, int, int], version: Version = "0.5", channels: int = 1) -> int:
    """Files of a predicted volume `(Z, Y, X)`: shards or chunks of all levels, and descriptions of each and of all."""
    levels = level_shapes(shape)
    side, described = (SHARD_YX, 1) if version == "0.5" else (CHUNK_YX, 2)
    pieces = sum(len(plan_units(z, UNIT_Z)) * len(plan_blocks((y, x), side)) for z, y, x in levels)
    return channels * pieces + described * (len(levels) + 1)


def volume_bytes(shape: tuple[int, int, int], channels: int, voxel_bytes: int) -> int:
    """Bytes of a predicted volume `(Z, Y, X)` and its pyramid, before compression."""
    return sum(map(math.prod, level_shapes(shape))) * channels * voxel_bytes
