"""Snakemake whose benchmarks miss no peak of memory: the kernel keeps that of each process, and it is read often.

A job's own Python says its peak once more where it ends, since a short one ends between two looks.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import psutil
import snakemake.benchmark
from snakemake.cli import main

AT_EXIT = Path(__file__).resolve().parent / "at_exit"
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


def left_peaks_mib(parent: int) -> list[float]:
    """What the Python processes that a process started said of their peaks where they ended."""
    return [int(path.read_text()) / 1024 for path in Path(os.environ["TXM2SEM_PEAKS"]).glob(f"{parent}-*")]


class PeakTimer(snakemake.benchmark.BenchmarkTimer):
    """Looks at the peak of the largest process of a job, where Snakemake's sums what all hold at the moment.

    Our jobs compute in one process. A sum would count all of it twice where a look falls on a process that has just
    been started, and still shares its parent's memory.
    """

    peak = 0.0

    def _update_record(self) -> None:
        super()._update_record()
        processes = [self.main, *self.main.children(recursive=True)]
        self._count(*map(peak_mib, processes))

    def cancel(self) -> None:
        """Stop looking, and add what the job said where it ended."""
        super().cancel()
        if left := left_peaks_mib(self.main.pid):
            self.bench_record.data_collected = True  # also where the job ended before the first look
            self._count(*left)

    def _count(self, *peaks: float) -> None:
        self.peak = self.bench_record.max_rss = max(self.peak, *peaks)


snakemake.benchmark.BenchmarkTimer = PeakTimer
with tempfile.TemporaryDirectory() as peaks:
    os.environ["TXM2SEM_PEAKS"] = peaks
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(AT_EXIT), os.environ.get("PYTHONPATH", "")]))
    sys.exit(main(sys.argv[1:]))
