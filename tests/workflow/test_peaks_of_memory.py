"""Snakemake as the benchmark of memory runs it: no job is too short for its peak to be seen."""

import csv
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHORT_JOBS = """
rule all:
    input: [f"{megabytes}.done" for megabytes in (20, 200, 300)]

rule hold_at_the_end:
    output: "{megabytes}.done"
    benchmark: "{megabytes}.tsv"
    shell: "python -c 'held = bytes([1]) * {wildcards.megabytes}_000_000' && touch {output}"
"""


def test_the_peak_of_a_job_that_ends_between_two_looks_is_seen(tmp_path):
    (tmp_path / "Snakefile").write_text(SHORT_JOBS)
    _run(tmp_path)
    small, middle, large = (_peak_mb(tmp_path / f"{megabytes}.tsv") for megabytes in (20, 200, 300))
    assert abs(middle - small - 180) < 5
    assert abs(large - small - 280) < 5


def test_a_process_that_shares_its_parents_memory_is_not_counted_again(tmp_path):
    """As one that has just been started, before it runs a program of its own."""
    fork = "import os, time; held = bytes([1]) * 200_000_000; os.fork() or time.sleep(1); time.sleep(1)"
    (tmp_path / "fork.py").write_text(fork)
    (tmp_path / "Snakefile").write_text(
        'rule fork:\n    output: "done"\n    benchmark: "fork.tsv"\n    shell: "python fork.py && touch done"\n'
    )
    _run(tmp_path)
    assert 200 < _peak_mb(tmp_path / "fork.tsv") < 250


def _run(folder: Path) -> None:
    """The workflow in a folder, by the benchmark's Snakemake."""
    command = [sys.executable, ROOT / "benchmarks/scale/sampled_snakemake.py", "--cores", "1", "--quiet", "all"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _peak_mb(benchmark: Path) -> float:
    with benchmark.open() as stream:
        return float(next(csv.DictReader(stream, delimiter="\t"))["max_rss"]) * 2**20 / 1e6
