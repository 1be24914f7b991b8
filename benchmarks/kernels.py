"""What each kernel of `txm2sem_core/acceleration` gains: a network with all of them beside one without that kernel.

    python benchmarks/kernels.py --output build/kernels.md            the table of docs/evidence/speed.md
    python benchmarks/kernels.py --only winograd padded --rounds 15   some kernels, more often
    python benchmarks/kernels.py --threads 1 --clock processor        where other work runs on the machine

All networks of a case are in one process and take turns, step by step or plane by plane, in an order that moves on. A
row is the median over the rounds of the time without the kernel by the time with all, and the quartiles: above 1 the
kernel gains. Cases that a kernel does not touch are left out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import shale_images
import torch
from benchmark_cases import PATCH_PX, Case
from kernel_switches import SWITCHES, Switch
from sections import table

from txm2sem_core import io
from txm2sem_core.acceleration import Accelerator, accelerate, winograd
from txm2sem_core.config import ComputeSettings, load_config
from txm2sem_core.families import learner_of
from txm2sem_core.networks import build_generator
from txm2sem_core.runtime.allocator import keep_freed_memory
from txm2sem_core.training.batches import epoch_batches

WORTH_IT = 1.1  # times as fast in one case: a kernel that gains less everywhere is not kept for its speed
WARM_UP = 1
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
CPU = torch.device("cpu")


Run = Callable[[], torch.Tensor]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Work:
    """A training step, or a plane of `side` pixels of the network's input."""

    case: Case
    side: int = 0
    precision: str = "float32"

    @property
    def name(self) -> str:
        """For the table."""
        network = self.case.generator + (f" x{self.case.factor}" if self.case.factor > 1 else "")
        what = f"plane of {self.side}" if self.side else "step"
        return f"{network}, width {self.case.width}, {what}" + (
            "" if self.precision == "float32" else f", {self.precision}"
        )


def works() -> list[Work]:
    """Every generator of the benchmark, in width 64 and 16."""
    cases = [(Case("pix2pix", "unet_128", width=width), side, side) for width, side in ((64, 1024), (16, 1024))]
    cases += [
        (Case("feedforward", "resnet_9blocks"), 512, 512),
        (Case("feedforward", "resnet_6blocks", width=16), 1024, 0),
    ]
    cases += [(Case("srcnn", "sr_resnet_9blocks", factor), 256, 256) for factor in (2, 4)]
    planes = [Work(case, side) for case, side, _ in cases]
    halves = [Work(case, precision="bfloat16") for case, _, _ in cases if case.width == 64]
    return planes + [Work(case) for case, _, _ in cases] + halves


@contextmanager
def without(switch: Switch | None) -> Iterator[None]:
    """Within it a kernel is off: while a network is built, and while it computes."""
    with ExitStack() as stack:
        for target, name, value in switch.patches if switch else ():
            patched = mock.patch.dict(target, {name: value}) if isinstance(target, dict) else None
            stack.enter_context(patched or mock.patch.object(target, name, value))
        yield


def plane_of(work: Work) -> Run:
    """Predicts one plane, as `Predictor` does."""
    case = work.case
    network = build_generator(case.generator, width=case.width, norm="batch", dropout=False, seed=0, factor=case.factor)
    accelerate(network, training=False)
    network.eval()
    run = Accelerator(ComputeSettings(precision=work.precision), CPU).fast(network)
    plane = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 1, work.side, work.side)).astype(np.float32))

    def predict() -> torch.Tensor:
        with torch.inference_mode():
            return run(plane)

    return predict


def step_of(work: Work, patches: Path) -> Run:
    """Trains one step, on the same patch again and again; gives the losses."""
    case = work.case
    variant = {
        "family": case.family,
        "factor": case.factor,
        "generator": {"name": case.generator, "width": case.width, "dropout": False},
        "compute": {"precision": work.precision},
    }
    settings = load_config({"preset": "paper", "variants": {"one": variant}}).variant("one")
    learner = learner_of(settings, 0, CPU)
    learner.generator.train()
    batch = next(epoch_batches(io.read_patch_store(patches), settings, 0, 0))
    return lambda: torch.stack([value.detach() for value in learner.step(batch).values()])


@dataclass(frozen=True)
class Gain:
    """Of a kernel in one case: seconds of each round, with it and without, and how far the first results are apart."""

    switch: Switch
    work: Work
    seconds: list[tuple[float, float]]
    difference: float

    @property
    def ratios(self) -> list[float]:
        """Of each round."""
        return [off / on for on, off in self.seconds]

    @property
    def median(self) -> float:
        """Of the ratios."""
        return statistics.median(self.ratios)

    @property
    def of_least(self) -> float:
        """The ratio of the shortest times, which others' work on the machine disturbs least."""
        on, off = (min(times) for times in zip(*self.seconds, strict=True))
        return off / on


def measured(work: Work, switches: list[Switch], make: Callable[[], Run], rounds: int, clock: Clock) -> list[Gain]:
    """Time with all kernels and without each, in turns."""
    built: list[tuple[Switch | None, Run]] = []
    for off in (None, *switches):
        with without(off):
            built.append((off, make()))
    first = {off: _timed(off, run, clock)[1] for off, run in built}
    for off, run in built * WARM_UP:
        _timed(off, run, clock)
    seconds: dict[Switch | None, list[float]] = {off: [] for off, _ in built}
    for number in range(rounds):
        start = number % len(built)
        for off, run in built[start:] + built[:start]:
            seconds[off].append(_timed(off, run, clock)[0])
    gains = []
    for off in switches:
        difference = float((first[off] - first[None]).abs().max())
        gains.append(Gain(off, work, list(zip(seconds[None], seconds[off], strict=True)), difference))
    return gains


def _timed(off: Switch | None, run: Run, clock: Clock) -> tuple[float, torch.Tensor]:
    with without(off):
        begun = clock()
        made = run()
        return clock() - begun, made


def written(gains: list[Gain]) -> str:
    """The table, and what no case makes worth keeping."""
    rows = []
    for gain in gains:
        low, _, high = statistics.quantiles(gain.ratios, n=4)
        shown = f"{gain.median:.2f} ({low:.2f} to {high:.2f})"
        rows.append([gain.switch.name, gain.work.name, shown, f"{gain.of_least:.2f}", f"{gain.difference:.0e}"])
    text = table(["kernel", "case", "time without it", "of the least times", "difference"], rows)
    best: dict[str, float] = {}
    for gain in gains:
        best[gain.switch.name] = max(best.get(gain.switch.name, 0.0), gain.median)
    less = [name for name, ratio in best.items() if ratio < WORTH_IT]
    return text + f"Less than {WORTH_IT} times everywhere: {', '.join(less) or 'none'}.\n"


def main() -> None:
    """Measure each kernel in the cases that it touches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="kernels by the beginning of their names")
    parser.add_argument("--case", default="", help="cases whose name has this in it")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--filtering", action="store_true", help="as on a processor that gains by fewer products")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.filtering:
        winograd.products_keep_up = lambda: True  # type: ignore[assignment]
    keep_freed_memory()  # as trainings and predictions do
    gains = []
    with tempfile.TemporaryDirectory() as folder:
        for work in works():
            patches = Path(folder) / f"x{work.case.factor}"
            if not patches.exists():
                shale_images.write_store(patches, PATCH_PX, work.case.factor, 2)
            make = partial(plane_of, work) if work.side else partial(step_of, work, patches)
            named = [s for s in SWITCHES if not chosen.only or s.name.startswith(tuple(chosen.only))]
            switches = [switch for switch in named if switch.touches(work) and chosen.case in work.name]
            if switches:
                gains += measured(work, switches, make, chosen.rounds, CLOCKS[chosen.clock])
                print(written(gains[-len(switches) :]), file=sys.stderr, flush=True)
    gains.sort(key=lambda gain: SWITCHES.index(gain.switch))
    text = written(gains)
    print(text)
    if chosen.output:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
