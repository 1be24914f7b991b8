"""Snakemake whose benchmarks miss no peak of memory: the kernel keeps that of each process, and it is read often."""

from __future__ import annotations

import sys

import psutil
import snakemake.benchmark
from snakemake.cli import main

snakemake.benchmark.BENCHMARK_INTERVAL_SHORT = 0.2
# the number of looks after which they become rare
snakemake.benchmark.BenchmarkTimer.__init__.__defaults__ = (10**9,)


def peak_mib(process: psutil.Process) -> float:
    """The most memory that a process held at once so far (`VmHWM` of `/proc`); 0 where it has ended."""
    try:
        with open(f"/proc/{process.pid}/status") as status:
            return next((int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")), 0.0)
    except OSError:
        return 0.0


class PeakTimer(snakemake.benchmark.BenchmarkTimer):
    """Looks at the peaks of the processes of a job, where Snakemake's looks at what they hold at the moment."""

    def _update_record(self) -> None:
        super()._update_record()
        processes = [self.main, *self.main.children(recursive=True)]
        record = self.bench_record
        record.max_rss = max(record.max_rss or 0.0, sum(map(peak_mib, processes)))


snakemake.benchmark.BenchmarkTimer = PeakTimer
sys.exit(main(sys.argv[1:]))
