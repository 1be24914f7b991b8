"""(e) Training at the published size, SRGAN x4 of width 256: patches a second, memory, what the GPU does, and a profile."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import threading
import time
from typing import Any

import torch
from common import DEVICE, ON_GPU, OUT, TINY, WORK, finish, left, save, say, with_benchmarks

with_benchmarks()
import shale_images  # noqa: E402

from txm2sem_core import io  # noqa: E402
from txm2sem_core.acceleration.transfer import Received  # noqa: E402
from txm2sem_core.config import load_config  # noqa: E402
from txm2sem_core.families import learner_of  # noqa: E402
from txm2sem_core.families.learner import Learner  # noqa: E402
from txm2sem_core.training.batches import epoch_batches  # noqa: E402
from txm2sem_core.training.device_patches import patches_on  # noqa: E402

WIDTH = 8 if TINY else 256
PATCH = 64 if TINY else 128
WARM_UP = 2 if TINY else 12
SECONDS = 1.0 if TINY else 3.0
PROFILED = 3 if TINY else 10


class Watch:
    """What nvidia-smi says of the GPU, twice a second."""

    def __init__(self) -> None:
        self.rows: list[list[float]] = []
        self._process = None
        if ON_GPU:
            try:
                self._process = subprocess.Popen(
                    [
                        "nvidia-smi",
                        "--query-gpu=utilization.gpu,memory.used,power.draw,clocks.sm",
                        "--format=csv,noheader,nounits",
                        "-lms",
                        "250",
                        "-i",
                        "0",
                    ],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                threading.Thread(target=self._read, daemon=True).start()
            except OSError:
                self._process = None

    def _read(self) -> None:
        for line in self._process.stdout:
            try:
                self.rows.append([float(value) for value in line.split(",")])
            except ValueError:
                continue

    def since(self, start: int) -> dict[str, float]:
        rows = self.rows[start:]
        if not rows:
            return {}
        names = ("utilisation_percent", "memory_mib", "watts", "sm_mhz")
        return {name: statistics.median(row[n] for row in rows) for n, name in enumerate(names)}

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()


def settings_of(batch_size: int, compute: dict[str, Any]):
    variant = {
        "family": "srgan",
        "factor": 4,
        "generator": {"name": "sr_resnet_9blocks", "width": WIDTH, "dropout": False},
        "discriminator": {"width": 8 if TINY else 64},
        "batch_size": batch_size,
        "compute": compute,
    }
    return load_config({"preset": "paper", "variants": {"one": variant}}).variant("one")


def steps_of(store, settings):
    """Batches as a training takes them: on a GPU cut there, where the slices fit into its memory."""
    epoch, resident = 0, patches_on(DEVICE, store, settings.context)
    cut = None if resident is None else resident.batch
    while True:
        batches = epoch_batches(store, settings, 0, epoch, cut=cut)
        yield from (b for b in batches if len(b.txm) == settings.batch_size)
        epoch += 1


def operations(learner: Learner, batch) -> float | None:
    """Floating-point operations of a step's convolutions, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with FlopCounterMode(display=False) as counter:
            learner.step(batch)
        return float(counter.get_total_flops())
    except Exception as error:
        say("operations not counted:", error)
        return None


def measured(
    store, batch_size: int, compute: dict[str, Any], benchmark: bool, watch: Watch, counted: dict[int, float | None]
) -> dict[str, Any]:
    torch.backends.cudnn.benchmark = benchmark
    if ON_GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    settings = settings_of(batch_size, compute)
    learner = learner_of(settings, 0, DEVICE)
    learner.generator.train()
    batches = steps_of(store, settings)
    begun = time.perf_counter()
    for _ in range(WARM_UP):
        torch.stack(list(learner.step(next(batches)).values())).tolist()
    finish()
    row: dict[str, Any] = {"warm_up_s": time.perf_counter() - begun}
    if batch_size not in counted and not compute.get("compile"):
        counted[batch_size] = operations(learner, next(batches))
    seen = len(watch.rows)
    finish()
    parts = {"data": 0.0, "step": 0.0, "check": 0.0}
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS:
        at = [time.perf_counter()]
        batch = next(batches)
        at.append(time.perf_counter())
        terms = learner.step(batch)
        at.append(time.perf_counter())
        torch.stack(list(terms.values())).tolist()  # the check that waits
        at.append(time.perf_counter())
        for name, one, other in zip(parts, at, at[1:], strict=False):
            parts[name] += other - one
        steps += 1
    finish()
    seconds = time.perf_counter() - begun
    row |= {
        "patches_per_s": steps * batch_size / seconds,
        "ms_a_step": 1e3 * seconds / steps,
        "steps": steps,
        **{f"ms_{name}": 1e3 * value / steps for name, value in parts.items()},
        **watch.since(seen + 1),
    }
    if ON_GPU:
        row |= {"held_mb": torch.cuda.max_memory_reserved() / 1e6, "used_mb": torch.cuda.max_memory_allocated() / 1e6}
    if counted.get(batch_size):
        row["tflops"] = counted[batch_size] * steps / seconds / 1e12
    # as a training looks at losses: when the next step has begun
    finish()
    begun, late = time.perf_counter(), max(2, min(steps, 30))
    previous = None
    for _ in range(late):
        terms = learner.step(next(batches))
        if previous is not None:
            previous.numbers()
        previous = Received(torch.stack(list(terms.values())))
    finish()
    row["ms_a_step_checked_late"] = 1e3 * (time.perf_counter() - begun) / late
    row["_learner"], row["_batches"] = learner, batches
    return row


def profiled(name: str, learner: Learner, batches, lines: list[str]) -> dict[str, Any]:
    """The kernels of some steps, and the share of their time in which the GPU does nothing."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if ON_GPU else [])
    finish()
    with profile(activities=activities) as prof:
        begun = time.perf_counter()
        for _ in range(PROFILED):
            torch.stack(list(learner.step(next(batches)).values())).tolist()
        finish()
        seconds = time.perf_counter() - begun
    trace = WORK / "trace.json"
    prof.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    trace.unlink()
    kinds = ("kernel", "gpu_memcpy", "gpu_memset") if ON_GPU else ("cpu_op",)
    spans = sorted(
        (float(e["ts"]), float(e["ts"]) + float(e["dur"]), e["name"], e.get("cat"))
        for e in events
        if e.get("cat") in kinds and "dur" in e
    )
    busy, end = 0.0, float("-inf")
    for start, stop, _, _ in spans:
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    window = (spans[-1][1] - spans[0][0]) if spans else 1.0
    by_name: dict[str, list[float]] = {}
    for start, stop, label, _ in spans:
        by_name.setdefault(label, []).append(stop - start)
    total = sum(map(sum, by_name.values())) or 1.0
    top = sorted(by_name.items(), key=lambda item: -sum(item[1]))[:15]
    lines.append(
        f"## {name}: {PROFILED} steps, {1e3 * seconds / PROFILED:.2f} ms a step while profiled; {len(spans) / PROFILED:.0f} kernels and copies a step; "
        f"{'GPU' if ON_GPU else 'operators'} idle {100 * (1 - busy / window):.0f} % of the time"
    )
    for label, taken in top:
        lines.append(
            f"{100 * sum(taken) / total:5.1f} %  {sum(taken) / 1e3 / PROFILED:8.3f} ms a step  {len(taken) / PROFILED:6.1f} times  {label[:150]}"
        )
    groups = {
        "convolutions": (
            "conv",
            "cudnn",
            "xmma",
            "gemm",
            "implicit",
            "cutlass",
            "wgrad",
            "dgrad",
            "fprop",
            "sm80",
            "sm90",
        ),
        "layout": ("nchw", "nhwc", "transpose"),
        "batch norm": ("batch_norm", "bn_"),
        "borders": ("reflection_pad",),
        "adam": ("adam", "multi_tensor"),
        "copies": ("memcpy", "memset"),
    }
    shares = dict.fromkeys(groups, 0.0) | {"other": 0.0}
    for label, taken in by_name.items():
        low = label.lower()
        order = ("layout", "batch norm", "borders", "adam", "copies", "convolutions")
        group = next((g for g in order if any(word in low for word in groups[g])), "other")
        shares[group] += sum(taken) / total
    lines.append("by kind: " + ", ".join(f"{group} {100 * share:.0f} %" for group, share in shares.items()))
    lines.append("")
    lines.append(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=60))
    lines.append("")
    (OUT / "profile.txt").write_text("\n".join(lines))
    return {
        "idle_share": 1 - busy / window,
        "kernels_a_step": len(spans) / PROFILED,
        "by_kind": shares,
        "top": [[label[:100], sum(taken) / 1e3 / PROFILED, len(taken) / PROFILED] for label, taken in top[:8]],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=8)
    torch.set_num_threads(parser.parse_args().threads)
    folder = WORK / "patches_e"
    shale_images.write_store(folder, PATCH, 4, 64 if TINY else 1024)
    store = io.read_patch_store(folder)
    watch, counted, found, lines = Watch(), {}, {}, []
    half, last = {"precision": "bfloat16"}, {"precision": "bfloat16", "channels_last": True}
    ways: list[tuple[str, dict[str, Any], bool, bool]] = [  # label, compute, cudnn.benchmark, profiled
        ("float32", {}, False, True),
        ("float32, cudnn.benchmark", {}, True, False),
        ("bfloat16", half, False, False),
        ("bfloat16, channels last", last, False, True),
    ]
    for batch_size in (1, 2) if TINY else (1, 16):
        for label, compute, benchmark, looked_at in ways:
            name = f"batch {batch_size}, {label}"
            if left() < 8:
                say(name, "no time left")
                continue
            try:
                row = measured(store, batch_size, compute, benchmark, watch, counted)
                learner, batches = row.pop("_learner"), row.pop("_batches")
                found[name] = row
                if looked_at and left() > 8:
                    row["profile"] = profiled(name, learner, batches, lines)
                del learner, batches
            except Exception as error:
                found[name] = {"error": f"{type(error).__name__}: {str(error)[-800:]}"}
            save("e_training", found)
            say(name, {key: value for key, value in found[name].items() if key != "profile"})
    for batch_size in (1, 2) if TINY else (1, 16):
        name = f"batch {batch_size}, bfloat16, channels last, compiled"
        if left() > (1000 if TINY else 35):  # compiling takes most of it, and minutes on two cores
            try:
                row = measured(store, batch_size, {**last, "compile": True}, False, watch, counted)
                row.pop("_learner"), row.pop("_batches")
                found[name] = row
            except Exception as error:
                found[name] = {"error": f"{type(error).__name__}: {str(error)[-800:]}"}
            save("e_training", found)
            say(name, found[name])
    watch.end()
    raise SystemExit(1 if any("error" in one for one in found.values()) else 0)


if __name__ == "__main__":
    main()
