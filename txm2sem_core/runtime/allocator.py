"""Let the C library keep the memory that a network frees and asks for again at every layer."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# of <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_KEEP_ALL = 2**31 - 1
_USERS_OWN = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_ARENA_MAX",
    "LD_PRELOAD",
    "GLIBC_TUNABLES",
)


def keep_freed_memory() -> None:
    """Keep freed memory in this process instead of giving it back to the system each time.

    glibc maps each large block separately and returns it to the system when it is freed. The kernel then clears every
    page of it before its first use, which took up to a third of the time of a network on a CPU. Where the C library is
    another one, or the user has chosen how memory is allocated, nothing is changed.
    """
    library = _glibc()
    if library is not None and not any(name in os.environ for name in _USERS_OWN):
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, _KEEP_ALL)
        library.mallopt(_M_ARENA_MAX, 1)  # what a thread that reads or writes has freed serves the network, too


def give_back_freed_memory() -> None:
    """Return kept memory to the system, for other allocations such as those of new threads."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def empty_unpooled(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array in its own memory mapping, which is returned to the system with it: for long-lived data.

    Among the blocks that a network frees and asks for again, it would fragment the kept memory.

    Raises:
        MemoryError: there is not so much.
    """
    import numpy as np  # here, not above: `txm2sem --help` needs none

    if _glibc() is None:
        return np.empty(shape, dtype)
    size = math.prod(shape) * dtype.itemsize
    try:
        memory = mmap.mmap(-1, max(size, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"{size} bytes for an array of shape {shape}") from error
    return np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)


def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - the same functions of other libraries do other things
    except (AttributeError, OSError, TypeError):  # TypeError: Windows
        return None
    return library
