"""The memory that the jobs of each rule take at their peak.

The numbers were measured by `benchmarks/scale/`, which also compares what jobs reserve with what they take.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from txm2sem_core.costs.quantities import Job, Linear

MB = 1e6
MARGIN = 1.5  # reserved above what was measured: other processors, other versions of libraries
STEP_MB = 100  # what is reserved is a multiple of it
RUNNER = 350 * MB  # of the Snakemake that runs a job on a node of a cluster
ON_GPU = 3000 * MB  # of the processor's memory that CUDA and PyTorch's kernels for it take
NETWORK = 2**31  # bytes of a plane in a network at most, where `memory_gib` says nothing
KEPT_LAYERS = 5  # float32 planes of full resolution in a network, as many as it is wide each
NOISE = 160  # bytes for each pixel of a plane: coefficients of the noise of samples, by the longest filters along z
WORKSPACE = 1.6  # of what a training keeps for the gradients: what single layers need beside it

TXM_MODEL = Linear(middle=800, pair_middle=28)  # to learn what the TXM shows of the FIB-SEM

# bytes; of `plane`, `voxel` and the like for each of them
MEMORY = {
    "make_phantom": Linear(190 * MB, plane=20, voxel=16.5, further=4),
    "register_pairs": Linear(200 * MB, worker=80 * MB, worker_plane=85, sought=20),
    "extract_patches": Linear(130 * MB, plane=20, store=1.4),
    "downsample_patches": Linear(120 * MB, plane=60),
    "downsample_volume": Linear(120 * MB, plane=120),
    "learn_forward_model": replace(TXM_MODEL, base=170 * MB),
    "predict": Linear(420 * MB, plane=250, further_plane=40, guided=320 * MB, guided_plane=1450),
    "train": Linear(430 * MB, plane=20, store=1.0),
    "fit_baseline": Linear(420 * MB, plane=50, store=2.7),
    "measure_patches": Linear(170 * MB, plane=60),
    "measure_volume": Linear(190 * MB, plane=520, worker=6 * MB, worker_plane=12),
    "measure_uncertainty": Linear(165 * MB, plane=200),
    "measure_rock": Linear(200 * MB, plane=450, block=60, worker=6 * MB, worker_plane=12),
    "measure_consistency": Linear(170 * MB, plane=260),
    "suggest_slices": Linear(190 * MB, plane=150),
    "measure_side_task": Linear(170 * MB, plane=60),
    "place_labels": Linear(150 * MB, plane=60),
    "export_volume": Linear(60 * MB, plane=40),
    "summarise": Linear(165 * MB, run=0.2 * MB),
    "draw_registration": Linear(240 * MB, plane=160),
    "draw_planes": Linear(320 * MB, plane=30),
    "draw_montage": Linear(260 * MB, plane=10, run=2 * MB),
    "draw_sections": Linear(220 * MB, plane=30),
    "draw_phases": Linear(220 * MB, plane=300, run=1 * MB),
    "draw_pore_space": Linear(700 * MB, plane=80, run=1 * MB),
    "draw_uncertainty": Linear(200 * MB, plane=60),
    "draw_chart": Linear(180 * MB, run=0.2 * MB),
    "write_report": Linear(260 * MB, plane=200, run=2 * MB),
    "write_provenance": Linear(105 * MB, run=0.2 * MB),
}


def peak_bytes(job: Job) -> float:
    """Bytes that a job takes at its peak."""
    return MEMORY[job.kind].of(job) + _of_network(job)


def reserved_mb(job: Job) -> int:
    """MB that a job reserves: what it takes at its peak with a margin, and what runs it on a cluster."""
    return math.ceil((MARGIN * peak_bytes(job) + RUNNER) / MB / STEP_MB) * STEP_MB


def has_cost(rule: str) -> bool:
    """Whether a rule is one of this workflow, whose jobs' memory is known."""
    return _kind(rule) in MEMORY


def kind_of(rule: str) -> str:
    """The key of `MEMORY` for a rule of the workflow; KeyError where it has none."""
    kind = _kind(rule)
    if kind not in MEMORY:
        raise KeyError(f"{rule}: costs.memory.MEMORY does not know what its jobs take")
    return kind


def _kind(rule: str) -> str:
    plain = re.sub(r"_(ensemble|true|sample)_", "_", rule)
    kinds = {"predict": "predict", "summarise": "summarise", "export": "export_volume", "train": "train"}
    kind = plain if plain in MEMORY else kinds.get(plain.split("_")[0], plain)
    if kind.startswith("draw_") and kind not in MEMORY:
        kind = "draw_chart"
    return kind


def _of_network(job: Job) -> float:
    """Bytes of a network in training and prediction; on a GPU, of what that needs in the processor's memory."""
    if job.variant is None or job.kind not in ("predict", "train"):
        return 0.0
    learning = TXM_MODEL.of(job) if job.learns_txm else 0.0  # after the training itself
    if job.config.device == "cuda":
        return max(ON_GPU, learning)
    if job.network is not None and job.kind == "train":
        own = max(job.network.weights + WORKSPACE * job.network.activations, learning)
    else:
        plane = 4 * KEPT_LAYERS * job.variant.generator.width * job.sizes.plane_px
        own = job.models * min(plane, job.config.memory_gib * 2**30 or NETWORK)
        own += NOISE * job.sizes.plane_px if job.variant.rules.samples else 0
    return max(own, ON_GPU if job.config.device == "auto" else 0.0)
