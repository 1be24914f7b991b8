"""Freed memory stays with the process: seen as page faults, in processes of their own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from txm2sem_core import allocator

# Page faults of asking for 48 MiB, writing it and giving it back, 20 times over.
SCRIPT = """
import ctypes, resource
from txm2sem_core.allocator import keep_freed_memory
kept = keep_freed_memory()
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def once():
    block = c.malloc(48 << 20)
    ctypes.memset(block, 1, 48 << 20)
    c.free(block)
once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    once()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 48 * 256
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library has no such switch")


def page_faults(**variables: str) -> tuple[str, int]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment | variables, capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return kept, int(faults)


@glibc
def test_memory_is_not_fetched_again() -> None:
    assert page_faults()[0] == "True"
    assert page_faults()[1] < PAGES


@glibc
def test_the_users_choice_stands() -> None:
    kept, faults = page_faults(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_MAX_="65536")
    assert kept == "False"
    assert faults > 10 * 48  # of huge pages at least, in every round but the first


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", None)  # would be called otherwise
    assert not allocator.keep_freed_memory()
