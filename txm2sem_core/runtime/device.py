"""Which device computes, and that no two processes compute on the same GPU of a machine that has several.

A process takes a lease on a GPU: a lock on a file that is the GPU's own. The kernel gives it back when the process
ends, however it ends, so that there is nothing to clean up after a crash.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch

from txm2sem_core.errors import ConfigError
from txm2sem_core.runtime.allocator import keep_freed_memory
from txm2sem_core.runtime.flock import Lock, lock, open_lock

_LOOK_AGAIN_S = 1.0
_MOST_FOLDERS = 100
_leases: dict[int, int] = {}  # open file descriptors of the leases of this process, by the GPU's number


def choose_device(device: str) -> torch.device:
    """Turn `auto` into the GPU where there is one, then Apple's, then the CPU, and say so on stderr.

    Of several visible GPUs, `auto` and `cuda` take one that no other process has taken, and wait where there is none;
    a process keeps its GPU until it ends. `cuda:1` is the second visible one, taken or not. On the CPU the process
    keeps the memory that it frees from now on (`allocator`).

    Raises:
        ConfigError: the named device does not exist.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
        if device == "cpu":
            print("No GPU found: computing on the CPU.", file=sys.stderr)
    numbered = re.fullmatch(r"cuda:(\d+)", device)
    count = torch.cuda.device_count() if available["cuda"] else 0
    if not (available.get(device) or (numbered and int(numbered[1]) < count)):
        there = [name for name, is_there in available.items() if is_there]
        there += [f"cuda:{number}" for number in range(count) if count > 1]
        raise ConfigError(f"device: {device!r} is not there. Choose auto or one of {', '.join(there)}.")
    if device == "cpu":
        keep_freed_memory()
    if count < 2 or not (numbered or device == "cuda"):
        return torch.device(device)
    number = _take(int(numbered[1])) if numbered else _take_a_free_one(count)
    torch.cuda.set_device(number)  # torch uses this GPU too where a call names none
    return torch.device("cuda", number)


def _take(number: int) -> int:
    """The named GPU; where another process has it, they share it."""
    if number not in _leases and not _lease(number):
        print(f"GPU {number} is taken ({_holder(number)}) and was asked for by name: sharing it.", file=sys.stderr)
    return number


def _take_a_free_one(count: int) -> int:
    """The GPU that this process has, or the first one that nobody has."""
    if _leases:
        return next(iter(_leases))
    waiting = False
    while True:
        for number in range(count):
            if _lease(number):
                return number
        if not waiting:
            holders = ", ".join(_holder(number) for number in range(count))
            print(f"All {count} GPUs are taken ({holders}): waiting for one.", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(_LOOK_AGAIN_S)


def _lease(number: int) -> bool:
    """Lock the GPU's file for as long as this process lives, unless another process has."""
    descriptor = open_lock(_lock_file(number))  # not inherited by programs that this process starts
    if lock(descriptor, shared=False, wait=False) is Lock.REFUSED:
        os.close(descriptor)
        return False
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    _leases[number] = descriptor
    return True


def _holder(number: int) -> str:
    """Who has a GPU, for messages; a process writes its number just after it has locked the file."""
    with _lock_file(number).open("rb") as file:
        found = re.match(rb"\d+", file.read(20))
    return f"process {found[0].decode() if found else 'just starting'}"


def _lock_file(number: int) -> Path:
    """The file of a GPU, named by the device itself: under CUDA_VISIBLE_DEVICES its number says nothing."""
    return _lock_folder() / f"{torch.cuda.get_device_properties(number).uuid}.lock"


def _lock_folder() -> Path:
    """A folder of this user on this machine, that nobody else can write to.

    Where another user has put a folder of this name into /tmp, the next name is taken: every process of this user comes
    to the same one. Nobody can exchange a folder of ours there, since /tmp lets only owners rename.

    Raises:
        ConfigError: a hundred names are taken.
    """
    # TMPDIR is not used: snakemake and schedulers give each job its own, and the jobs would not see each other
    shared = Path("/tmp")
    parent = shared if shared.is_dir() else Path(tempfile.gettempdir())
    name = f"txm2sem-gpus-{os.getuid()}"
    for folder in (parent / (name if number == 0 else f"{name}-{number}") for number in range(_MOST_FOLDERS)):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            if found.st_mode & 0o077:  # opened since
                folder.chmod(0o700)
            return folder
    raise ConfigError(f"{parent / name}: others own all names for the folder of the GPU locks. Remove them.")


def device_name(device: torch.device) -> str:
    """A GPU's own name, else `cpu` or `mps`: what a model records."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
