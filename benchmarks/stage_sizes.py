"""Time of a stage without a network on inputs of one size, or of a multiple of it.

Does the cost grow linearly?

    python benchmarks/stage_sizes.py --stage extract_patches --times 8 --folder FOLDER

`extract_patches` cuts registered pairs, `measure_patches` scores test patches, `measure_volume` compares a volume with
the truth. Eight times the work is eight times the pixels, patches or voxels. The last line on stdout is a JSON object:
seconds (the median of three after one to warm up, without imports) and voxels.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import shale_images
from process_memory import peak_bytes

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings, PatchesSettings
from txm2sem_core.measure.patches import measure_patches
from txm2sem_core.measure.volumes import measure_volume
from txm2sem_core.patches.extract import extract_patches
from txm2sem_core.runtime.allocator import keep_freed_memory

PATCH_PX = 128
PAIRS, TEST_PATCHES = 8, 32  # of one time
SHAPE = (32, 256, 256)  # of one time; eight times are twice as long along every axis
THRESHOLDS = (60.0, 110.0, 160.0)  # as a user gives them, so that nothing is fitted
Stage = tuple[Callable[[], object], int]


def patches(folder: Path, times: int) -> Stage:
    """Cutting, and the voxels of the pairs."""
    rows = []
    for number in range(PAIRS * times):
        txm, sem = shale_images.pair(number)
        files = {kind: f"{kind}{number}.tif" for kind in ("txm", "sem", "mask")}
        for kind, image in (("txm", txm), ("sem", sem), ("mask", np.full_like(sem, 255))):
            io.write_tiff(folder / files[kind], image)
        rows.append({"pair": f"{number:04d}", "z": number, "split": np.nan, **files})
    io.write_csv(folder / "index.csv", pd.DataFrame(rows))
    settings = PatchesSettings(size_px=PATCH_PX, train=1000 * times)
    voxels = len(rows) * shale_images.SIDE_PX**2
    return lambda: extract_patches(folder, None, settings, shale_images.VOXEL_SIZE_NM, folder / "made"), voxels


def patch_measures(folder: Path, times: int) -> Stage:
    """Scores of test patches, and their pixels."""
    count = TEST_PATCHES * times
    store = folder / "store"
    shale_images.write_store(store, PATCH_PX, 1, count, split="test")
    read = io.read_patch_store(store)
    noise = np.random.default_rng(0)
    planes = (
        read.sem_patch(row.pair, row.y, row.x) + noise.normal(0, 5, (PATCH_PX, PATCH_PX)).astype(np.float32)
        for row in read.of_split("test").itertuples()
    )
    predicted = folder / "patches.tif"
    io.write_volume_tiff(predicted, planes, shale_images.VOXEL_SIZE_NM)
    outputs = [folder / name for name in ("patches.csv", "spectra.csv", "resolution.csv")]
    return lambda: measure_patches(predicted, store, MeasureSettings(), *outputs), count * PATCH_PX**2


def volume_measures(folder: Path, times: int) -> Stage:
    """Figures of a volume against the truth, and its voxels."""
    edge = round(times ** (1 / 3))
    depth, height, width = (n * edge for n in SHAPE)
    store = folder / "store"
    shale_images.write_store(store, PATCH_PX, 1, 8)
    rng = np.random.default_rng(0)
    grains = np.repeat(np.repeat(rng.integers(30, 220, (depth, height // 8, width // 8)), 8, 1), 8, 2)
    for name, noise in (("truth", 4), ("predicted", 8)):
        planes = (np.clip(plane + rng.normal(0, noise, plane.shape), 1, 255).astype(np.uint8) for plane in grains)
        io.write_volume_tiff(folder / f"{name}.tif", planes, shale_images.VOXEL_SIZE_NM)
    settings = MeasureSettings(thresholds=THRESHOLDS)
    given = folder / "predicted.tif", folder / "truth.tif", store, settings
    return lambda: measure_volume(*given, folder / "volume.json", folder / "spectra.csv"), grains.size


STAGES = {"extract_patches": patches, "measure_patches": patch_measures, "measure_volume": volume_measures}


def main() -> None:
    """Time what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--times", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()  # as the workflow's scripts do
    run, voxels = STAGES[chosen.stage](chosen.folder, chosen.times)
    run()
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"seconds": statistics.median(seconds), "voxels": voxels, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
