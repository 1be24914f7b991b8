"""What was measured, as a page: machine, versions and date, and the sections."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from sections import Runs, planes, stages, training, volumes, workflow

from txm2sem_core import __version__

HEAD = """# Benchmarks{title}

Written by `make benchmark` ({date}); [benchmarks/README.md](../benchmarks/README.md) says how to repeat it. A figure is
the median over {rounds} rounds with the least and the greatest behind it; the programs took turns within each round,
every one as a process of its own. A ratio is one of medians. {device}

| | |
|---|---|
{machine}

"""
TITLE = {"cpu": "", "cuda": " on a GPU"}
DEVICE = {
    "cpu": """"Memory kept" means that the C library was told by
environment variables to keep freed memory, which ours does by itself. No GPU was measured.""",
    "cuda": """Networks
computed on the GPU; "memory" is that of the GPU which PyTorch held. Matrix products of float32, with which those of
the networks are compared, are of TF32, as PyTorch computes convolutions there.""",
}


def machine(chosen: argparse.Namespace) -> str:
    """Processor, GPU, memory, system and versions."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", cpu)
    extensions = [name for name in ("avx2", "avx512f", "amx_bf16") if name in cpu]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rows = [
        (
            "processor",
            f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores, {', '.join(extensions)}",
        ),
        *([("GPU", gpu())] if chosen.device == "cuda" else []),
        ("threads used", str(chosen.threads)),
        ("memory", f"{gib:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}"),
        (
            "versions",
            f"txm2sem {__version__}, " + ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "zarr")),
        ),
    ]
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def gpu() -> str:
    """Name, memory and CUDA version."""
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


def write_report(
    found: dict[str, dict[str, Runs]], absent: Sequence[str], chosen: argparse.Namespace, width: int
) -> None:
    """Write the page."""
    date = datetime.date.today().isoformat()
    rounds = 1 if chosen.quick else chosen.rounds
    text = HEAD.format(
        title=TITLE[chosen.device], date=date, rounds=rounds, device=DEVICE[chosen.device], machine=machine(chosen)
    )
    if absent:
        text += f"Not there, and so not measured: {', '.join(absent)}.\n\n"
    if "training" in found:
        text += training(found["training"], chosen.device)
    if found.get("planes"):
        text += planes(found["planes"], chosen.device)
    if "thin" in found:
        text += volumes(found["thin"], found["thick"], chosen, width)
    if "stages" in found:
        text += stages(found["stages"])
    if "workflow" in found:
        text += workflow(found["workflow"]["demo"]["ours"])
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
