"""Locks of folders between processes, also of several machines on one file system where it has locks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no lock is taken, and one process at a time is the user's care
    fcntl = None  # type: ignore[assignment]

_NAME = "lock"


@contextmanager
def folder_lock(folder: Path, *, shared: bool, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a folder, which is made if need be; yields whether it was got.

    The folder may be removed by who holds its lock alone; who waited then makes it anew. A killed process leaves no
    lock behind. Where the file system has no locks, all get it.

    Args:
        folder: what is locked.
        shared: with others that ask so, else alone.
        wait: until it is free; or give up at once.
    """
    descriptor = _acquire(folder, shared, wait)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)  # which frees it


@contextmanager
def exclusive(folder: str | Path, name: str) -> Iterator[None]:
    """Work on `folder` alone: wait, and say so, while another process does; most often one that a killed run has left.

    The lock's empty file, `.NAME.lock` beside the folder, stays, so that the folder itself can be replaced.

    Args:
        folder: need not exist.
        name: what the message calls the work.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.parent / f".{folder.name}.{_NAME}", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _flock(descriptor, shared=False, wait=False):
            text = f"{name}: another process is at work in {folder}; waiting until it ends."
            print(text, file=sys.stderr, flush=True)
            _flock(descriptor, shared=False, wait=True)
        yield
    finally:
        os.close(descriptor)


def _acquire(folder: Path, shared: bool, wait: bool) -> int | None:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # removed in between
            continue
        if not _flock(descriptor, shared, wait):
            os.close(descriptor)
            return None
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(folder / _NAME)):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # that of a folder that is gone


def _flock(descriptor: int, shared: bool, wait: bool) -> bool:
    if fcntl is None:
        return True
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system
        return True
    return True
