"""Digests that follow content and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.provenance import digests, raw_digest, volume_digest


def raw(root: Path) -> Path:
    for name, text in (("a/1.tif", "one"), ("a/2.tif", "two"), ("b.tif", "three")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_YOUNG_NS", 0)  # or nothing that a test has just written would be believed
    digests._kept_of.cache_clear()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read from now on."""
    names: list[str] = []
    original = digests._read_block
    monkeypatch.setattr(digests, "_read_block", lambda block: (names.append(block[1].name), original(block))[1])
    return names


def digest_of(*paths: Path) -> str:
    """As a new process finds it."""
    digests._kept_of.cache_clear()
    return raw_digest(paths)


def test_copies_and_touched_files_have_the_same_digest(tmp_path: Path) -> None:
    folder = raw(tmp_path / "raw")
    before = digest_of(folder / "a", folder / "b.tif")
    for file in folder.rglob("*.tif"):
        os.utime(file, (1, 1))
    assert digest_of(folder / "a", folder / "b.tif") == before
    other = tmp_path / "copy"
    shutil.copytree(folder, other)
    assert digest_of(other / "a", other / "b.tif") == before
    (tmp_path / "link").symlink_to(other)
    assert digest_of(tmp_path / "link/a", tmp_path / "link/b.tif") == before


CHANGES = ["content", "content of the same time", "name", "new", "gone", "order", "exchanged", "another of its time"]


@pytest.mark.parametrize("change", [*CHANGES, "moved into a folder"])
def test_any_change_of_content_changes_the_digest(tmp_path: Path, change: str) -> None:
    """Also where all files have one size and one time, as those of an archive."""
    folder = raw(tmp_path / "raw")
    (folder / "a/1.tif").write_text("uno")
    paths = [folder / "a", folder / "b.tif"]
    for file in folder.rglob("*.tif"):
        os.utime(file, (5, 5))
    before = digest_of(*paths)
    if change.startswith("content"):
        (folder / "a/1.tif").write_text("UNO")  # of the same length
        os.utime(folder / "a/1.tif", (5, 5) if "same time" in change else (6, 6))
    elif change == "name":
        (folder / "a/1.tif").rename(folder / "a/0.tif")
    elif change == "new":
        (folder / "a/3.tif").write_text("")
    elif change == "gone":
        (folder / "a/2.tif").unlink()
    elif change == "order":
        paths.reverse()
    elif change == "exchanged":
        (folder / "a/1.tif").rename(folder / "a/x.tif")
        (folder / "a/2.tif").rename(folder / "a/1.tif")
        (folder / "a/x.tif").rename(folder / "a/2.tif")
    elif change == "another of its time":
        shutil.copy2(folder / "a/2.tif", folder / "a/1.tif")
    else:
        (folder / "a/c").mkdir()
        (folder / "a/2.tif").rename(folder / "a/c/2.tif")
    assert digest_of(*paths) != before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.binary(max_size=300), st.integers(0, 299), st.integers(1, 255))
def test_every_byte_counts(tmp_path: Path, data: bytes, place: int, change: int) -> None:
    """In blocks of 64 bytes, so that a file has several; the time of the last write is the old one each time."""
    file = tmp_path / "volume.raw"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "_BLOCK", 64)
        file.write_bytes(data)
        os.utime(file, (5, 5))
        before = digest_of(file)
        changed = bytearray(data)
        if place < len(data):
            changed[place] ^= change
        else:
            changed += bytes([change])
        file.write_bytes(changed)
        os.utime(file, (5, 5))
        assert digest_of(file) != before
        file.write_bytes(data)
        assert digest_of(file) == before


def test_files_are_read_once(tmp_path: Path, read: list[str]) -> None:
    folder = raw(tmp_path / "raw")
    before = digest_of(folder)
    assert sorted(read) == ["1.tif", "2.tif", "b.tif"]
    read.clear()
    assert digest_of(folder) == before
    assert read == []
    os.utime(folder / "b.tif", (7, 7))
    assert digest_of(folder) == before
    assert read == ["b.tif"]


def test_what_is_kept_is_written_once_for_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (tmp_path / f"{number}.tif").write_text(str(number))
    saved: list[str] = []
    original = digests.Kept.save
    monkeypatch.setattr(digests.Kept, "save", lambda kept: (saved.append(kept._name), original(kept))[1])
    digest_of(*sorted(tmp_path.glob("*.tif")))
    assert len(saved) == 1


def test_changes_that_a_file_system_s_clock_may_not_tell_apart_are_not_believed(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = raw(tmp_path / "raw")
    monkeypatch.setattr(digests, "_YOUNG_NS", 10**15)
    assert digest_of(folder) == digest_of(folder)
    assert len(read) == 6


def test_a_file_system_that_keeps_no_changes_is_not_believed(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = raw(tmp_path / "raw")
    monkeypatch.setattr(digests, "_KEEPS_CHANGES", set())
    digests._is_kept_track_of.cache_clear()
    assert digest_of(folder) == digest_of(folder)
    digests._is_kept_track_of.cache_clear()
    assert len(read) == (6 if Path("/proc/self/mountinfo").exists() else 3)


def test_received_results_bring_no_digest_along(tmp_path: Path, read: list[str]) -> None:
    """Files that lie in results, or came with them, say nothing; nor does what is kept of the place that they had."""
    folder = raw(tmp_path / "results")
    before = digest_of(folder)
    for kept in (tmp_path / "cache/txm2sem").iterdir():
        shutil.copy(kept, folder.parent / kept.name)
        (tmp_path / ".raw_digests.json").write_text("{}")
    shutil.copytree(folder, tmp_path / "received")
    read.clear()
    assert digest_of(tmp_path / "received") == before
    assert len(read) == 3


@pytest.mark.parametrize("text", ["{broken", "[]", '{"b.tif": 5, "a/1.tif": [1]}'])
def test_a_broken_cache_is_made_again(tmp_path: Path, text: str) -> None:
    folder = raw(tmp_path / "raw")
    before = digest_of(folder)
    for kept in (tmp_path / "cache/txm2sem").iterdir():
        kept.write_text(text)
    assert digest_of(folder) == before
    assert digest_of(folder) == before


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = raw(tmp_path / "raw")
    original = digests._read_block

    def grows(block: tuple[int, Path, int, int]) -> bytes:
        with block[1].open("ab") as stream:
            stream.write(b"more")
        return original(block)

    monkeypatch.setattr(digests, "_read_block", grows)
    with pytest.raises(InputError, match=r"this file changes while it is read\. Wait"):
        digest_of(folder)


def test_long_readings_say_how_far_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(digests, "_SAY_EVERY_S", 0)
    monkeypatch.setattr(digests, "_BLOCK", 2**20)
    (tmp_path / "large.raw").write_bytes(bytes(3 * 2**20))
    digest_of(tmp_path / "large.raw")
    assert capsys.readouterr().err.count("GiB read") == 3


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tif: there is no such file or folder"):
        digest_of(tmp_path / "none.tif")


def test_volumes_of_another_content_have_another_digest(tmp_path: Path) -> None:
    """Of one size and time, and equal in the slice of the middle; a copy elsewhere has the same."""
    voxels = np.random.default_rng(0).integers(0, 256, (9, 8, 8)).astype(np.uint8)
    found = []
    for name, change in (("a", 0), ("b", 1), ("c", 0)):
        other = voxels.copy()
        other[1, 2, 3] ^= change
        (tmp_path / name).mkdir()
        for z, plane in enumerate(other):
            io.write_tiff(tmp_path / name / f"{z}.tif", plane)
            os.utime(tmp_path / name / f"{z}.tif", (5, 5))
        with io.open_volume(tmp_path / name) as volume:
            found.append(volume_digest(volume))
    assert found[0] != found[1]
    assert found[0] == found[2]
    in_memory = [volume_digest(io.Volume.of_array(array)) for array in (voxels, voxels + np.uint8(1))]
    assert in_memory[0] != in_memory[1]
