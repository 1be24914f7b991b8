"""Digests that follow content and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.provenance import digests, know_files, raw_digest, user_cache, volume_digest


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


def test_what_is_kept_of_many_volumes_is_read_and_written_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the cache folder, which grows with them, is looked through once."""
    user_cache._remove_oldest.cache_clear()
    counted: Counter[str] = Counter()
    for name in ("read_bytes", "write_text", "glob"):
        original = getattr(Path, name)

        def count(path: Path, *arguments: Any, name: str = name, original: Any = original, **options: Any) -> Any:
            counted[name] += path.is_relative_to(tmp_path / "cache")
            return original(path, *arguments, **options)

        monkeypatch.setattr(Path, name, count)
    volumes = [raw(tmp_path / f"{number}") for number in range(20)]
    counted.clear()
    first = [raw_digest([volume]) for volume in volumes]
    assert counted == {"read_bytes": 20, "write_text": 20, "glob": 1}
    counted.clear()
    digests._kept_of.cache_clear()
    assert [raw_digest([volume]) for volume in volumes] == first
    assert counted == {"read_bytes": 20}


def test_what_another_process_keeps_meanwhile_stays() -> None:
    ours, theirs = (user_cache.Kept("files") for _ in range(2))
    assert (ours.get("a"), theirs.get("b")) == (None, None)
    for kept, key in ((ours, "a"), (theirs, "b"), (ours, "c")):
        kept.put(key, key)
        kept.save()
    assert [user_cache.Kept("files").get(key) for key in "abc"] == ["a", "b", "c"]


def content_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_what_was_known_when_files_were_written_is_not_read_again(tmp_path: Path, read: list[str]) -> None:
    """Unless a file has changed since, whatever its time says; the digest is that of files that were read."""
    folder, now = raw(tmp_path / "raw"), time.time_ns() + 10**9
    written = {name: (content_of(folder / name), now) for name in ("a/1.tif", "a/2.tif", "b.tif")}
    know_files(folder, written | {"gone.tif": ("0" * 64, now)})
    found = digest_of(folder)
    assert read == []
    assert found == digest_of(shutil.copytree(folder, tmp_path / "copy"))
    read.clear()
    (folder / "b.tif").write_text("THREE")
    os.utime(folder / "b.tif", (5, 5))
    assert digest_of(folder) != found
    assert read == ["b.tif"]


@pytest.mark.parametrize("doubt", ["changed before it was marked", "young", "no changes kept", "large"])
def test_what_was_known_is_not_believed_in_doubt(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, doubt: str
) -> None:
    folder, now = raw(tmp_path / "raw"), time.time_ns() + 10**9
    digests._is_kept_track_of.cache_clear()
    if doubt == "young":
        monkeypatch.setattr(digests, "_YOUNG_NS", 10**15)
    elif doubt == "no changes kept":
        monkeypatch.setattr(digests, "_KEEPS_CHANGES", set())
    elif doubt == "large":
        monkeypatch.setattr(digests, "_BLOCK", 2)
    elif doubt == "changed before it was marked":
        now = 1
    know_files(folder, dict.fromkeys(("a/1.tif", "a/2.tif", "b.tif"), ("0" * 64, now)))
    found = digest_of(folder)
    assert set(read) == {"1.tif", "2.tif", "b.tif"}
    assert found == digest_of(shutil.copytree(folder, tmp_path / "copy"))
    digests._is_kept_track_of.cache_clear()


def test_changes_that_a_file_system_s_clock_may_not_distinguish_are_not_trusted(
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


def test_a_file_that_changes_while_it_is_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
