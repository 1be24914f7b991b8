"""A reader that never stops sees whole results only, while the stages write and replace them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from reader import Reader
from small_data import tiny
from small_stages import cut, make_pairs, register
from small_volumes import digests, make_model, make_source
from undisturbed import ALL

from txm2sem_core import io
from txm2sem_core.inference import predict_volume
from txm2sem_core.io import atomic
from txm2sem_core.io.exchange import exchange
from txm2sem_core.measure.evaluate import evaluate_files
from txm2sem_core.training import train_model

ROUNDS, REPLACED = (20, 5_000) if ALL else (2, 500)
PARTS = ("one", "two", "three")


@contextmanager
def reading(folder: Path, stop: Path) -> Iterator[dict[str, Any]]:
    """Another process reads `folder` until the block ends; what it saw is in the dictionary then."""
    seen: dict[str, Any] = {}
    command = [sys.executable, str(Path(__file__).with_name("reader.py")), str(folder), str(stop)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            yield seen
        finally:
            stop.touch()
            output = process.communicate()[0]
        assert process.returncode == 0
        seen.update(json.loads(output))


def make(raw: Path, source: Path, model: Path, results: Path) -> None:
    """All stages; each replaces what it left before."""
    register(raw, results / "registered")
    cut(results / "registered", results / "patches")
    train_model(results / "patches", tiny("baseline", generator={"name": "pointwise"}), 0, results / "model")
    for name in ("v.ome.zarr", "v.tif"):
        predict_volume(model, source, results / name, device="cpu")
    evaluate_files(source, results / "v.tif", None, None, results / "metrics.json")


def test_nothing_half_done_is_ever_seen(tmp_path: Path) -> None:
    results = tmp_path / "results"
    kinds = []
    for seed in (0, 1):
        begin = tmp_path / f"begin{seed}"
        make_pairs(begin / "raw", seed)
        model = make_model(begin / "model", "resnet_2blocks", width=4 + seed)
        kinds.append((begin / "raw", make_source(begin / "txm.tif", (20, 40, 44)), model))
    written: dict[str, set[str]] = defaultdict(set)

    def write(kind: int) -> None:
        make(*kinds[kind], results)
        for name, digest in digests(results).items():
            written[name].add(digest)

    write(0)
    with reading(results, tmp_path / "stop") as seen:
        for number in range(ROUNDS):
            write((number + 1) % 2)
    assert seen["faults"] == []
    hidden = {name for name in written if any(part.startswith(".") for part in name.split("/"))}
    assert {Path(name).name for name in hidden} == {io.MANIFEST}
    # of the files of a stage that writes several, those in between were not taken down: only whole rounds were
    strange = {name: sorted(set(found) - written[name]) for name, found in seen["files"].items()}
    assert {name: found for name, found in strange.items() if found} == {}
    assert seen["files"].keys() == written.keys() - hidden
    assert set(seen["opened"]) == {"*.json", "*.csv", "pairs/*.tif", "v.tif", "v.ome.zarr", "patches", "model"}
    assert sum(len(found) > 1 for found in seen["files"].values()) > 10, "it saw both kinds"
    print(f"\n{ROUNDS} rounds written, {seen['rounds']} read; refused while replaced: {seen['replaced']}")


def test_the_reader_sees_what_is_half_done(tmp_path: Path) -> None:
    """It could find a fault."""
    io.write_json(tmp_path / "whole.json", {"a": 1})
    reader = Reader(tmp_path)
    reader.read_all()
    assert reader.faults == []
    assert reader.opened == {"*.json": 1}
    (tmp_path / "half.json").write_text('{"a": ')
    reader.read_all()
    assert [fault[:22] for fault in reader.faults] == ["half.json: InputError:"]
    (tmp_path / "half.json").unlink()
    reader.read_all()
    assert reader.faults[1:] == ["half.json: gone"]


def write_folder(folder: Path, version: int) -> None:
    with atomic.atomic_path(folder) as temporary:
        temporary.mkdir()
        for part in PARTS:
            (temporary / part).write_text(str(version))


def look(folder: Path, stop: threading.Event, seen: list[int], faults: list[str]) -> None:
    """Read the parts of a folder until told to stop; all are always there, and none is older than one read before."""
    while not stop.is_set():
        for part in PARTS:
            try:
                seen.append(int((folder / part).read_text()))
            except (OSError, ValueError) as error:
                faults.append(repr(error))


def replace_many_times(folder: Path, times: int) -> tuple[list[int], list[str]]:
    """What a reader sees of a folder that is replaced again and again."""
    write_folder(folder, 0)
    stop, seen, faults = threading.Event(), [], []
    thread = threading.Thread(target=look, args=(folder, stop, seen, faults))
    thread.start()
    for version in range(1, times + 1):
        write_folder(folder, version)
    stop.set()
    thread.join()
    return seen, faults


def test_a_folder_is_replaced_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this system or file system cannot exchange folders")
    seen, faults = replace_many_times(tmp_path / "folder", REPLACED)
    assert faults == []
    assert seen == sorted(seen), "a part is older than one that was read before it"
    assert len(set(seen)) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "folder"]


def test_without_an_exchange_a_folder_is_gone_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the exchange is for, and that the reader above would see it."""
    replace = os.replace

    def slowly(source: Path, target: Path) -> None:
        time.sleep(0.01)
        replace(source, target)

    monkeypatch.setattr(atomic, "exchange", lambda *_: False)
    monkeypatch.setattr(os, "replace", slowly)
    seen, faults = replace_many_times(tmp_path / "folder", 20)
    assert seen == sorted(seen)
    assert any("FileNotFoundError" in fault for fault in faults)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_exchange(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "deep").mkdir(parents=True)
    other.write_text("file")
    if not exchange(one, other):
        pytest.skip("this system or file system cannot exchange folders")
    assert one.read_text() == "file"
    assert (other / "deep").is_dir()
    with pytest.raises(FileNotFoundError, match="none"):
        exchange(one, tmp_path / "none")
    assert one.read_text() == "file"


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from txm2sem_core import io
with io.atomic_path(Path({str(tmp_path)!r}) / "old") as temporary:
    temporary.mkdir()
    (temporary / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    [left] = tmp_path.iterdir()
    assert left.name.endswith(".part.old")
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own, machine = left.name.split("-")[1], left.name[1:7]
    kept = [
        tmp_path / left.name.replace(f"-{own}-", f"-{living.pid}-"),
        tmp_path / left.name.replace(machine, "ffffff" if machine != "ffffff" else "000000"),  # of another machine
        tmp_path / ".a-hidden.part.file",
    ]
    for path in kept:
        path.touch()
    io.write_text(tmp_path / "new.txt", "")
    living.communicate(b"\n")
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "new.txt"])
