"""Freed memory is kept, unless the user has chosen otherwise; in processes of their own, as it cannot be undone."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from txm2sem_core.runtime.allocator import empty_unpooled

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep its memory")
PAGES = 64 * 2**20 // 4096
SCRIPT = """
import resource, torch
from txm2sem_core.runtime.allocator import give_back_freed_memory, keep_freed_memory
from txm2sem_core.runtime.device import choose_device

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(16 * 2**20)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

choose_device("cpu")
faults(30)  # until the places that are left between aligned blocks are found again
kept, most = faults(10), resident()
give_back_freed_memory()
print(kept, most - resident())
"""


def run(**variables: str) -> tuple[int, int]:
    """Page faults of ten blocks of 64 MiB, one after another, and pages that were given back at last."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=os.environ | variables
    )
    faults, given_back = map(int, done.stdout.split())
    return faults, given_back


def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    faults, given_back = run()
    assert faults < PAGES
    assert given_back > PAGES / 2


def test_the_users_own_choice_stands() -> None:
    faults, _ = run(MALLOC_MMAP_THRESHOLD_="1000000")
    assert faults > 5 * PAGES


def test_an_array_apart_is_given_back_with_its_last_view() -> None:
    array = empty_unpooled((3, 16, 2**20), np.dtype(np.uint16))  # 96 MiB
    array[...] = 7
    view, full = array[1], resident()
    assert view.sum() == 7 * view.size
    del array
    assert resident() > full - PAGES / 4
    del view
    assert resident() < full - PAGES


def test_too_large_an_array_apart_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="of shape"):
        empty_unpooled((2**50,), np.dtype(np.uint8))


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1])
