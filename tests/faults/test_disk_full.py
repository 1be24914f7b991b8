"""A full disk is told in one message and leaves nothing; after space is made the same call goes through."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from txm2sem_core import io
from txm2sem_core.checkpoint import save_training_state
from txm2sem_core.errors import InputError

LARGE = np.random.default_rng(0).integers(0, 256, (1200, 1000)).astype(np.uint8)
WRITERS = {
    "image.tif": lambda path: io.write_tiff(path, LARGE),
    "table.csv": lambda path: io.write_csv(path, pd.DataFrame(LARGE[:, :400])),
    "text.html": lambda path: io.write_text(path, "x" * 1_200_000),
    "state.pt": lambda path: save_training_state(path, {"weights": _tensor()}),
}


def _tensor() -> object:
    import torch

    return torch.from_numpy(LARGE)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_and_leaves_nothing(small_disk: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"no space left .* MiB are free\). Make space there") as told:
        WRITERS[name](small_disk / name)
    assert str(small_disk) in str(told.value)
    assert list(small_disk.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    WRITERS[name](small_disk / name)
    WRITERS[name](tmp_path / name)
    assert (small_disk / name).read_bytes() == (tmp_path / name).read_bytes()
