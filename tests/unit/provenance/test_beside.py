"""What is kept beside results is found again as long as the files that it was read from are the same."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from txm2sem_core import io
from txm2sem_core.provenance import digests
from txm2sem_core.provenance.beside import keep_beside, read_beside, volumes_key

ARRAYS: dict[str, np.ndarray] = {"a": np.arange(5), "b": np.ones((2, 3), np.float32)}


@pytest.fixture(autouse=True)
def _all_is_old_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_YOUNG_NS", 0)  # or nothing that a test has just written would be believed


def key_of(path: Path, mask: Path | None = None, made_with: object = 1) -> str | None:
    return volumes_key([io.with_mask(io.open_volume(path), mask)], made_with)


def test_arrays_come_back_under_their_key_alone(tmp_path: Path) -> None:
    file = tmp_path / "sample/.kept.npz"
    assert read_beside(file, "k" * 64) is None
    keep_beside(file, "k" * 64, ARRAYS)
    found = read_beside(file, "k" * 64)
    assert found is not None
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
    assert read_beside(file, "l" * 64) is None
    assert read_beside(file, None) is None


def test_without_a_key_or_a_place_nothing_is_kept(tmp_path: Path) -> None:
    keep_beside(tmp_path / "a", None, ARRAYS)
    (tmp_path / "file").touch()
    keep_beside(tmp_path / "file/b", "k" * 64, ARRAYS)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_mask_and_the_settings_are_part_of_the_key(tmp_path: Path) -> None:
    volume, mask = tmp_path / "v.tif", tmp_path / "m.tif"
    for path in (volume, mask):
        io.write_volume_tiff(path, np.ones((3, 8, 8), np.uint8), None)
    keys = {key_of(volume), key_of(volume, mask), key_of(volume, made_with=2)}
    io.write_volume_tiff(mask, np.full((3, 8, 8), 2, np.uint8), None)
    keys.add(key_of(volume, mask))
    assert len(keys) == 4
    assert None not in keys


def test_the_sources_of_a_virtual_hdf5_are_part_of_the_key(tmp_path: Path) -> None:
    """Its voxels are in other files beside it; and another dataset of one file is another volume."""
    with h5py.File(tmp_path / "source.h5", "w") as file:
        for name in "ab":
            file[name] = np.ones((3, 8, 8), np.uint8)
    layout = h5py.VirtualLayout((3, 8, 8), "uint8")
    layout[...] = h5py.VirtualSource("source.h5", "a", (3, 8, 8))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("v", layout)
    virtual = tmp_path / "virtual.h5"
    before = key_of(virtual)
    assert before == key_of(virtual)
    assert before is not None
    assert key_of(Path(f"{tmp_path}/source.h5:/a")) != key_of(Path(f"{tmp_path}/source.h5:/b"))
    stat = (tmp_path / "source.h5").stat()
    with h5py.File(tmp_path / "source.h5", "r+") as file:
        file["a"][0] = 7
    os.utime(tmp_path / "source.h5", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert key_of(virtual) != before
