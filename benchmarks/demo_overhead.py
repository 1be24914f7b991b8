"""What of the demo's time is spent outside the work of its stages: planning, handing over, waiting, and starting.

    python benchmarks/demo_overhead.py --folder FOLDER

Runs the demo as `make demo` does, into the folder, and reads how long each job took from its benchmark files: what is
missing to all cores over the whole time was waited for. Each program is then started once more without doing its work,
to see how much of a job is Python's start, the import of its libraries and its end; the median of three is counted for
each of its jobs. The last line on stdout is a JSON object.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from txm2sem_core.catalogue.figures import FIGURES

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
COMMANDS = {"train_model": "training", "fit_baseline": "training", "predict": "inference"}  # and what they import
CORES = 2  # that the demo takes
STARTS = 3


def seconds_of(command: list[str], where: Path = ROOT) -> float:
    """Of one run; RuntimeError with what it said where it fails."""
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return time.perf_counter() - begun


def imports_of(job: str) -> str:
    """The code that loads what a job loads before it works; `job` begins with its rule's name."""
    for figure in FIGURES:
        if job.startswith(f"draw_{figure.name}"):
            return f"import txm2sem_core.{figure.function.partition(':')[0]}"
    for script in sorted(SCRIPTS.glob("*.py"), reverse=True):  # longer names before those that they begin with
        if job.startswith(script.stem):
            tree = ast.parse(script.read_text(encoding="utf-8"))
            return "\n".join(ast.unparse(line) for line in tree.body if isinstance(line, (ast.Import, ast.ImportFrom)))
    module = next(module for rule, module in COMMANDS.items() if job.startswith(rule))
    begin = "from txm2sem_core.runtime.garbage import reduce_garbage_collection\nreduce_garbage_collection()"
    return f"{begin}\nimport txm2sem_core.cli, txm2sem_core.{module}"


def start_of(code: str) -> float:
    """Seconds until a Python has loaded it."""
    return statistics.median(seconds_of([sys.executable, "-c", code], SCRIPTS) for _ in range(STARTS))


def main() -> None:
    """Run the demo and tell where its time went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    chosen = parser.parse_args()
    results = chosen.folder.resolve()
    wall = seconds_of(["make", "demo-into", f"RESULTS={results}"])
    worked, jobs = 0.0, Counter[str]()
    for file in sorted((results / "benchmarks").rglob("*.tsv")):
        with file.open(newline="") as lines:
            for line in csv.DictReader(lines, delimiter="\t"):
                worked += max(float(line["s"]), float(line["cpu_time"]))  # the latter where a job takes several cores
        parts = file.relative_to(results / "benchmarks").with_suffix("").parts
        jobs[imports_of(parts[0] if len(parts) == 1 else parts[1])] += 1
    starting = sum(number * start_of(code) for code, number in jobs.items())
    full = [sys.executable, "-m", "snakemake", "-n", "--cores", "8", "--resources", "gpu=1", "--quiet"]
    found = {
        "wall_s": wall,
        "jobs": jobs.total(),
        "waiting": 1 - worked / (CORES * wall),
        "starting": starting / (CORES * wall),
        "dry_run_s": statistics.median(seconds_of(full) for _ in range(STARTS)),
        "help_s": statistics.median(
            seconds_of([sys.executable, "-m", "txm2sem_core", "--help"]) for _ in range(STARTS)
        ),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
