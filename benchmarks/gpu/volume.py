"""(f) A volume of 64 slices of 1024 x 1024 by networks of the published width, TIFF to OME-Zarr: where the time goes."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from common import DEVICE, ON_GPU, TINY, WORK, finish, left, save, say, with_benchmarks

with_benchmarks()
import volume_inputs  # noqa: E402
from predict_planes import work_of  # noqa: E402

from txm2sem_core.checkpoint import load_model  # noqa: E402
from txm2sem_core.config import ComputeSettings, PredictSettings  # noqa: E402
from txm2sem_core.inference import Predictor, predict_volume, streaming, volume_job  # noqa: E402  # noqa: E402
from txm2sem_core.io import open_volume  # noqa: E402

SHAPE = (18, 192, 192) if TINY else (512, 1024, 1024)
NETWORKS = {"resnet_6blocks": 8, "unet_64": 8} if TINY else {"resnet_9blocks": 64, "unet_256": 64}
FOLDER = WORK / "volume_f"
WAYS: dict[str, dict[str, Any]] = {
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, compiled": {"precision": "bfloat16", "compile": True},
    "float32": {},
}
SPENT: dict[str, float] = {}


def timed(owner: Any, name: str, label: str) -> None:
    """Count the seconds that a function takes in the main thread."""
    inner = getattr(owner, name)

    def run(*arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return inner(*arguments, **options)
        finally:
            SPENT[label] = SPENT.get(label, 0.0) + time.perf_counter() - begun

    setattr(owner, name, run)


def kernels(work: Any) -> list[list[Any]]:
    """The kernels of a plane that take longest: name, milliseconds, how often."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as prof:
        work()
        finish()
    found = [[e.key[:110], e.self_device_time_total / 1e3, e.count] for e in prof.key_averages()]
    return sorted(found, key=lambda row: -row[1])[:12]


def watch_waiting() -> None:
    inner = streaming.Prefetcher.__iter__

    def waiting(self: Any) -> Iterator[Any]:
        items = inner(self)
        while True:
            begun = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                SPENT["waits for reading"] = SPENT.get("waits for reading", 0.0) + time.perf_counter() - begun
            yield item

    streaming.Prefetcher.__iter__ = waiting
    timed(streaming.BackgroundWriter, "wait", "waits for writing")
    timed(volume_job.FileJob, "_close", "closes (pyramid)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--prepare", action="store_true", help="only make the volume and the models")
    chosen = parser.parse_args()
    source, few = FOLDER / "volume.tif", FOLDER / "few_slices.tif"
    FOLDER.mkdir(parents=True, exist_ok=True)
    volume_inputs.make_volume(source, SHAPE)
    volume_inputs.make_volume(few, (16, *SHAPE[1:]))
    for name, width in NETWORKS.items():
        if not (FOLDER / name / "generator.safetensors").exists():
            # as volume_inputs.make_model, without the traced network that other programs need
            traced = volume_inputs._traced
            volume_inputs._traced = lambda network: torch.jit.trace(torch.nn.Identity(), torch.zeros(1))
            volume_inputs.make_model(FOLDER / name, name, width)
            volume_inputs._traced = traced
    if chosen.prepare:
        return
    torch.set_num_threads(chosen.threads)
    watch_waiting()
    volume = open_volume(source)
    found: dict[str, Any] = {}
    side = SHAPE[1]
    for name in NETWORKS:
        operations = work_of(load_model(FOLDER / name).generator, side)["operations"]
        for label, compute in WAYS.items():
            if left() < 8 or (compute.get("compile") and (left() < 20 or name.startswith("unet"))):
                say(name, label, "no time left")
                continue
            row: dict[str, Any] = {"operations_a_plane": operations}
            try:
                predictor = Predictor(
                    load_model(FOLDER / name), PredictSettings(compute=ComputeSettings(**compute)), DEVICE.type
                )
                plane = predictor.txm_range.to_unit(volume.read(0, 1))
                for _ in range(1 if TINY else 4):
                    predictor.planes.plane(plane)
                shutil.rmtree(FOLDER / "few.ome.zarr", ignore_errors=True)
                predict_volume(predictor, few, FOLDER / "few.ome.zarr")  # loads what the first volume needs
                if ON_GPU:
                    torch.cuda.reset_peak_memory_stats()
                # the network alone, of a plane that lies on the device
                given = predictor.compute.batch(torch.from_numpy(np.ascontiguousarray(plane[None])))
                from txm2sem_core.networks import inference

                times = 2 if TINY else 20
                with inference(predictor.network, predictor.mode):
                    predictor.planes.run(given)
                    finish()
                    begun = time.perf_counter()
                    for _ in range(times):
                        predictor.planes.run(given)
                    finish()
                    row["network_ms_a_plane"] = 1e3 * (time.perf_counter() - begun) / times
                    if ON_GPU:
                        row["kernels"] = kernels(lambda: predictor.planes.run(given))
                begun = time.perf_counter()
                for _ in range(times):
                    predictor.planes.plane(plane)
                row["there_and_back_ms_a_plane"] = 1e3 * (time.perf_counter() - begun) / times
                row["network_tflops"] = operations / row["network_ms_a_plane"] / 1e9
                SPENT.clear()
                timed(predictor.planes, "plane", "network, there and back")
                timed(predictor, "predict_plane", "network and grey levels")
                target = FOLDER / "out.ome.zarr"
                shutil.rmtree(target, ignore_errors=True)
                begun = time.perf_counter()
                predict_volume(predictor, volume, target)
                row["seconds"] = time.perf_counter() - begun
                row["voxels_per_s"] = float(np.prod(SHAPE)) / row["seconds"]
                row["spent_s"] = dict(SPENT)
                for part, value in SPENT.items():
                    row[f"share: {part}"] = value / row["seconds"]
                row["share: GPU computes, at most"] = SHAPE[0] * row["network_ms_a_plane"] / 1e3 / row["seconds"]
                row["network_tflops_in_the_volume"] = operations * SHAPE[0] / row["seconds"] / 1e12
                if ON_GPU:
                    row["held_mb"] = torch.cuda.max_memory_reserved() / 1e6
            except Exception as error:
                row["error"] = f"{type(error).__name__}: {str(error)[-800:]}"
            found[f"{name}, {label}"] = row
            save("f_volume", found)
            say(name, label, row)
    raise SystemExit(1 if any("error" in one for one in found.values()) else 0)


if __name__ == "__main__":
    main()
