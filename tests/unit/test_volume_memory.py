"""Peak memory of the command does not grow with the number of slices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from small_volumes import SIZE_NM, make_model

from txm2sem_core import io

PEAK = (
    "import resource, sys; sys.argv[0] = 'txm2sem'; from txm2sem_core.cli import app;"
    "app(standalone_mode=False); print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)


def peak(model: Path, folder: Path, slices: int) -> int:
    """Peak resident set of a prediction, in the kernel's units."""
    plane = np.random.default_rng(0).integers(0, 256, (448, 448)).astype(np.uint8)
    io.write_volume_tiff(folder / f"{slices}.tif", (np.roll(plane, z, 1) for z in range(slices)), SIZE_NM)
    options = ["--model", model, "--input", folder / f"{slices}.tif", "--output", folder / f"{slices}.ome.zarr"]
    command = [sys.executable, "-c", PEAK, "predict", *map(str, options), "--device", "cpu", "--threads", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return int(result.stdout.split("peak")[1])


def test_four_times_the_slices_take_no_more_memory(tmp_path: Path) -> None:
    """256 slices are 49 MiB, and as many of output, a quarter of what torch takes: a held volume would show."""
    model = make_model(tmp_path / "model", "linearfilt")
    few, many = (peak(model, tmp_path, slices) for slices in (64, 256))
    assert many < 1.1 * few
