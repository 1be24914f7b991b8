"""A file or folder appears whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
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
        InputError: the folder of `target` cannot be made or written, or its disk or quota is full.
    """
    target = Path(target)
    make_parent(target)
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.part.{target.name}")
    try:
        yield temporary
        put_in_place(temporary, target)
    except OSError as error:
        unnumbered = error.errno is None and "requested and" in str(error)  # numpy's `tofile` gives no errno
        if not unnumbered and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(target.parent).free / 2**20
        raise InputError(
            f"{target}: cannot be written, {target.parent} has no space left "
            f"({error.strerror or error}; {free:.1f} MiB are free). Make space there, and run the same again."
        ) from error
    finally:
        remove(temporary)


def make_parent(target: Path) -> None:
    """Make the folder that `target` is to lie in.

    Raises:
        InputError: it cannot be made or written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target.parent}: this folder cannot be made ({error.strerror}). Choose another.") from error
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target.parent}: this folder cannot be written to. Choose another or change its rights.")


def put_in_place(source: Path, target: Path) -> None:
    """Let the file or folder `source` become `target`, in place of what stands there."""
    if target.is_dir() and not target.is_symlink():  # os.replace cannot put anything over a folder that holds files
        old = target.with_name(f".{uuid.uuid4().hex[:8]}.old.{target.name}")
        os.replace(target, old)
        os.replace(source, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(source, target)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file or folder on the disk before going on, so that not even a power cut takes it away."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # folders on Windows
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
