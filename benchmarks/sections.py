"""What was measured, as the sections of a page: tables beside the goals."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmark_cases import ENGINE_WAYS, LARGE_PLANES
from devices import MATRIX_SIDE
from turns import median_of, spread_of

Runs = dict[str, list[dict[str, Any]]]
MEGABYTE = 1e6
PUBLISHED = ("published", "published, memory kept")
GOAL_TRAINING, GOAL_LEAST, GOAL_PENALISED = 1.7, 1.3, 2.5  # on a CPU
GOAL_ON_GPU, GOAL_SRGAN_ON_GPU = 4.0, 5.0
GOAL_RATE, GOAL_UNET = {"cpu": 0.8, "cuda": 0.4}, 2.0
GOAL_VOLUME, GOAL_MEMORY_MB = 2.0, 700
GOAL_OVERHEAD_PERCENT, GOAL_DRY_RUN_S, GOAL_HELP_S = 15, 5, 0.3

TRAINING = """## Training

Patches a second, one patch of 128 x 128 SEM pixels a step (the published batch), networks 64 channels wide where not
said, with batch norm and no dropout, data loading included: the published loader with its four processes, ours with its
patch store. `projection` is the published penalty; `perturbation`, at every fourth step with four times the weight,
estimates the same norm without differentiating twice, and is the default of `preset: corrected`. Both programs make the
same losses and weights ([agreement.md](agreement.md)). bfloat16 (`compute.precision`) is another computation, shown for
those who can use it{ways}.

"""
PLANES = """## Prediction of a plane

The same weights and plane in all programs; greatest difference to the published code's output, which is in [-1, 1]. The
rate is that of the plain convolutions' operations, as a share of what a {side} x {side} matrix product of the same
precision reaches in the same process; it can be above 100 %, as some convolutions are computed with fewer operations
([method.md](../method/method.md#on-a-cpu)). "Of the memory's": every convolution's input, output and weights, moved
once, as a share of the rate of a copy. bfloat16 is `predict.compute.precision`, and OpenVINO's own default on such a
processor. The peak is of the process, on a GPU of PyTorch's memory there; planes that take more than 2 GiB ours
computes by rows ([volumes.md](../guides/volumes.md#geometry)).{engines}

"""
ENGINES = """
OpenVINO and ONNX Runtime run the published network, exported as ONNX for planes of exactly that size."""
AGAINST_ENGINES = """How many times as long as ours the engines take, in the same precision:

"""
STAGES = """## Cost against size, without a network

Eight pairs of 512 x 512, 32 patches of 128 x 128, and a volume of 32 x 256 x 256 beside its truth, against eight times
as many pairs and patches, and a volume of 64 x 512 x 512.

"""
WORKFLOW = """## The workflow's own part

The demo of `make demo` on two cores: {jobs:.0f} jobs in {wall} s. "Waiting" is what the jobs' times (their processor
time where that is longer, as they take both cores) lack to both cores over all that time: planning, handing over, and
jobs that wait for others. "Starting" is to start a Python, load a job's libraries and end, measured apart for each kind
of job. Shares are of both cores' time.

"""
VOLUMES = """## Whole volumes

From TIFF (uint16) to zarr, slices of {side} x {side}, networks {width} channels wide. MONAI: `SlidingWindowInferer`,
windows of 256, overlap 0.25, Gaussian; CAREamics: the steps of its own prediction, tiles of 256, overlap 48. Both run
the same network, traced from plain layers. Theirs stitch windows whose overlap is smaller than the network's receptive
field, so seams are expected: "unlike" is the share of voxels that differ from ours by more than one grey level. Ours
writes a pyramid, checksums and metadata as well. The weights are random, and the answers swing as those of trained
networks do not: [method.md](../method/method.md#prediction) says by how much bfloat16 changes those.

"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n\n"


def training(found: dict[str, Runs], device: str) -> str:
    """Patches a second, and ratios to the published code."""
    rivals = PUBLISHED if device == "cpu" else PUBLISHED[:1]
    rows = []
    for case, runs in found.items():
        for label, ones in runs.items():
            ratios = [ratio_of(runs, label, rival) if label.startswith("ours") else None for rival in rivals]
            shown = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            peak = f"{median_of(ones, 'peak_bytes') / MEGABYTE:.0f}"
            rows.append([case, label, spread_of(ones, "patches_per_s"), *shown, peak])
    against = [f"against {rival}" for rival in rivals]
    ways = " (with `compute.channels_last`, as in prediction)" if device == "cuda" else ""
    text = TRAINING.format(ways=ways)
    text += table(["network", "program", "patches/s", *against, "peak memory / MB"], rows)
    if all("published" in runs for runs in found.values()):
        goals = goals_on_cpu(found) if device == "cpu" else goals_on_gpu(found)
        text += table(["ratio to the published code", "goal", "measured"], goals)
    return text


def ratio_of(runs: Runs, label: str, rival: str) -> float | None:
    """How many times as many patches a second as the rival; None without that rival."""
    if rival not in runs:
        return None
    return median_of(runs[label], "patches_per_s") / median_of(runs[rival], "patches_per_s")


def goals_on_cpu(found: dict[str, Runs]) -> list[list[str]]:
    """The goals of training there, beside what was measured."""

    def ratios(label: str, rival: str) -> list[float]:
        return [ratio for runs in found.values() if label in runs and (ratio := ratio_of(runs, label, rival))]

    plain, kept = (ratios("ours", rival) for rival in PUBLISHED)
    penalised = ratios("ours, perturbation", "published")
    return [
        ["all, geometric mean", f"{GOAL_TRAINING}", f"{statistics.geometric_mean(plain):.2f}"],
        ["the least of them", f"{GOAL_LEAST}", f"{min(plain):.2f}"],
        ["the least, memory kept on both sides", "1.0", f"{min(kept):.2f}"],
        ["with the z-penalty, geometric mean", f"{GOAL_PENALISED}", f"{statistics.geometric_mean(penalised):.2f}"],
    ]


def goals_on_gpu(found: dict[str, Runs]) -> list[list[str]]:
    """The same of a GPU: of each network the fastest way that ours has."""
    rows = []
    for case, runs in found.items():
        if "ours" in runs:  # without a penalty
            ways = {label: ratio for label in runs if "ours" in label and (ratio := ratio_of(runs, label, "published"))}
            fastest = max(ways, key=lambda label: ways[label])
            goal = GOAL_SRGAN_ON_GPU if case.startswith("SRGAN") else GOAL_ON_GPU
            rows.append([case, f"{goal}", f"{ways[fastest]:.2f} ({fastest})"])
    return rows


def planes(found: dict[str, Runs], device: str) -> str:
    """Seconds of a plane, ratios, and the shares of the rates of matrix products and of memory."""
    rows = []
    for name, runs in found.items():
        for label, ones in runs.items():
            if label != "export":
                rows.append([name, label, *_plane(name, label, ones, runs, device)])
    against = "against published" + (" / with memory kept" if device == "cpu" else "")
    rates = ["of the matrix rate", "of the memory's"]
    head = ["network", "program", "s a plane", *rates, "peak, MiB", against, "difference", "goal"]
    engines = against_engines(found)
    text = PLANES.format(side=MATRIX_SIDE[device], engines=ENGINES if engines else "") + table(head, rows)
    return text + (AGAINST_ENGINES + table(["network", "engine", "times", "difference"], engines) if engines else "")


def _plane(name: str, label: str, ones: list[dict[str, Any]], runs: Runs, device: str) -> list[str]:
    """What a row shows of a program."""
    work, seconds = runs["export"][0], median_of(ones, "seconds")
    moved = work["values"] * (2 if "bfloat16" in label else 4)
    shares = [work["operations"] / seconds / median_of(ones, "matrix_rate")]
    shares.append(moved / seconds / median_of(ones, "memory_rate"))
    ratio = difference = goal = ""
    if label not in PUBLISHED:
        ratio = " / ".join(f"{median_of(runs[rival], 'seconds') / seconds:.2f}" for rival in PUBLISHED if rival in runs)
        difference = f"{ones[0]['difference']:.0e}" if "difference" in ones[0] else ""
    if (label == "ours" and name not in LARGE_PLANES) or (label.startswith("ours") and device == "cuda"):
        by_ratio = device == "cpu" and name.startswith("unet")
        goal = f"{GOAL_UNET} x published" if by_ratio else f"{GOAL_RATE[device]:.0%}"
    peak = f"{max(one['peak_bytes'] for one in ones) / 2**20:.0f}"
    return [spread_of(ones, "seconds", 3), *(f"{share:.0%}" for share in shares), peak, ratio, difference, goal]


def against_engines(found: dict[str, Runs]) -> list[list[str]]:
    """Inference engines beside ours of the same precision."""
    rows = []
    for name, runs in found.items():
        for label in filter(runs.__contains__, ENGINE_WAYS):
            ours = "ours, bfloat16" if "bfloat16" in label else "ours"
            ratio = median_of(runs[label], "seconds") / median_of(runs[ours], "seconds")
            rows.append([name, label, f"{ratio:.2f}", f"{runs[label][0]['difference']:.0e}"])
    return rows


def volumes(thin: dict[str, Runs], thick: dict[str, Runs], chosen: argparse.Namespace, width: int) -> str:
    """Seconds and memory of whole volumes, ratios to ours, and the cost against size."""
    text = VOLUMES.format(side=chosen.side, width=width)
    rows = []
    for depth, found in zip(chosen.depths, (thin, thick), strict=True):
        for generator, runs in found.items():
            ours = median_of(runs["ours"], "seconds")
            for label, ones in runs.items():
                ratio = "" if label == "ours" else f"{median_of(ones, 'seconds') / ours:.2f}"
                unlike = f"{ones[-1]['unlike']:.1%}" if "unlike" in ones[-1] else ""
                peak = f"{max(one['peak_bytes'] for one in ones) / MEGABYTE:.0f}"
                rows.append([generator, str(depth), label, spread_of(ones, "seconds", 1), ratio, peak, unlike])
    head = ["network", "slices", "program", "seconds", "times as long as ours", "peak memory / MB", "unlike"]
    text += table(head, rows)
    if chosen.device == "cpu":
        text += f"Goals: the rivals take {GOAL_VOLUME:.0f} times as long or more; ours needs less than "
        text += f"{GOAL_MEMORY_MB} MB.\n\n"
    if thick:
        grown = [[name, *_per_slice(thin[name]["ours"], runs["ours"], chosen.depths)] for name, runs in thick.items()]
        few, many = chosen.depths
        text += table(["network", f"s a slice of {few}", f"s a slice of {many}", "change (goal: within 10 %)"], grown)
    return text


def stages(found: dict[str, Runs]) -> str:
    """Time a voxel on inputs of one size and of eight times as much."""
    rows = []
    for stage, runs in found.items():
        small, large = (median_of(ones, "seconds") / ones[0]["voxels"] * 1e9 for ones in runs.values())
        rows.append([stage, f"{small:.0f}", f"{large:.0f}", f"{large / small - 1:+.1%}"])
    head = ["stage", "ns a voxel", "of 8 times the voxels", "change (goal: within 10 %)"]
    return STAGES + table(head, rows)


def workflow(runs: list[dict[str, Any]]) -> str:
    """What the demo's time went into beside the work of its stages."""
    both = statistics.median(100 * (one["waiting"] + one["starting"]) for one in runs)
    rows = [
        ["demo, waiting", "", f"{100 * median_of(runs, 'waiting'):.0f} %"],
        ["demo, waiting and starting", f"{GOAL_OVERHEAD_PERCENT} %", f"{both:.0f} %"],
        ["`snakemake -n` of the full comparison", f"{GOAL_DRY_RUN_S:.0f} s", f"{spread_of(runs, 'dry_run_s', 1)} s"],
        ["`txm2sem --help`", f"{GOAL_HELP_S} s", f"{spread_of(runs, 'help_s')} s"],
    ]
    text = WORKFLOW.format(jobs=median_of(runs, "jobs"), wall=spread_of(runs, "wall_s", 0))
    return text + table(["", "goal, at most", "measured"], rows)


def _per_slice(thin: list[dict[str, Any]], thick: list[dict[str, Any]], depths: Sequence[int]) -> list[str]:
    few, many = (median_of(runs, "seconds") / depth for runs, depth in zip((thin, thick), depths, strict=True))
    return [f"{few:.3f}", f"{many:.3f}", f"{many / few - 1:+.1%}"]
