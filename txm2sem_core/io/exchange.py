"""Exchange of two files or folders in one step, where the system can (Linux: renameat2(2))."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100  # paths are relative to the working directory
_RENAME_EXCHANGE = 2
_UNABLE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)  # kernel, file system, or a container's filter


def exchange(one: Path, other: Path) -> bool:
    """Exchange two paths, so that both exist at every moment.

    Returns:
        Whether it was done; False where the system or the file system has no such call.

    Raises:
        OSError: it has, but one of the two is not there, or lies in a folder that must not be written.
    """
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux, or a C library of before 2018
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))
