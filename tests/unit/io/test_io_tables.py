"""Tables, JSON, YAML and the patch store: what comes back, and what is reported of broken files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_data import make_store

from txm2sem_core import io
from txm2sem_core.errors import InputError


def test_equal_values_give_equal_json(tmp_path: Path) -> None:
    io.write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None, "µ"]})
    io.write_json(tmp_path / "b.json", {"a": [1.5, None, "µ"], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert io.read_json(tmp_path / "a.json") == {"b": 1, "a": [1.5, None, "µ"]}


def test_json_does_not_take_nan_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        io.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_pair_names_stay_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"pair": ["000", "007"], "z": [0, np.nan]})
    io.write_csv(tmp_path / "a.csv", table)
    back = io.read_csv(tmp_path / "a.csv")
    assert list(back["pair"]) == ["000", "007"]
    pd.testing.assert_frame_equal(back, table, check_dtype=False)


def test_text_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffkey: µ".encode())
    assert io.read_yaml(tmp_path / "a.txt") == {"key": "µ"}


@pytest.mark.parametrize(
    ("content", "reader", "words"),
    [
        (None, "read_json", "no such file"),
        (b"{", "read_json", "not JSON .line 1"),
        (b"a: [", "read_yaml", "not YAML"),
        (b"a: !!python/object/apply:os.system [ls]", "read_yaml", "not YAML"),
        (b"\xff\xfe\x00", "read_text", "not UTF-8"),
        (None, "read_csv", "no such file"),
        (b"", "read_csv", "not a CSV table"),
        (b"a,b\n1,2\n1,2,3\n", "read_csv", "not a CSV table"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes | None, reader: str, words: str) -> None:
    path = tmp_path / "broken.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        getattr(io, reader)(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value).strip()


def test_sha256_is_that_of_hashlib(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes" * 10_000)
    assert io.sha256_file(tmp_path / "a") == hashlib.sha256(b"bytes" * 10_000).hexdigest()


# --- the patch store


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_store_comes_back(tmp_path: Path, dtype: type) -> None:
    written = make_store(tmp_path / "one", context=1, factor=2, dtype=dtype)
    io.write_patch_store(tmp_path / "two", written)
    back = io.read_patch_store(tmp_path / "two")
    assert back.digest == written.digest
    pd.testing.assert_frame_equal(back.index, written.index)
    for name, images in written.pairs.items():
        for kind in ("txm", "sem", "mask"):
            one, other = getattr(images, kind), getattr(back.pairs[name], kind)
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert back.sem_dtype == dtype
    assert (back.txm_range, back.sem_range) == (written.txm_range, written.sem_range)


def test_patches_are_windows_of_their_pair(tmp_path: Path) -> None:
    store = make_store(tmp_path, context=1, factor=2)
    row = store.of_split("train").iloc[3]
    pair, y, x = row["pair"], int(row["y"]), int(row["x"])
    np.testing.assert_array_equal(store.sem_patch(pair, y, x), store.pairs[pair].sem[y : y + 32, x : x + 32])
    coarse = store.pairs[pair].txm[:, y // 2 : y // 2 + 16, x // 2 : x // 2 + 16]
    np.testing.assert_array_equal(store.txm_patch(pair, y, x, 1), coarse)
    np.testing.assert_array_equal(store.txm_patch(pair, y, x, 0), coarse[1:2])
    assert store.mask_patch(pair, 0, 0)[:6, :6].sum() == 0


def test_the_digest_follows_the_index_as_well_as_the_images(tmp_path: Path) -> None:
    few, more = (make_store(tmp_path / str(count), train=count) for count in (4, 5))
    assert (tmp_path / "4/store.safetensors").read_bytes() == (tmp_path / "5/store.safetensors").read_bytes()
    assert few.digest != more.digest


def test_the_data_range(tmp_path: Path) -> None:
    eight, sixteen = (make_store(tmp_path / d.__name__, dtype=d) for d in (np.uint8, np.uint16))
    assert eight.data_range() == 255
    assert sixteen.data_range() == sixteen.sem_range.high - sixteen.sem_range.low
    assert sixteen.data_range(1000.0) == 1000


@pytest.mark.parametrize("name", ["index.csv", "store.safetensors", "store.json"])
def test_a_store_with_a_changed_or_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    make_store(tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-7])
    with pytest.raises(InputError, match=name):
        io.read_patch_store(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=name):
        io.read_patch_store(tmp_path)
