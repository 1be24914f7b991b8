"""How much memory a plane may take: what is set, else by what is free; and that it is kept to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import small_volumes
import torch
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core.errors import ConfigError
from txm2sem_core.inference import memory_budget
from txm2sem_core.inference.memory_budget import FEWEST_ROWS, MOST_BYTES, rows_at_once
from txm2sem_core.io import guards

CPU = torch.device("cpu")
GIB = 2**30

# a plane of 1024 x 1024 in a process of its own; what it took beyond a small one, in MiB
PEAK = """
import json, sys
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
from small_volumes import make_model
from pathlib import Path
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.inference import Predictor

torch.set_num_threads(1)
model = load_model(make_model(Path(sys.argv[2]) / "m", name=sys.argv[3], width=32, norm=sys.argv[4]))
predictor = Predictor(model, PredictSettings(), "cpu")
plane = np.random.default_rng(0).uniform(-1, 1, (1, 1024, 1024)).astype(np.float32)
predictor.planes.plane(plane[:, :256, :256])
Path("/proc/self/clear_refs").write_text("5")
lines = {key: int(rest.split()[0]) for key, _, rest in (line.partition(":") for line in open("/proc/self/status"))
         if key in ("VmRSS", "VmHWM")}
made = predictor.planes.plane(plane)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps((peak - lines["VmRSS"]) / 1024))
"""


@pytest.mark.parametrize(
    ("free_gib", "capped", "without_bound"), [(64, 2, 32), (5, 2, 2), (3.9, 1, 1), (1.5, 0.5, 0.5), (0, 1 / 16, 1 / 16)]
)
def test_of_what_is_free(free_gib: float, capped: float, without_bound: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory_budget.SETTING, raising=False)
    monkeypatch.setattr(memory_budget, "available_memory", lambda: int(free_gib * GIB))
    assert memory_budget.memory_budget(CPU, without_bound=False) == capped * GIB
    assert memory_budget.memory_budget(CPU, without_bound=True) == without_bound * GIB


def test_what_is_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "available_memory", lambda: 0)
    monkeypatch.setenv(memory_budget.SETTING, "6.5")
    assert memory_budget.memory_budget(CPU, without_bound=False) == 6.5 * GIB
    monkeypatch.setenv(memory_budget.SETTING, "0.0")
    assert memory_budget.memory_budget(CPU, without_bound=False) == GIB / 16
    for wrong in ("much", "-1", "inf", "nan"):
        monkeypatch.setenv(memory_budget.SETTING, wrong)
        with pytest.raises(ConfigError, match="TXM2SEM_MEMORY_GIB"):
            memory_budget.memory_budget(CPU, without_bound=False)


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([320, 1280, 5120]))
def test_rows_fit_into_the_budget(height: int, width: int, size: int) -> None:
    rows = rows_at_once(height, width, size, MOST_BYTES)
    assert 1 <= rows <= height
    assert rows == height or rows * width * size <= MOST_BYTES // 2 or rows <= FEWEST_ROWS
    assert (rows == height) == (height * width * size <= MOST_BYTES) or height <= FEWEST_ROWS


def test_the_bounds_of_all_groups_above_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch system bounds the group of the job, of which the process is in one below."""
    for folder, bound in ((tmp_path, "max"), (tmp_path / "job", str(3 * 2**20)), (tmp_path / "job/step", "max")):
        folder.mkdir(exist_ok=True)
        (folder / "memory.max").write_text(f"{bound}\n")
        (folder / "memory.current").write_text(f"{2**20}\n")
    monkeypatch.setattr(guards, "_control_groups", lambda: [tmp_path / "job/step", tmp_path / "job", tmp_path])
    assert guards.available_memory() == 2 * 2**20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is read as on Linux")
@pytest.mark.parametrize(
    ("name", "norm"), [("sr_resnet_1blocks", "batch"), ("unet_128", "batch"), ("unet_64", "instance")]
)
def test_a_plane_keeps_to_it(name: str, norm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole plane takes 97 to 150 MiB and more, by the kernels that suit the processor.

    Each process has its own C library, whose gaps count as well.
    """
    peaks = {}
    for mebibytes in (4096, 128):
        monkeypatch.setenv(memory_budget.SETTING, str(mebibytes / 1024))
        command = [
            sys.executable,
            "-c",
            PEAK,
            str(Path(small_volumes.__file__).parent),
            str(tmp_path / str(mebibytes)),
            name,
            norm,
        ]
        (tmp_path / str(mebibytes)).mkdir()
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        peaks[mebibytes] = float(json.loads(run.stdout))
    print(peaks)
    assert peaks[128] < 1.25 * 128
    assert peaks[128] < 0.9 * peaks[4096]
