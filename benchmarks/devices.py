"""The device that is measured: its clock, its memory, and the two rates that no program can beat.

Nothing of this package is imported here, as the rivals' scripts use it as well.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import process_memory
import torch

WARM_UP = {"cpu": 3, "cuda": 20}  # steps before the clock starts, in which a GPU's libraries choose how to compute
MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
COPIED_BYTES = {"cpu": 2**28, "cuda": 2**30}  # beyond all caches
TIMES = 7
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


def add_device(parser: argparse.ArgumentParser) -> None:
    """The argument `--device`, and `--threads` of a CPU."""
    parser.add_argument("--device", choices=WARM_UP, default="cpu", help="of several GPUs the first visible one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="of planes: `processor` with one thread alone")


def chosen_device(chosen: argparse.Namespace) -> torch.device:
    """The device of `add_device`, with so many threads of the CPU."""
    torch.set_num_threads(chosen.threads)
    return torch.device(chosen.device)


def chosen_clock(chosen: argparse.Namespace) -> Clock:
    """The clock of `add_device`: seconds that pass, or those that the processor works for this process."""
    return CLOCKS[chosen.clock]


def add_compute(parser: argparse.ArgumentParser) -> None:
    """Arguments that say how our networks compute."""
    parser.add_argument("--precision", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")


def chosen_compute(chosen: argparse.Namespace) -> dict[str, Any]:
    """The same as settings: `compute` of a variant, and of predictions."""
    return {
        "precision": chosen.precision,
        "compile": chosen.compile,
        "channels_last": True if chosen.channels_last else None,
    }


def finish(device: torch.device) -> None:
    """Wait until all that was begun on a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(device: torch.device) -> int:
    """The most memory of the device that this process has held: the GPU's, or resident memory."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else process_memory.peak_bytes()


def matrix_rate(device: torch.device, precision: str = "float32", clock: Clock = time.perf_counter) -> float:
    """Floating-point operations a second of a matrix product, the median of seven.

    On a GPU that of float32 is as convolutions of float32 are there: by TF32, unless that was switched off.
    """
    side = MATRIX_SIDE[device.type]
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    a, b = torch.randn(2, side, side, device=device).to(getattr(torch, precision))
    made = torch.mm(a, b)
    return 2 * side**3 / _median_seconds(lambda: torch.mm(a, b, out=made), device, clock)


def memory_rate(device: torch.device, clock: Clock = time.perf_counter) -> float:
    """Bytes a second that are read and written by a copy, the median of seven."""
    values = COPIED_BYTES[device.type] // 4
    source, target = torch.zeros(values, device=device), torch.zeros(values, device=device)
    return 2 * 4 * values / _median_seconds(lambda: target.copy_(source), device, clock)


def seconds_of(predict: Callable[[], object], times: int, clock: Clock = time.perf_counter) -> float:
    """Of one call that leaves nothing to do on a device: the median, which other work on the machine disturbs least."""
    seconds = []
    for _ in range(times):
        begun = clock()
        predict()
        seconds.append(clock() - begun)
    return statistics.median(seconds)


def _median_seconds(work: Callable[[], object], device: torch.device, clock: Clock) -> float:
    work()
    seconds = []
    for _ in range(TIMES):
        finish(device)
        begun = clock()
        work()
        finish(device)
        seconds.append(clock() - begun)
    return statistics.median(seconds)
