"""A file or folder appears whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from txm2sem_core.errors import InputError


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a path beside `target`; what is written there (a file or a folder) becomes `target` if the block succeeds.

    The suffix is kept, because several libraries choose the format by it. If the block fails, nothing is left behind
    and an earlier `target` stays as it was.

    Raises:
        InputError: the folder of `target` cannot be made or written.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target.parent}: this folder cannot be made ({error.strerror}). Choose another.") from error
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target.parent}: this folder cannot be written to. Choose another or change its rights.")
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.part.{target.name}")
    try:
        yield temporary
        _replace(temporary, target)
    finally:
        _remove(temporary)


@contextmanager
def exclusive(folder: str | Path, name: str) -> Iterator[None]:
    """Work on `folder` alone: wait, and say so, while another process does.

    That is most often what a killed run has left at work. The lock is the system's and ends with the process that holds
    it; its empty file, `.NAME.lock` beside the folder, stays. Where the file system has no such locks, there is none.

    Args:
        folder: need not exist.
        name: what the message calls the work.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"{name}: another process is at work in {folder}; waiting until it ends.", file=sys.stderr, flush=True
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass
        yield


def _replace(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():  # os.replace cannot put anything over a folder that holds files
        old = target.with_name(f".{uuid.uuid4().hex[:8]}.old.{target.name}")
        os.replace(target, old)
        os.replace(source, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
