"""Tell the C library to keep the memory that tensors give back.

A layer's output of some megabytes is asked for and given back at every layer of every step. By default glibc fetches
blocks of that size from the kernel one by one (`mmap`) and returns them at once, and the kernel clears every page of
them anew: up to a third of the processor time of a prediction. Kept, the same pages are used again by the next layer.
"""

from __future__ import annotations

import ctypes
import os
import platform

# Names and numbers of malloc.h; malloc.c reads the variables once, at the start of the process.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_CHOSEN_BY_USER = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
_NEVER = -1  # taken as the largest size there is


def keep_freed_memory() -> bool:
    """Let freed blocks of any size stay with the process, from now on; returns whether that was done.

    Peak memory stays about as it is; what was used at the peak is held until the process ends. Only glibc has the
    switches: elsewhere, and where the user has chosen by glibc's own variables, nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _CHOSEN_BY_USER):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # No block by mmap: its threshold cannot be set above 32 MiB, and a plane's features are larger.
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
