"""Images of a patch store: the same as safetensors reads, read as needed and no more, refused when they changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_data import make_store

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io import stored_images
from txm2sem_core.io.stored_images import IMAGES, StoredPair


def opened(folder: Path) -> io.PatchStore:
    store = io.read_patch_store(folder)
    assert all(isinstance(pair, StoredPair) for pair in store.pairs.values())
    return store


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_image_is_the_one_that_the_library_reads(tmp_path: Path, dtype: type) -> None:
    make_store(tmp_path, context=1, factor=2, dtype=dtype)
    library, store = load_file(tmp_path / "store.safetensors"), opened(tmp_path)
    assert set(store.pairs) == {name.partition("/")[0] for name in library}
    for name, pair in store.pairs.items():
        for image in IMAGES:
            wanted = library.get(f"{name}/{image}")
            found = getattr(pair, image)
            assert (found is None) == (wanted is None) == (pair.shape(image) is None)
            if found is not None and wanted is not None:
                assert found.dtype == wanted.dtype
                assert found.shape == pair.shape(image)
                np.testing.assert_array_equal(found, wanted)


def test_what_is_not_asked_for_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_store(tmp_path)
    read: list[int] = []
    from_file = np.fromfile
    monkeypatch.setattr(np, "fromfile", lambda *args, **kw: (read.append(kw["offset"]), from_file(*args, **kw))[1])
    store = opened(tmp_path)
    assert store.sem_dtype == np.uint8
    assert store.txm_dtype == np.uint8
    assert store.data_range() == 255
    assert read == []
    name = next(iter(store.pairs))
    store.sem_patch(name, 0, 0), store.sem_patch(name, 8, 8)
    assert len(read) == 1


def test_no_more_than_the_bound_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_store(tmp_path)
    store = opened(tmp_path)
    monkeypatch.setattr(stored_images, "KEPT_BYTES", next(iter(store.pairs.values())).sem.nbytes * 2)
    for _ in range(2):
        for pair in store.pairs.values():
            assert pair.txm.size
            assert pair.sem.size
    kept = next(iter(store.pairs.values()))._file._kept
    assert 0 < sum(image.nbytes for image in kept.values()) <= stored_images.KEPT_BYTES


def test_an_image_that_changed_is_refused_by_name_and_no_other_one(tmp_path: Path) -> None:
    make_store(tmp_path)
    first, *_, last = opened(tmp_path).pairs
    stored = next(iter(opened(tmp_path).pairs.values()))._file.stored[f"{last}/sem"]
    data = bytearray((tmp_path / "store.safetensors").read_bytes())
    data[stored.start + 5] ^= 1
    (tmp_path / "store.safetensors").write_bytes(bytes(data))
    store = opened(tmp_path)
    assert store.pairs[first].sem.size
    assert store.pairs[last].txm.size
    with pytest.raises(InputError, match=rf"store.safetensors: damaged \({last}/sem changed"):
        store.pairs[last].sem.sum()
    with pytest.raises(InputError, match=f"{last}/sem changed"):
        store.in_memory()


@pytest.mark.parametrize("header", [b"", b"{}", b"[]", b'{"000/sem": {}}', b"\xff\xff"])
def test_a_header_that_is_none_is_refused(tmp_path: Path, header: bytes) -> None:
    make_store(tmp_path)
    (tmp_path / "store.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match=r"store\.safetensors"):
        io.read_patch_store(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [10**9, 10**9]},
        {"data_offsets": [0, 10**15]},
        {"data_offsets": [-8, 8]},
        {"dtype": "F8_E4M3"},
        {"shape": [True, 2]},
        {"shape": "ab"},
    ],
)
def test_an_image_that_cannot_lie_there_is_refused_before_memory_is_taken(tmp_path: Path, change: dict) -> None:
    make_store(tmp_path)
    data = (tmp_path / "store.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    described = json.loads(data[8 : 8 + size])
    name = next(key for key in described if key.endswith("/sem"))
    described[name] |= change
    header = json.dumps(described).encode()
    (tmp_path / "store.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    with pytest.raises(InputError, match=r"store\.safetensors: damaged"):
        io.read_patch_store(tmp_path)


def test_a_store_of_version_0_1_is_read_and_held_against_its_one_digest(tmp_path: Path) -> None:
    written = make_store(tmp_path)
    description = io.read_json(tmp_path / "store.json")
    del description["images_sha256"]
    description["sha256"]["store.safetensors"] = io.sha256_file(tmp_path / "store.safetensors")
    io.write_json(tmp_path / "store.json", description)
    for name, pair in opened(tmp_path).pairs.items():
        np.testing.assert_array_equal(pair.sem, written.pairs[name].sem)
    data = bytearray((tmp_path / "store.safetensors").read_bytes())
    data[-3] ^= 1
    (tmp_path / "store.safetensors").write_bytes(bytes(data))
    with pytest.raises(InputError, match="changed since it was written"):
        io.read_patch_store(tmp_path)


def test_what_is_taken_into_memory_is_the_callers_own(tmp_path: Path) -> None:
    make_store(tmp_path)
    store = opened(tmp_path)
    name = next(iter(store.pairs))
    mine = store.in_memory()
    mine.pairs[name].sem[:] = 7
    assert (store.pairs[name].sem != 7).any()
    with pytest.raises(ValueError, match="read-only"):
        store.pairs[name].sem[:] = 7
