"""What was measured, as a page: tables beside the goals, with machine, versions and date."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from turns import median_of, spread_of

Runs = dict[str, list[dict[str, Any]]]
MEGABYTE = 1e6
GOAL_TRAINING, GOAL_LEAST, GOAL_PENALISED = 1.7, 1.3, 2.5
GOAL_RATE, GOAL_UNET = 0.8, 2.0
GOAL_VOLUME, GOAL_MEMORY_MB = 2.0, 700
GOAL_OVERHEAD_PERCENT, GOAL_DRY_RUN_S, GOAL_HELP_S = 15, 5, 0.3

HEAD = """# Benchmarks

Written by `make benchmark` ({date}); [benchmarks/README.md](../benchmarks/README.md) says how to repeat it. A figure is
the median over {rounds} rounds with the least and the greatest behind it; the programs took turns within each round,
every one as a process of its own. A ratio is one of medians. "Memory kept" means that the C library was told by
environment variables to keep freed memory, which ours does by itself. No GPU was measured.

| | |
|---|---|
{machine}

"""
TRAINING = """## Training

Patches a second, one patch of 128 x 128 SEM pixels a step (the published batch), networks 64 channels wide with batch
norm and no dropout, data loading included: the published loader with its four processes, ours with its patch store.
`projection` is the published penalty; `perturbation`, every fourth step at four times the weight, estimates the same
norm without differentiating twice, and is the default of `preset: corrected`. Both programs make the same losses and
weights (docs/agreement.md). bfloat16 (`compute.precision`) is another computation, shown for those who can use it.

"""
PLANES = """## Prediction of a plane

The same weights and plane in both; greatest difference of the output, which is in [-1, 1]. The rate is that of the
plain convolutions' operations, as a share of what a 2048 x 2048 float32 matrix product reaches in the same process; it
can be above 100 %, as ours computes some convolutions with fewer operations (docs/method.md, "On a CPU").

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
writes a pyramid, checksums and metadata as well.

"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n\n"


def machine(threads: int) -> str:
    """Processor, memory, system and versions."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", cpu)
    extensions = [name for name in ("avx2", "avx512f", "amx_bf16") if name in cpu]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rows = [
        (
            "processor",
            f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores, {', '.join(extensions)}",
        ),
        ("threads used", str(threads)),
        ("memory", f"{gib:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}"),
        ("versions", ", ".join(f"{name} {version(name)}" for name in ("txm2sem", "torch", "numpy", "zarr"))),
    ]
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def training(found: dict[str, Runs]) -> str:
    """Patches a second, and ratios to the published code."""
    rows, ratios, kept, penalised = [], [], [], []
    for case, runs in found.items():
        for label, ones in runs.items():
            row = [case, label, spread_of(ones, "patches_per_s")]
            for rival in ("published", "published, memory kept"):
                if rival in runs and label.startswith("ours"):
                    ratio = median_of(ones, "patches_per_s") / median_of(runs[rival], "patches_per_s")
                    row.append(f"{ratio:.2f}")
                    if label == "ours":
                        (ratios if rival == "published" else kept).append(ratio)
                    elif label == "ours, perturbation" and rival == "published":
                        penalised.append(ratio)
                else:
                    row.append("")
            rows.append([*row, f"{median_of(ones, 'peak_bytes') / MEGABYTE:.0f}"])
    head = [
        "network",
        "program",
        "patches/s",
        "against published",
        "against published, memory kept",
        "peak memory / MB",
    ]
    text = TRAINING + table(head, rows)
    if ratios:
        goals = [
            ["all, geometric mean", f"{GOAL_TRAINING}", f"{statistics.geometric_mean(ratios):.2f}"],
            ["the least of them", f"{GOAL_LEAST}", f"{min(ratios):.2f}"],
            ["the least, memory kept on both sides", "1.0", f"{min(kept):.2f}"],
            ["with the z-penalty, geometric mean", f"{GOAL_PENALISED}", f"{statistics.geometric_mean(penalised):.2f}"],
        ]
        text += table(["ratio to the published code", "goal", "measured"], goals)
    return text


def planes(found: dict[str, Runs]) -> str:
    """Seconds of a plane, ratios, and the share of the matrix rate."""
    rows = []
    for name, runs in found.items():
        operations = runs["published"][0]["operations"]
        for label, ones in runs.items():
            seconds = median_of(ones, "seconds")
            share = operations / seconds / median_of(ones, "matrix_rate")
            ratio = difference = ""
            if label == "ours":
                ratio = " / ".join(f"{median_of(other, 'seconds') / seconds:.2f}" for other in list(runs.values())[:2])
                difference = f"{ones[0]['difference']:.0e}"
            goal = f"{GOAL_UNET} x published" if name.startswith("unet") else f"{GOAL_RATE:.0%}"
            rows.append([name, label, spread_of(ones, "seconds", 3), f"{share:.0%}", ratio, difference, goal])
    head = ["network", "program", "s a plane", "of the matrix rate", "against published / with memory kept"]
    return PLANES + table([*head, "difference", "goal"], rows)


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
    text += (
        f"Goals: the rivals take {GOAL_VOLUME:.0f} times as long or more; ours needs less than {GOAL_MEMORY_MB} MB.\n\n"
    )
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


def write_report(
    found: dict[str, dict[str, Runs]], absent: Sequence[str], chosen: argparse.Namespace, width: int
) -> None:
    """Write the page."""
    date = datetime.date.today().isoformat()
    rounds = 1 if chosen.quick else chosen.rounds
    text = HEAD.format(date=date, rounds=rounds, machine=machine(chosen.threads))
    if absent:
        text += f"Not there, and so not measured: {', '.join(absent)}.\n\n"
    if "training" in found:
        text += training(found["training"])
    if found.get("planes"):
        text += planes(found["planes"])
    if "thin" in found:
        text += volumes(found["thin"], found["thick"], chosen, width)
    if "stages" in found:
        text += stages(found["stages"])
    if "workflow" in found:
        text += workflow(found["workflow"]["demo"]["ours"])
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
