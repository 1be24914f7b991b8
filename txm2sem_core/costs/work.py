"""The time that the jobs of each rule take.

Seconds of one core of an AMD EPYC processor (AVX-512), measured by `benchmarks/scale/`; those of networks are of the
device that computes.
"""

from __future__ import annotations

import math

from txm2sem_core.costs.quantities import Job, Linear

NS = 1e-9
MARGIN = 4  # of the time that is reserved: slower processors, busy disks
LEAST_MINUTES = 30
FLOPS = {"gpu": 4e12, "cpu": 2e10}  # a second that networks reach at the least: on a GPU, and on each processor core

# seconds; nanoseconds for each pixel, voxel and byte
SECONDS = {
    "make_phantom": Linear(1.5, voxel=700 * NS, further=150 * NS, pair=700 * NS),
    "register_pairs": Linear(2.0, pair=6000 * NS),
    "extract_patches": Linear(1.5, store=10 * NS),
    "downsample_patches": Linear(1.0, store=5 * NS),
    "downsample_volume": Linear(1.0, voxel=25 * NS),
    "learn_forward_model": Linear(1.0, pair_middle=12000 * NS),
    "predict": Linear(2.5, guided_voxel=900 * NS),
    "train": Linear(3.0, denoised=2500 * NS, learnt=12000 * NS),
    "fit_baseline": Linear(2.0),
    "measure_patches": Linear(1.5),
    "measure_volume": Linear(1.0, voxel=260 * NS),
    "measure_uncertainty": Linear(1.0, voxel=300 * NS),
    "measure_rock": Linear(1.0, voxel=90 * NS, blocks=600 * NS, solved=1300 * NS),
    "measure_consistency": Linear(0.8, voxel=80 * NS),
    "suggest_slices": Linear(2.0, pair=400 * NS, plane=25000 * NS),
    "measure_side_task": Linear(1.5),
    "place_labels": Linear(1.0, pair=100 * NS),
    "export_volume": Linear(0.5, voxel=10 * NS),
    "summarise": Linear(1.0, run=0.05),
    "draw_registration": Linear(2.0, plane=1500 * NS),
    "draw_planes": Linear(3.0, plane=500 * NS),
    "draw_montage": Linear(1.5, run=0.2),
    "draw_sections": Linear(1.5, plane=1000 * NS),
    "draw_phases": Linear(1.0, run=0.2),
    "draw_pore_space": Linear(5.0, run=0.3),
    "draw_uncertainty": Linear(1.5),
    "draw_chart": Linear(1.3, run=0.01),
    "write_report": Linear(3.0, run=0.1),
    "write_provenance": Linear(0.5, run=0.01),
}


def core_seconds(job: Job) -> float:
    """Seconds of one core that a job takes beside its networks."""
    return SECONDS[job.kind].of(job)


def least_flops(job: Job) -> float:
    """Floating-point operations a second that a job's networks reach at the least, on its configuration's device."""
    on_processor = job.config.device in ("cpu", "mps")
    return FLOPS["cpu"] * job.threads if on_processor else FLOPS["gpu"]


def reserved_minutes(job: Job) -> int:
    """Minutes that a job reserves at its first attempt."""
    seconds = core_seconds(job) + job.network_flops / least_flops(job)
    return max(math.ceil(MARGIN * seconds / 60), LEAST_MINUTES)
