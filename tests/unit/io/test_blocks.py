"""Slices from blocks: the same voxels, each block decoded once, within a bound of memory; in each format that gains."""

from __future__ import annotations

import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io import blocks

DATA = np.random.default_rng(0).integers(0, 255, (23, 5, 7), dtype=np.uint8)


class Store:
    """Counts how often each slice is decoded."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def read(self, z0: int, z1: int) -> np.ndarray:
        self.asked.append((z0, z1))
        return DATA[z0:z1]


@given(st.lists(st.tuples(st.integers(0, 22), st.integers(1, 23)), max_size=20), st.integers(1, 30))
def test_any_ranges_give_the_same_voxels(ranges: list[tuple[int, int]], thickness: int) -> None:
    read = blocks.by_blocks(Store().read, len(DATA), thickness, DATA[0].nbytes)
    for z0, length in ranges:
        z1 = min(z0 + length, len(DATA))
        assert np.array_equal(read(z0, z1), DATA[z0:z1])


@pytest.mark.parametrize("context", [0, 1, 3])
def test_each_block_is_decoded_once_with_neighbours_and_without(context: int) -> None:
    store = Store()
    read = blocks.by_blocks(store.read, len(DATA), 8, DATA[0].nbytes)
    for z in range(len(DATA)):
        read(max(z - context, 0), min(z + context + 1, len(DATA)))
    assert store.asked == [(0, 8), (8, 16), (16, 23)]


def test_what_is_given_is_the_callers_own() -> None:
    read = blocks.by_blocks(lambda z0, z1: DATA[z0:z1].copy(), len(DATA), 8, DATA[0].nbytes)
    read(3, 4)[:] = 0
    assert np.array_equal(read(3, 4), DATA[3:4])


def test_blocks_that_memory_must_not_hold_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_BYTES", 2 * 8 * DATA[0].nbytes - 1)
    store = Store()
    blocks.by_blocks(store.read, len(DATA), 8, DATA[0].nbytes)(3, 4)
    assert store.asked == [(3, 4)]


def test_a_damaged_slice_costs_no_other_of_its_block() -> None:
    def read(z0: int, z1: int) -> np.ndarray:
        if z0 <= 5 < z1:
            raise InputError(f"slices {z0} to {z1 - 1} are damaged")
        return DATA[z0:z1]

    by_blocks = blocks.by_blocks(read, len(DATA), 8, DATA[0].nbytes)
    assert np.array_equal(by_blocks(4, 5), DATA[4:5])
    with pytest.raises(InputError, match="slices 5 to 5 are damaged"):
        by_blocks(5, 6)


def test_threads_that_read_at_once_get_the_right_voxels() -> None:
    read = blocks.by_blocks(Store().read, len(DATA), 4, DATA[0].nbytes)
    wrong = []

    def work(seed: int) -> None:
        for z in np.random.default_rng(seed).integers(0, len(DATA), 300):
            if not np.array_equal(read(z, z + 1), DATA[z : z + 1]):
                wrong.append(z)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def volume_files(folder: Path) -> list[Path]:
    io.write_ome_zarr(folder / "a.ome.zarr", iter(DATA), DATA.shape, DATA.dtype, (8, 8, 8))
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("volume", data=DATA, chunks=(8, 5, 7), compression="gzip")
    return [folder / "a.ome.zarr", folder / "a.h5"]


def test_every_format_with_thick_chunks_reads_by_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in volume_files(tmp_path):
        volume = io.open_volume(path)
        assert np.array_equal(np.stack(list(volume.slices())), DATA)
        assert volume._read.__name__ == "read_kept", path


def test_a_kept_block_is_checked_whenever_it_is_given_out_again() -> None:
    sound = True

    def check() -> None:
        if not sound:
            raise InputError("the file has changed")

    def read(z0: int, z1: int) -> np.ndarray:
        check()
        return DATA[z0:z1]

    by_blocks = blocks.by_blocks(read, len(DATA), 8, DATA[0].nbytes, check)
    by_blocks(0, 1)
    sound = False
    with pytest.raises(InputError, match="has changed"):
        by_blocks(1, 2)
