"""(a) The machine: versions, rates of products by precision, of copies, of convolutions, and the cost of a launch."""

from __future__ import annotations

import platform
import shutil
import statistics
import subprocess
import sys
import time

import torch
from common import DEVICE, ON_GPU, TINY, finish, save, say
from torch.nn import functional


def seconds(work, times: int = 7) -> float:
    work()
    taken = []
    for _ in range(times):
        finish()
        begun = time.perf_counter()
        work()
        finish()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
    except OSError as error:
        return str(error)


def main() -> None:
    found = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "kernel": platform.release(),
        "cores": len(__import__("os").sched_getaffinity(0)),
        "gcc": shutil.which("gcc"),
        "git": shutil.which("git"),
        "device": torch.cuda.get_device_name(0) if ON_GPU else "cpu",
    }
    if ON_GPU:
        properties = torch.cuda.get_device_properties(0)
        found |= {"gpu_gib": properties.total_memory / 2**30, "sms": properties.multi_processor_count}
        say(output_of("nvidia-smi"))
        say(output_of("nvidia-smi", "-q", "-d", "CLOCK,POWER,PERFORMANCE"))
    try:
        import triton

        found["triton"] = triton.__version__
    except ImportError:
        found["triton"] = None
    save("a_machine", found)

    side = 512 if TINY else 8192
    a, b = torch.randn(2, side, side, device=DEVICE)
    made = torch.empty_like(a)
    rates = {}
    for name, tf32 in (("fp32", False), ("tf32", True)):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        rates[name] = 2 * side**3 / seconds(lambda: torch.mm(a, b, out=made)) / 1e12
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        c, d = a.to(dtype), b.to(dtype)
        e = torch.empty_like(c)
        rates[name] = 2 * side**3 / seconds(lambda: torch.mm(c, d, out=e)) / 1e12
    found["matrix_tflops"] = rates
    values = 2**20 if TINY else 2**28
    source, target = torch.zeros(values, device=DEVICE), torch.zeros(values, device=DEVICE)
    found["copy_tb_s"] = 8 * values / seconds(lambda: target.copy_(source)) / 1e12
    small = torch.zeros(1, device=DEVICE)

    def launches() -> None:
        for _ in range(1000):
            small.add_(1)

    found["launch_us"] = seconds(launches, 3) * 1e3
    host = torch.zeros(2**20 if TINY else 2**26)
    on_device = host.to(DEVICE)
    found["from_pageable_gb_s"] = 4 * host.numel() / seconds(lambda: on_device.copy_(host), 3) / 1e9
    found["to_pageable_gb_s"] = 4 * host.numel() / seconds(lambda: host.copy_(on_device), 3) / 1e9
    if ON_GPU:
        pinned = host.pin_memory()
        found["from_pinned_gb_s"] = (
            4 * host.numel() / seconds(lambda: on_device.copy_(pinned, non_blocking=True), 3) / 1e9
        )
        found["to_pinned_gb_s"] = (
            4 * host.numel() / seconds(lambda: pinned.copy_(on_device, non_blocking=True), 3) / 1e9
        )
    save("a_machine", found)

    # the convolution that most of the time goes into: 3 x 3, 256 channels; of a training (x4 patch) and of a plane
    convolutions = {}
    shapes = (
        {"patch": (2, 16, 8, 8)}
        if TINY
        else {"patch": (1, 256, 32, 32), "batch 16": (16, 256, 32, 32), "plane": (1, 256, 256, 256)}
    )
    for where, shape in shapes.items():
        channels = shape[1]
        for name, dtype, layout, chosen in (
            ("tf32", torch.float32, torch.contiguous_format, False),
            ("tf32, cudnn.benchmark", torch.float32, torch.contiguous_format, True),
            ("bf16", torch.bfloat16, torch.contiguous_format, False),
            ("bf16, channels last", torch.bfloat16, torch.channels_last, False),
            ("bf16, channels last, cudnn.benchmark", torch.bfloat16, torch.channels_last, True),
        ):
            torch.backends.cudnn.benchmark = chosen
            x = torch.randn(shape, device=DEVICE, dtype=dtype).to(memory_format=layout)
            weight = torch.randn(channels, channels, 3, 3, device=DEVICE, dtype=dtype).to(memory_format=layout)
            with torch.no_grad():
                taken = seconds(lambda: [functional.conv2d(x, weight, padding=1) for _ in range(20)], 5) / 20
                padded = (
                    seconds(
                        lambda: [
                            functional.conv2d(functional.pad(x, [1] * 4, mode="reflect"), weight) for _ in range(20)
                        ],
                        5,
                    )
                    / 20
                )
            operations = 18 * channels**2 * shape[0] * shape[2] * shape[3]
            convolutions[f"{where}, {name}"] = {
                "tflops": operations / taken / 1e12,
                "us": taken * 1e6,
                "us_with_reflected_border": padded * 1e6,
            }
    found["convolutions"] = convolutions
    save("a_machine", found)
    say(found)


if __name__ == "__main__":
    main()
