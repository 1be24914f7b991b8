"""A file or folder appears whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path

from txm2sem_core.errors import InputError, for_user
from txm2sem_core.io.exchange import exchange

_LEFT_OVER = re.compile(r"\.([0-9a-f]{6})-(\d+)-[0-9a-f]{8}\.(?:part|old)\.")


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a path beside `target`; what is written there (a file or a folder) becomes `target` if the block succeeds.

    The suffix is kept, because several libraries choose the format by it. If the block fails, nothing is left behind
    and an earlier `target` stays as it was. What killed processes left in the folder is removed.

    Raises:
        InputError: the folder of `target` cannot be made or written, or its disk or quota is full.
    """
    target = Path(target)
    make_parent(target)
    _clear(target.parent.absolute(), os.getpid())
    temporary = _beside(target, "part")
    try:
        with told(target):
            yield temporary
            put_in_place(temporary, target)
    finally:
        remove(temporary)


@contextmanager
def told(target: Path) -> Iterator[None]:
    """Turn a full disk or missing rights, met while `target` is written, into an `InputError`."""
    try:
        yield
    except Exception as error:
        found = for_user(error, _final(target))
        if found is None or found is error:
            raise
        raise found from error


def _final(path: Path) -> Path:
    """Where what is being written will lie at last, also inside of a folder that is being written."""
    return Path(*(_LEFT_OVER.sub("", part) for part in path.parts))


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
    if not target.is_dir() or target.is_symlink():
        os.replace(source, target)
    elif exchange(source, target):  # os.replace cannot put anything over a folder that holds files
        remove(source)
    else:  # the folder is gone for a moment
        old = _beside(target, "old")
        os.replace(target, old)
        os.replace(source, target)
        remove(old)


def _beside(target: Path, kind: str) -> Path:
    """A new hidden path beside `target`; its name says which process of which machine made it."""
    return target.with_name(f".{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.{kind}.{target.name}")


@cache
def _machine() -> str:
    """A short name of this machine; of this container, where processes are numbered anew."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbering = ""
    return hashlib.sha256(f"{socket.gethostname()} {numbering}".encode()).hexdigest()[:6]


@lru_cache(maxsize=256)  # looked for once a process and folder: one may hold thousands of files
def _clear(folder: Path, _process: int) -> None:
    """Remove what killed processes of this machine left in a folder."""
    with suppress(OSError):  # of a folder that cannot be listed, say
        for path in folder.iterdir():
            found = _LEFT_OVER.match(path.name)
            if found and found[1] == _machine() and not _is_alive(int(found[2])):
                remove(path)


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # where signal 0 does not only ask
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


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
