"""How the memory and time of each rule grow with the sample, and whether what is reserved and forecast holds.

    python benchmarks/scale/run.py build/scale                   # half an hour on two cores
    python benchmarks/scale/run.py build/scale --sizes small     # what the CI runs: minutes

Runs the whole workflow, every rule of it, on phantoms of several sizes, and writes `scale.csv` and a table: for each
rule and size what its largest job took, what it reserved and how long its jobs computed; and each run's forecast beside
what it took. Exit code 1 where a job took more than it reserved, where it reserved more than three times as much, or
where memory grows with the length of the volume though it must not.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
import yaml

from txm2sem_core.commands.planned import plan_run, planned_jobs
from txm2sem_core.costs.memory import MB, RUNNER, kind_of, reserved_mb
from txm2sem_core.costs.reservations import Reservations
from txm2sem_core.io import read_yaml
from txm2sem_core.samples.preflight import check_run

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
# (Z, Y, X) of the volume; the second is the first, longer
SIZES = {
    "small": [(16, 128, 128), (48, 128, 128), (16, 256, 256)],
    "medium": [(32, 256, 256), (96, 256, 256), (32, 512, 512)],
    "large": [(32, 512, 512), (96, 512, 512), (16, 1024, 1024)],
}
MOST_RESERVED = 3.0  # times what a job took
# kinds that hold all pairs, all voxels, or blocks that short volumes are thinner than; the memory of all others must
# not grow with the length of a volume
GROWS = ("make_phantom", "extract_patches", "train", "fit_baseline", "learn_forward_model", "draw_pore_space")
MOST_GROWTH = 1.25  # of the memory of others, for a volume three times as long


@dataclass(frozen=True)
class Measured:
    """What the largest job of a rule took in one run."""

    rule: str
    size: str
    jobs: int
    peak_mb: float
    reserved_mb: int
    core_s: float

    @property
    def ratio(self) -> float:
        """Of what was reserved to what was taken, each with what runs a job on a cluster."""
        return self.reserved_mb / (self.peak_mb + RUNNER / MB)


def configuration(shape: tuple[int, int, int]) -> dict[str, Any]:
    """A run with every rule: samples, ensembles, super-resolution, a side task, labels, TIFF stacks."""
    return {
        "samples": "samples.tsv",
        "figures": str(ROOT / "config/figures.yaml"),
        "seeds": [0, 1],
        "tiff_volumes": True,
        "device": "cpu",
        "phantom": {"shape": list(shape), "pair_every": 4, "max_rotation_deg": 1, "max_shift_px": 3},
        "patches": {"size_px": 64, "train": 32, "evaluation_count": 8},
        "train": {
            "generator": {"width": 8},
            "discriminator": {"width": 8},
            "schedule": {"policy": "constant", "epochs": 1},
            "batch_size": 8,
        },
        "predict": {"samples": 2, "uncertainty": {"ensemble": True}},
        "measure": {
            "segmentation": "forest",
            "rock": {"cube_px": 32, "blocks": 2, "flow": "samples", "axes": ["x"]},
        },
        "variants": {
            "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
            "feedforward": {"family": "feedforward", "context": 1, "generator": {"name": "unet_64"}},
            "flow": {"family": "flow", "context": 1},
            "srcnn_x2": {"family": "srcnn", "factor": 2, "generator": {"name": "sr_resnet_4blocks"}},
            "segmentation": {"family": "segmentation", "generator": {"name": "unet_64"}},
        },
    }


def make_run(folder: Path, shape: tuple[int, int, int]) -> None:
    """The files that a run starts from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "samples.tsv").write_text("sample\tsource\tlabels\nrock\tphantom\tlabels\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration(shape), sort_keys=False))
    height, width = shape[1] - shape[1] // 16, shape[2]
    bands = np.repeat(np.arange(height, dtype=np.uint8)[:, None] // 8 % 5, width, axis=1)
    (folder / "labels").mkdir(exist_ok=True)
    tifffile.imwrite(folder / "labels/labels001.tif", bands)


def run(folder: Path) -> None:
    """The workflow, two jobs at a time, one thread each."""
    command = [sys.executable, str(HERE / "sampled_snakemake.py"), "--snakefile", str(ROOT / "Snakefile")]
    options = [
        "--configfile",
        "config.yaml",
        "--cores",
        "2",
        "--max-threads",
        "1",
        "--resources",
        "gpu=2",
        "--quiet",
        "rules",
    ]
    with (folder / "output.txt").open("w") as output:
        done = subprocess.run(
            [*command, *options],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
    if done.returncode:
        sys.exit((folder / "output.txt").read_text()[-3000:])


def measured(folder: Path, size: str) -> Iterator[Measured]:
    """What the largest job of each rule took, by Snakemake's benchmarks."""
    benchmarks = folder / "results/benchmarks"
    of_rule: dict[str, list[dict[str, str]]] = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        with path.open() as stream:
            of_rule.setdefault(rule_of(path.relative_to(benchmarks)), []).extend(csv.DictReader(stream, delimiter="\t"))
    reservations = Reservations(check_run(read_yaml(folder / "config.yaml"), "config.yaml"))
    reserved: dict[str, int] = {}
    for job in planned_jobs(Path("config.yaml"), ["--forceall", "--snakefile", str(ROOT / "Snakefile")]):
        own = reserved_mb(reservations.job(job.rule, job.wildcards, 1))
        kind = kind_of(job.rule)
        reserved[kind] = min(own, reserved.get(kind, own))
    for rule, rows in sorted(of_rule.items()):
        peak = max(number(row["max_rss"]) for row in rows) * 2**20 / MB
        cores = sum(number(row["cpu_time"]) for row in rows)
        yield Measured(rule, size, len(rows), peak, reserved[rule], cores)


def rule_of(benchmark: Path) -> str:
    """The kind of rule that left a benchmark: SAMPLE/RULE.tsv, SAMPLE/RULE/JOB.tsv, or RULE.tsv; RULE with a number."""
    name = next(part for part in benchmark.with_suffix("").parts if part != "rock")
    return kind_of(re.sub(r"_x?\d+$", "", name))


def number(text: str) -> float:
    """A number of a benchmark; 0 where the job was too short to be looked at."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def faults(found: list[Measured], sizes: list[str]) -> Iterator[str]:
    """What must not be."""
    for one in found:
        if one.ratio < 1:
            yield f"{one.rule}, {one.size}: took {one.peak_mb:.0f} MB and reserved {one.reserved_mb}"
        if one.ratio > MOST_RESERVED:
            yield f"{one.rule}, {one.size}: reserved {one.reserved_mb} MB and took {one.peak_mb:.0f}"
    peaks = {(one.rule, one.size): one.peak_mb for one in found}
    for rule in {one.rule for one in found}:
        short, long = (peaks.get((rule, size), 0.0) for size in sizes[:2])
        if rule not in GROWS and short and long > MOST_GROWTH * short:
            yield f"{rule}: {short:.0f} MB for a volume and {long:.0f} MB for one three times as long"


def main() -> None:
    """Run all sizes, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder; runs that are there already are not made again")
    parser.add_argument("--sizes", choices=SIZES, default="medium")
    arguments = parser.parse_args()
    found, sizes, forecasts = list[Measured](), [], []
    for shape in SIZES[arguments.sizes]:
        size = "x".join(map(str, shape))
        sizes.append(size)
        folder = (arguments.folder / size).resolve()
        make_run(folder, shape)
        os.chdir(folder)
        stages = plan_run(Path("config.yaml"), whole=True, device="cpu", snakefile=ROOT / "Snakefile")
        run(folder)
        own = list(measured(folder, size))
        found += own
        forecasts.append(
            (size, sum(stage.core_hours for stage in stages.values()) * 3600, sum(one.core_s for one in own))
        )
        os.chdir(ROOT)
    table = pd.DataFrame([{**vars(one), "ratio": one.ratio} for one in found])
    table.to_csv(arguments.folder / "scale.csv", index=False)
    print(table.round(2).to_string(index=False))
    for size, expected, took in forecasts:
        print(f"{size}: forecast {expected:.0f} core-seconds, took {took:.0f}, ratio {expected / took:.2f}")
    wrong = list(faults(found, sizes))
    print(
        "\n".join(wrong) or "Every reservation holds, and no memory grows with the length of the volume that must not."
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
