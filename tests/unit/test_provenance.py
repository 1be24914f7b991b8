"""Digests that follow content and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.provenance import digests, raw_digest


def raw(root: Path) -> Path:
    for name, text in (("a/1.tif", "one"), ("a/2.tif", "two"), ("b.tif", "three")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_copies_and_touched_files_have_the_same_digest(tmp_path: Path) -> None:
    folder = raw(tmp_path / "raw")
    before = raw_digest([folder / "a", folder / "b.tif"], tmp_path / "cache")
    for file in folder.rglob("*.tif"):
        os.utime(file, (1, 1))
    assert raw_digest([folder / "a", folder / "b.tif"], tmp_path / "cache") == before
    other = tmp_path / "copy"
    shutil.copytree(folder, other)
    assert raw_digest([other / "a", other / "b.tif"], tmp_path / "cache") == before


@pytest.mark.parametrize("change", ["content", "name", "new", "gone", "order"])
def test_any_change_of_content_changes_the_digest(tmp_path: Path, change: str) -> None:
    folder = raw(tmp_path / "raw")
    paths = [folder / "a", folder / "b.tif"]
    before = raw_digest(paths, tmp_path / "cache")
    if change == "content":
        (folder / "a/1.tif").write_text("ONE")  # of the same length
        os.utime(folder / "a/1.tif", (5, 5))
    elif change == "name":
        (folder / "a/1.tif").rename(folder / "a/0.tif")
    elif change == "new":
        (folder / "a/3.tif").write_text("")
    elif change == "gone":
        (folder / "a/2.tif").unlink()
    else:
        paths.reverse()
    assert raw_digest(paths, tmp_path / "cache") != before


def test_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = raw(tmp_path / "raw")
    before = raw_digest([folder], tmp_path / "cache")
    read: list[str] = []
    original = io.sha256_file
    monkeypatch.setattr(digests.io, "sha256_file", lambda file: (read.append(file.name), original(file))[1])
    assert raw_digest([folder], tmp_path / "cache") == before
    assert read == []
    os.utime(folder / "b.tif", (7, 7))
    assert raw_digest([folder], tmp_path / "cache") == before
    assert read == ["b.tif"]


def test_a_broken_cache_is_made_again(tmp_path: Path) -> None:
    folder = raw(tmp_path / "raw")
    before = raw_digest([folder], tmp_path)
    (tmp_path / ".raw_digests.json").write_text("{broken")
    assert raw_digest([folder], tmp_path) == before


def test_large_files_are_sampled_at_start_middle_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_WHOLE_BYTES", 1000)
    monkeypatch.setattr(digests, "_SAMPLE_BYTES", 100)
    data = bytearray(os.urandom(5000))
    file = tmp_path / "large.tif"

    def digest() -> str:
        file.write_bytes(data)
        return raw_digest([file], tmp_path / os.urandom(4).hex())

    before = digest()
    for place in (0, 2500, 4999):
        data[place] ^= 1
        assert digest() != before
        data[place] ^= 1
    assert digest() == before
    data += b"x"
    assert digest() != before


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tif: there is no such file or folder"):
        raw_digest([tmp_path / "none.tif"], tmp_path)
