"""Locks of folders between processes, also of several machines on one file system where it has locks."""

from __future__ import annotations

import atexit
import os
import random
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from txm2sem_core.errors import InputError, printable
from txm2sem_core.io.atomic import explain_write_errors, make_parent, named
from txm2sem_core.io.lock_marks import SILENT_S, Mark, boot, started
from txm2sem_core.io.mounts import mount_of, shares_flock
from txm2sem_core.runtime.flock import Lock, lock, open_lock

_NAME = "lock"
_A_DAY_S = 86_400.0
_LOOK_AGAIN_S = 2.0


@contextmanager
def folder_lock(folder: Path, *, shared: bool, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a folder, which is made if need be; yields whether it was got.

    Only the process that holds the lock may remove the folder; one that waited makes it again. A killed process leaves
    no lock. Where the file system's locks hold on one machine alone, marks show the processes of other machines
    (see `lock_marks`). Where it has no locks, all processes get the lock.

    Args:
        folder: what is locked.
        shared: with others that ask so, else alone.
        wait: until it is free; or give up at once.
    """
    held = _acquire(folder, shared, wait)
    try:
        yield held is not None
    finally:
        if held is not None:
            held.release()


@contextmanager
def exclusive(folder: str | Path, name: str) -> Iterator[None]:
    """Work on `folder` exclusively: wait, and say so, while another process does, usually one left by a killed run.

    The lock is a file beside the folder, `.NAME.lock`, so that the folder itself can be replaced. It is removed at the
    end; a file that a killed process leaves behind is no longer locked.

    Args:
        folder: need not exist.
        name: what the message calls the work.

    Raises:
        InputError: the folder cannot lie there: rights are missing, or the disk is full.
    """
    folder = named(Path(folder))
    make_parent(folder)
    file = folder.parent / f".{folder.name}.{_NAME}"
    if not _can_be_ours(file):
        raise InputError(f"{file}: this stands where the lock of {folder} is to be. Move it elsewhere.")
    with explain_write_errors(folder):
        held = _lock_file(file, shared=False, wait=False)
    if held is None:
        text = printable(f"{name}: another process is at work in {folder}; waiting until it ends.")
        print(text, file=sys.stderr, flush=True)
        held = _lock_file(file, shared=False, wait=True)
    try:
        yield
    finally:
        if held is not None:
            held.release(remove=file)


def _can_be_ours(file: Path) -> bool:
    """Whether a lock of ours, an empty file, or nothing stands there; looked at once, since others remove theirs."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(status.st_mode) and not status.st_size


@dataclass(frozen=True)
class _Held:
    """A lock that this process has, and its mark."""

    descriptor: int
    mark: Mark

    def release(self, remove: Path | None = None) -> None:
        """Give it back, and remove its file if that is asked for."""
        self.mark.remove()  # first: who makes the file again must not meet the mark of one that has ended
        if remove is not None:
            remove.unlink(missing_ok=True)  # while it is held, so that nobody gets a lock on a file that is gone
        os.close(self.descriptor)  # which frees it


def _acquire(folder: Path, shared: bool, wait: bool) -> _Held | None:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return _lock_file(folder / _NAME, shared, wait)
        except FileNotFoundError:  # the folder was removed in between
            continue


def _lock_file(path: Path, shared: bool, wait: bool) -> _Held | None:
    """A lock on the file at `path`, made if need be; None if another process has it and `wait` is off."""
    said: list[Path] = []
    while True:
        descriptor = _lock_here(path, shared, wait)
        if descriptor is None:
            return None
        try:
            mark = Mark.of(path, shared)
        except BaseException:
            os.close(descriptor)
            raise
        rivals = mark.rivals()
        if not rivals:
            mark.keep()
            return _Held(descriptor, mark)
        _Held(descriptor, mark).release()  # another process of this machine may come first, and files be removed
        if not wait:
            return None
        if rivals[:1] != said:
            said = rivals[:1]
            _say_rival(rivals[0])
        time.sleep(_LOOK_AGAIN_S * random.uniform(0.5, 1.5))  # not in step with who waits likewise


def _say_rival(mark: Path) -> None:
    text = printable(
        f"{mark}: this process, perhaps of another machine, is at work here or was killed; waiting until it ends, or "
        f"has been silent for {SILENT_S / 60:.0f} minutes. If you know that it has ended, remove this file."
    )
    print(text, file=sys.stderr, flush=True)


def _lock_here(path: Path, shared: bool, wait: bool) -> int | None:
    """A descriptor that locks the file at `path` on this machine, or None."""
    while True:
        descriptor = open_lock(path)
        if lock(descriptor, shared=shared, wait=wait) is Lock.REFUSED:
            os.close(descriptor)
            return None
        try:
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # that of a file that is gone


def hold_run(folder: Path, *, works: bool = True) -> int | None:
    """Mark a run in Snakemake's `folder` as alive, and remove the lock of one that was killed if no run is alive.

    Snakemake's lock is a file that a killed run leaves behind. Two things show whether a run is alive: the system's own
    lock, which ends with the process, and a file whose name holds the machine and the process. Where the system's locks
    hold on one machine alone, they show nothing of another machine's runs. Where neither shows it, Snakemake's lock
    stays until the user gives --unlock. It also stays where the folder is a link (the result is None then): nothing
    that a link leads to is opened for writing, emptied or removed.

    Args:
        folder: `.snakemake`.
        works: whether this run will write, and so lock; not where it only plans.
    """
    locks = folder / "locks"
    if folder.is_symlink():
        return None
    folder.mkdir(exist_ok=True)
    own = folder / f"running.{boot()}.{os.getpid()}.{started(os.getpid())}"
    if works:
        with suppress(FileExistsError):  # as a module that is read twice
            os.close(os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            atexit.register(own.unlink, missing_ok=True)
    left = [] if locks.is_symlink() else list(locks.glob("*.lock"))

    def remove_left() -> None:
        others = [file for file in folder.glob("running.*") if file.name != own.name]
        if all(_is_over(file, bool(left)) for file in others):
            for file in (*left, *others):
                file.unlink(missing_ok=True)

    return hold_mark(folder / "running", remove_left)


def _is_over(mark: Path, locked: bool) -> bool:
    """Whether the run of a mark is known to have ended, though no system's lock holds it on this machine.

    Args:
        mark: `running.BOOT.PROCESS.START`.
        locked: whether there are locks of Snakemake that could be its.
    """
    _, machine, process, start = [*mark.name.split("."), "", "", ""][:4]
    if machine == boot():
        return not process.isdecimal() or started(int(process)) != start
    if shares_flock(mount_of(mark.parent.resolve())):
        return True
    with suppress(OSError):
        return not locked and time.time() - mark.stat().st_mtime > _A_DAY_S  # locks come within a day
    return True


def hold_mark(path: Path, when_alone: Callable[[], object]) -> int:
    """Hold the lock of a file, shared with others, until this process ends; call `when_alone` if nobody else does.

    On a file system without locks `when_alone` is not called, since nobody can know.

    Raises:
        InputError: a link, or something that is no file, stands there.
    """
    descriptor = open_lock(path)
    if lock(descriptor, shared=False, wait=False) is Lock.HELD:
        when_alone()
    lock(descriptor, shared=True, wait=True)
    return descriptor
