"""The system's own locks on files: the only place that calls `flock`.

The library `filelock` is not used: it knows no shared locks, empties the file that it locks (which another may have put
there), and takes the lock of a file that was removed meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from enum import Enum, auto
from pathlib import Path

from txm2sem_core.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: no lock is taken, and one process at a time is the user's care
    fcntl = None  # type: ignore[assignment]


class Lock(Enum):
    """The result of asking for a lock."""

    HELD = auto()
    REFUSED = auto()  # another process has it
    UNKNOWN = auto()  # the file system, or the system, has no locks


def lock(descriptor: int, *, shared: bool, wait: bool) -> Lock:
    """Lock an open file for this process, until the descriptor is closed.

    Args:
        descriptor: of `open_lock`.
        shared: with others that ask so, else alone.
        wait: until it is free; else give up at once.
    """
    if fcntl is None:
        return Lock.UNKNOWN
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return Lock.REFUSED
    except OSError:
        return Lock.UNKNOWN
    return Lock.HELD


def open_lock(path: Path) -> int:
    """A descriptor of a file that is locked, made if need be: it is never emptied, and no link is followed.

    Raises:
        InputError: a link, or something that is no file, stands there.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO) or path.is_symlink():
            raise _no_lock(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_lock(path)
    return descriptor


def _no_lock(path: Path) -> InputError:
    return InputError(
        f"{path}: a link or something else that is no file stands where a lock is to be. Look at it, and remove it."
    )
