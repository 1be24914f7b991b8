"""Before a prediction each slice of a volume is read once, and what is doubtful is said once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_volumes import make_model

from txm2sem_core.inference import predict_volume, volume_job
from txm2sem_core.inference.streaming import BackgroundWriter
from txm2sem_core.io import Volume, read_json


def test_a_volume_remembers_slices_up_to_a_number_of_bytes() -> None:
    reads: list[tuple[int, int]] = []
    voxels = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4)

    def read(z0: int, z1: int) -> np.ndarray:
        reads.append((z0, z1))
        return voxels[z0:z1]

    volume = Volume((5, 4, 4), voxels.dtype, None, "v", read).remembering(40)
    for z in (0, 1, 2, 0, 1, 2):
        np.testing.assert_array_equal(volume.read(z, z + 1), voxels[z : z + 1])
    assert reads == [(0, 1), (1, 2), (2, 3), (2, 3)]  # two slices of 16 bytes are kept
    np.testing.assert_array_equal(volume.read(0, 3), voxels[:3])
    assert reads[-1] == (0, 3)


def test_no_slice_is_read_twice_before_the_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads: list[tuple[int, int]] = []
    voxels = np.random.default_rng(0).integers(200, 255, (41, 32, 32)).astype(np.uint8)

    def read(z0: int, z1: int) -> np.ndarray:
        reads.append((z0, z1))
        return voxels[z0:z1]

    source = replace(Volume.of_array(voxels, (9.0, 9.0, 9.0)), _read=read)
    before: list[list[tuple[int, int]]] = []
    monkeypatch.setattr(volume_job, "job_digest", lambda *_: before.append(list(reads)) or "0" * 16)
    predict_volume(make_model(tmp_path / "m"), source, tmp_path / "v.ome.zarr", device="cpu")
    (looked_at,) = before
    assert len(looked_at) == len(set(looked_at)) == 5
    assert len(reads) > 5
    lines = [line for line in capsys.readouterr().err.splitlines() if ": warning: " in line]
    assert len(lines) == len(set(lines))


def test_a_prediction_and_a_blank_volume_are_reported_as_no_txm_volume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model(tmp_path / "m")
    voxels = np.random.default_rng(0).integers(0, 255, (3, 32, 32)).astype(np.uint8)
    predict_volume(model, Volume.of_array(voxels), tmp_path / "v.ome.zarr", device="cpu")
    assert "no TXM volume" not in capsys.readouterr().err
    predict_volume(model, tmp_path / "v.ome.zarr", tmp_path / "w.ome.zarr", device="cpu")
    assert "v.ome.zarr is a FIB-SEM volume that TXM2SEM predicted" in capsys.readouterr().err
    predict_volume(model, Volume.of_array(np.full_like(voxels, 9)), tmp_path / "b.ome.zarr", device="cpu")
    assert "all have the one grey level 9" in capsys.readouterr().err
    attributes = read_json(tmp_path / "b.ome.zarr/zarr.json")["attributes"]["txm2sem"]
    assert any("one grey level 9" in text for text in attributes["warnings"])


def test_a_thread_that_cannot_start_is_what_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fails)
    with pytest.raises(RuntimeError, match="can't start new thread"), BackgroundWriter(print) as writer:
        writer.put("a")
