"""Snakemake whose benchmarks look at a job's memory five times a second, also after its first half minute."""

from __future__ import annotations

import sys

import snakemake.benchmark
from snakemake.cli import main

snakemake.benchmark.BENCHMARK_INTERVAL_SHORT = 0.2
# the number of looks after which they become rare
snakemake.benchmark.BenchmarkTimer.__init__.__defaults__ = (10**9,)
sys.exit(main(sys.argv[1:]))
