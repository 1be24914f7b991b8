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

Written by `make benchmark`; [benchmarks/README.md](../../benchmarks/README.md) says how to repeat it, and
[speed.md](speed.md) where the time goes. A number is the median over the rounds with the least and the greatest behind
it; the programs took turns within each round, every one as a process of its own. A ratio is one of medians. Each
section says when and on what it was measured; only numbers of one section may be compared.

{device}

The machine of the last run:

| | |
|---|---|
{machine}

"""
MEASURED = """Measured {date} with txm2sem {version} on {processor}, threads: {threads}, rounds: {rounds}{shared}.

"""
SHARED = """. As other
work ran on the machine, seconds are those that the processor worked for the one thread; of large planes one round"""
ORDER = ["Training", "Prediction of a plane", "Whole volumes", "Cost against size, without a network"]
ORDER += ["The workflow's own part"]  # of the sections, by their headings
TITLE = {"cpu": "", "cuda": " on a GPU"}
DEVICE = {
    "cpu": """"Memory kept" means that the C library was told by environment variables to keep freed memory, which ours
does by itself. No GPU was measured.""",
    "cuda": """Networks computed on the GPU; "memory" is that of the GPU which PyTorch held. Matrix products of float32,
with which those of the networks are compared, are of TF32, as PyTorch computes convolutions there.""",
}


def processor() -> str:
    """Its name, cores, and the instructions that decide how fast matrix products and convolutions are."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", cpu)
    extensions = [name for name in ("avx2", "avx512f", "amx_bf16") if name in cpu]
    return f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores, {', '.join(extensions)}"


def machine(chosen: argparse.Namespace) -> str:
    """Processor, GPU, memory, system and versions."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rows = [
        ("processor", processor()),
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
    """Write the page; sections that were not measured now stay as the page has them."""
    text = HEAD.format(title=TITLE[chosen.device], device=DEVICE[chosen.device], machine=machine(chosen))
    if absent:
        text += f"Not there at the last run, and so not measured: {', '.join(absent)}.\n\n"
    before = chosen.output.read_text(encoding="utf-8") if chosen.output.exists() else ""
    sections = sections_of(before) | measured_now(found, chosen, width)
    text += "".join(f"## {heading}\n{sections[heading]}" for heading in sorted(sections, key=place_of))
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def place_of(heading: str) -> tuple[int, str]:
    """Where a section stands; one that was kept under a longer heading, as of another machine, behind its like."""
    return next((number for number, known in enumerate(ORDER) if heading.startswith(known)), len(ORDER)), heading


def sections_of(page: str) -> dict[str, str]:
    """What stands below each heading of a page."""
    parts = (part.partition("\n") for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:])
    return {heading: text.rstrip("\n") + "\n\n" for heading, _, text in parts}


def measured_now(found: dict[str, dict[str, Runs]], chosen: argparse.Namespace, width: int) -> dict[str, str]:
    """The sections of this run, each with when and how it was measured."""
    texts = []
    if "training" in found:
        texts.append(training(found["training"], chosen.device))
    if found.get("planes"):
        texts.append(planes(found["planes"], chosen.device))
    if "thin" in found:
        texts.append(volumes(found["thin"], found["thick"], chosen, width))
    if "stages" in found:
        texts.append(stages(found["stages"]))
    if "workflow" in found:
        texts.append(workflow(found["workflow"]["demo"]["ours"]))
    when = MEASURED.format(
        date=datetime.date.today().isoformat(),
        version=__version__,
        processor=processor(),
        threads=chosen.threads,
        rounds=1 if chosen.quick else chosen.rounds,
        shared=SHARED if chosen.shared else "",
    )
    return {heading: f"\n{when}{text.lstrip()}" for heading, text in sections_of("".join(texts)).items()}
