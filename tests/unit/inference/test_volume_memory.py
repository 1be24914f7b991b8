"""Peak memory of the command does not grow with the number of slices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_volumes import SIZE_NM, make_model

from txm2sem_core import io

# VmHWM begins with the program; `ru_maxrss` would begin with the peak of the process that started it
PEAK = (
    "import sys; sys.argv[0] = 'txm2sem'; from txm2sem_core.cli import app; app(standalone_mode=False);"
    "print('peak', next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
)


def peak_kib(model: Path, folder: Path, slices: int) -> int:
    """Peak resident set of a prediction."""
    plane = np.random.default_rng(0).integers(0, 256, (448, 448)).astype(np.uint8)
    io.write_volume_tiff(folder / f"{slices}.tif", (np.roll(plane, z, 1) for z in range(slices)), SIZE_NM)
    options = ["--model", model, "--input", folder / f"{slices}.tif", "--output", folder / f"{slices}.ome.zarr"]
    command = [sys.executable, "-c", PEAK, "predict", *map(str, options), "--device", "cpu", "--threads", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return int(result.stdout.split("peak")[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read as on Linux")
def test_four_times_the_slices_take_no_more_memory(tmp_path: Path) -> None:
    """256 slices are 49 MiB, and as many of output, a quarter of what torch takes: a held volume would show."""
    model = make_model(tmp_path / "model", "linearfilt")
    few, many = (peak_kib(model, tmp_path, slices) for slices in (64, 256))
    assert few < 800 * 1024  # it is the command's own
    assert many < 1.1 * few
    print(f"64 slices: {few} KiB, 256 slices: {many} KiB")
