"""A lock that a process of another machine holds is kept, also where the file system's locks hold on one alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from txm2sem_core.errors import InputError
from txm2sem_core.io import lock_marks, locks
from txm2sem_core.io.locks import exclusive, folder_lock
from txm2sem_core.runtime import flock

# a process of a machine whose name is given, that holds a lock until it is told to end
HOLDER = """
import sys
from pathlib import Path
from txm2sem_core.io import lock_marks, locks
from txm2sem_core.runtime import flock
if sys.argv[2]:
    lock_marks.boot = lambda: sys.argv[2]
    flock.fcntl.flock = lambda *given: None
holding = {
    "exclusive": lambda: locks.exclusive(sys.argv[1], "train"),
    "shared": lambda: locks.folder_lock(Path(sys.argv[1]), shared=True),
    "alone": lambda: locks.folder_lock(Path(sys.argv[1]), shared=False),
}[sys.argv[3]]
with holding():
    print("held", flush=True)
    sys.stdin.read()
"""


class Holder:
    """That process."""

    def __init__(self, place: Path, machine: str, how: str) -> None:
        arguments = [sys.executable, "-c", HOLDER, str(place), machine, how]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self) -> None:
        self.process.communicate("")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def one_machine_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system whose locks hold on one machine alone, and where no other process is of this machine."""
    monkeypatch.setattr(flock.fcntl, "flock", lambda *given: None)
    monkeypatch.setattr(lock_marks, "shares_flock", lambda mount: False)
    monkeypatch.setattr(locks, "_LOOK_AGAIN_S", 0.02)


@pytest.fixture(params=["node2", ""])
def machine(request: pytest.FixtureRequest) -> str:
    """Of the other process: another one, or this one."""
    return str(request.param)


def marks(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if file.name.startswith(".lock.")]


@pytest.mark.usefixtures("one_machine_each")
def test_a_second_training_waits_for_one_on_another_machine_and_leaves_its_lock(
    tmp_path: Path, machine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Holder(tmp_path / "m", machine, "exclusive")
    got = threading.Event()

    def second() -> None:
        with exclusive(tmp_path / "m", "train"):
            got.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not got.wait(0.4)
    assert (tmp_path / ".m.lock").exists()
    assert len(marks(tmp_path)) >= 1
    first.end()
    assert got.wait(10)
    thread.join()
    assert list(tmp_path.iterdir()) == []
    said = capsys.readouterr().err
    assert "another process is at work in" in said
    assert "remove this file" in said


@pytest.mark.usefixtures("one_machine_each")
def test_what_a_killed_process_of_another_machine_left_holds_nobody_for_ever(tmp_path: Path) -> None:
    first = Holder(tmp_path / "m", "node2", "exclusive")
    first.kill()
    (mark,) = marks(tmp_path)
    path = tmp_path / mark
    old = path.stat().st_mtime - lock_marks.SILENT_S - 60
    os.utime(path, (old, old))
    with exclusive(tmp_path / "m", "train"):
        assert not path.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shares", [True, False])
def test_what_a_killed_process_of_this_machine_left_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shares: bool
) -> None:
    monkeypatch.setattr(lock_marks, "shares_flock", lambda mount: shares)
    first = Holder(tmp_path / "m", "", "exclusive")
    first.kill()
    assert marks(tmp_path)
    with exclusive(tmp_path / "m", "train"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_where_locks_hold_for_all_machines_a_killed_ones_mark_is_over_at_once(tmp_path: Path) -> None:
    Holder(tmp_path / "m", "node2", "exclusive").kill()
    with exclusive(tmp_path / "m", "train"):
        assert [name for name in marks(tmp_path) if "node2" in name] == []


@pytest.mark.usefixtures("one_machine_each")
@pytest.mark.parametrize(("theirs", "shared", "got"), [("shared", True, True), ("shared", False, False)])
def test_units_of_a_living_job_of_another_machine_are_not_taken(
    tmp_path: Path, machine: str, theirs: str, shared: bool, got: bool
) -> None:
    other = Holder(tmp_path / "units", machine, theirs)
    with folder_lock(tmp_path / "units", shared=shared, wait=False) as held:
        assert held is got
    other.end()
    with folder_lock(tmp_path / "units", shared=False, wait=False) as held:
        assert held


@pytest.mark.usefixtures("one_machine_each")
def test_a_job_that_writes_waits_for_none_but_who_is_alone(tmp_path: Path, machine: str) -> None:
    other = Holder(tmp_path / "units", machine, "alone")
    with folder_lock(tmp_path / "units", shared=True, wait=False) as held:
        assert not held
    other.end()


@pytest.mark.usefixtures("one_machine_each")
def test_a_living_process_touches_its_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_marks, "BEAT_S", 0.02)
    with exclusive(tmp_path / "m", "train"):
        (mark,) = marks(tmp_path)
        os.utime(tmp_path / mark, (1, 1))
        for _ in range(500):
            if (tmp_path / mark).stat().st_mtime > 1:
                break
            threading.Event().wait(0.01)
        assert (tmp_path / mark).stat().st_mtime > 1


def test_who_comes_while_a_lock_is_given_back_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file is removed and made again by another thread, at the moment when the first one's work has ended."""
    came: list[bool] = []
    unlink = Path.unlink

    def come() -> None:
        with exclusive(tmp_path / "model", "another"):
            came.append(True)

    def watched(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path.name == ".model.lock" and not came:
            newcomer = threading.Thread(target=come)
            newcomer.start()
            newcomer.join(timeout=20)

    monkeypatch.setattr(Path, "unlink", watched)
    with exclusive(tmp_path / "model", "train"):
        pass
    assert came
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_removes_at_that_moment_is_nobody_elses_file(tmp_path: Path) -> None:
    """The lock comes and goes while others look at it."""

    def work(_: int) -> None:
        for _ in range(40):
            with exclusive(tmp_path / "kept.npz", "work"):
                pass

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [None] * 6


@pytest.mark.parametrize("kind", ["link", "folder", "full"])
def test_what_cannot_be_a_lock_of_ours_is_named_and_stays(tmp_path: Path, kind: str) -> None:
    file = tmp_path / ".kept.npz.lock"
    if kind == "link":
        file.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        file.mkdir()
    else:
        file.write_text("mine")
    with pytest.raises(InputError, match="Move it elsewhere"), exclusive(tmp_path / "kept.npz", "work"):
        pass
    assert file.is_symlink() or file.exists()
