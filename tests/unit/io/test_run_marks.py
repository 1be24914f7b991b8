"""Snakemake's lock is removed where its run is known to have ended, and only there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from txm2sem_core.io import locks
from txm2sem_core.io.locks import hold_run
from txm2sem_core.io.mounts import Mount, mount_of, shares_flock
from txm2sem_core.runtime import flock

RUN = """
import sys, time
from pathlib import Path
from txm2sem_core.io.locks import hold_run
held = hold_run(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    return tmp_path / ".snakemake"


@pytest.fixture
def run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of another process, with Snakemake's lock."""
    with subprocess.Popen([sys.executable, "-c", RUN, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        (folder / "locks/0.input.lock").write_text("a\n")
        yield process
        process.kill()


@pytest.fixture
def flock_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on another machine than that of all other processes, on a file system whose locks hold on one machine."""
    monkeypatch.setattr(flock.fcntl, "flock", lambda *given: None)


def look(folder: Path, works: bool = True) -> bool:
    """Whether the lock is still there after another run has begun."""
    descriptor = hold_run(folder, works=works)
    assert descriptor is not None
    os.close(descriptor)
    return (folder / "locks/0.input.lock").exists()


@pytest.mark.parametrize("works", [True, False])
def test_the_lock_of_a_living_run_stays(folder: Path, run: subprocess.Popen[str], works: bool) -> None:
    assert look(folder, works)


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.usefixtures("flock_of_one_machine")
def test_it_stays_where_everyone_gets_the_systems_lock(folder: Path, run: subprocess.Popen[str], works: bool) -> None:
    assert look(folder, works)


@pytest.mark.parametrize("waited_for", [True, False])
def test_the_lock_of_a_killed_run_goes(folder: Path, run: subprocess.Popen[str], waited_for: bool) -> None:
    run.kill()
    if waited_for:
        run.wait()
    else:  # dead, and its parent has not asked
        os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT)
    assert not look(folder, works=False)
    assert not list(folder.glob("running.*"))


@pytest.mark.parametrize(
    ("mount", "stays"),
    [
        (Mount("ext4", frozenset({"rw"})), False),  # of this machine before it was restarted, or copied with a run
        (Mount("lustre", frozenset({"rw", "flock"})), False),
        (Mount("nfs4", frozenset({"rw", "local_lock=none"})), False),
        (Mount("lustre", frozenset({"rw", "localflock"})), True),
        (Mount("nfs", frozenset({"rw", "local_lock=all"})), True),
        (Mount("gpfs", frozenset({"rw"})), True),
        (Mount("", frozenset()), True),
    ],
)
def test_of_a_run_of_another_machine_the_file_system_decides(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mount: Mount, stays: bool
) -> None:
    monkeypatch.setattr(locks, "mount_of", lambda place: mount)
    (folder / "running.another-machine.1.1").touch()
    (folder / "locks/0.input.lock").write_text("a\n")
    assert look(folder) == stays
    (folder / "locks/0.input.lock").unlink(missing_ok=True)  # as --unlock does
    os.utime(folder / "running.another-machine.1.1", (0, 0)) if stays else None
    look(folder)
    (folder / "locks/0.input.lock").write_text("a\n")
    assert not look(folder)  # an old mark of which no lock was left is none any more


def test_a_mount_is_found_by_its_longest_path(tmp_path: Path) -> None:
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(tmp_path)], capture_output=True, text=True, check=False)
    if kind.returncode or not Path("/proc/self/mountinfo").exists():
        pytest.skip("this system does not tell")
    found = mount_of(tmp_path.resolve())
    assert found.options & {"rw", "ro"}
    assert found.kind.rstrip("0123456789") in kind.stdout.replace("overlayfs", "overlay") or kind.stdout == "UNKNOWN\n"
    assert shares_flock(Mount("tmpfs", frozenset()))
