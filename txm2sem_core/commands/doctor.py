"""What this machine has, what will be slow and why, and what is missing: one screen before days of computing."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from txm2sem_core.errors import InputError
from txm2sem_core.provenance import commit, versions
from txm2sem_core.provenance.machine import cpu_name

_GIB = 2**30
_PROBE_BYTES = 64 * 2**20
_PROBE_SIDE = {"cpu": 1024, "cuda": 4096}  # of the matrices that precisions are compared by
_PROBES = 5
_WORTH_IT = 1.5  # times as fast
# what a module is needed for: without the first ones nothing runs, the others are extras
NEEDED = {"torch": "networks", "numpy": "numbers", "zarr": "volumes", "tifffile": "images", "safetensors": "weights"}
EXTRAS = {
    "snakemake": "the workflow: pip install snakemake",
    "rocrate": "the workflow's RO-Crate: pip install rocrate",
    "pywt": "register.curtains: pip install pywavelets",
    "tensorboard": "tensorboard: true: pip install tensorboard",
}


@dataclass
class Diagnosis:
    """Facts, what will be slow, what is missing but not needed, and what stops everything."""

    facts: dict[str, Any] = field(default_factory=dict)
    slow: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether the package can work here."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "usable": self.usable}


def diagnose(folder: Path) -> Diagnosis:
    """Look at software, processors, memory, limits, and at the folder where results will be written.

    A file of 64 MiB is written into the folder (or, if it is not there yet, into the nearest one above) and removed.
    """
    found = Diagnosis()
    _software(found)
    _processors(found)
    _memory(found)
    _limits(found)
    _folder(found, folder)
    return found


def _software(found: Diagnosis) -> None:
    found.facts["versions"] = versions()
    found.facts["commit"] = commit() or "not a git checkout"
    found.facts["system"] = f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver()) or 'no glibc'}"
    for name, purpose in NEEDED.items():
        if importlib.util.find_spec(name) is None:
            found.faults.append(f"{name} is not installed, which {purpose} need. Run: make env, or pip install {name}")
    found.missing += [
        f"{name}, for {purpose}" for name, purpose in EXTRAS.items() if importlib.util.find_spec(name) is None
    ]


def _processors(found: Diagnosis) -> None:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found.facts["cpu"] = f"{cpu_name() or 'unknown'}; {usable} of {os.cpu_count()} cores are ours"
    found.facts["load"] = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    if found.facts["load"] and found.facts["load"] > usable:
        found.slow.append(f"other processes keep the cores busy: a load of {found.facts['load']} on {usable} cores")
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    found.facts["torch_threads"] = torch.get_num_threads()
    found.facts["gpus"] = []
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            name = torch.cuda.get_device_name(number)
            found.facts["gpus"].append(f"{name}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free")
    elif torch.backends.mps.is_available():
        found.facts["gpus"].append("Apple GPU (mps)")
    else:
        built = "this PyTorch is a CPU build" if torch.version.cuda is None else "PyTorch finds no GPU or driver"
        found.slow.append(
            f"no GPU ({built}): networks of full width train in days; config/demo.yaml, in minutes, is made for this"
        )
    gain = bfloat16_gain("cuda" if torch.cuda.is_available() else "cpu")
    advice = "predict --precision bfloat16 saves time" if gain > _WORTH_IT else "nothing is gained by --precision"
    found.facts["bfloat16"] = f"multiplied {gain:.1f} times as fast as float32: {advice}"


def bfloat16_gain(device: str) -> float:
    """How many times as fast as of float32 a matrix product of bfloat16 is on a device, `cpu` or `cuda`."""
    import torch

    side = _PROBE_SIDE[device]
    fastest = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones((side, side), dtype=dtype, device=device)
        seconds = []
        for _ in range(_PROBES):
            started = time.perf_counter()
            torch.mm(a, a).sum().item()  # a GPU is waited for
            seconds.append(time.perf_counter() - started)
        fastest[dtype] = min(seconds)
    return fastest[torch.float32] / fastest[torch.bfloat16]


def _memory(found: Diagnosis) -> None:
    values = _meminfo()
    total, free = values.get("MemTotal"), values.get("MemAvailable")
    if total is None or free is None:
        found.facts["memory"] = "not known"
        return
    limit = _cgroup_limit()
    found.facts["memory"] = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free" + (
        f"; this group may use {limit / _GIB:.1f} GiB" if limit else ""
    )
    if min(free, limit or free) < 4 * _GIB:
        found.slow.append("less than 4 GiB of memory are free: large planes are predicted by fewer rows at once")
    if min(free, limit or free) < _GIB:
        found.faults.append("less than 1 GiB of memory is free. End other programs.")


def _limits(found: Diagnosis) -> None:
    shared = Path("/dev/shm")
    if shared.is_dir():
        found.facts["shared_memory"] = f"{shutil.disk_usage(shared).free / _GIB:.1f} GiB free in /dev/shm"
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found.facts["open_files"] = soft
    if soft < 256:
        found.faults.append(f"only {soft} files may be open at once. Run: ulimit -n 1024")


def _folder(found: Diagnosis, folder: Path) -> None:
    existing = folder.absolute()
    while not existing.is_dir() and existing != existing.parent:
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    found.facts["results"] = f"{existing}, {free / _GIB:.1f} GiB free"
    if free < 10 * _GIB:
        found.slow.append(f"{free / _GIB:.1f} GiB are free for results; a predicted volume of 2048^3 takes up to 8")
    if free < 2 * _PROBE_BYTES:
        found.faults.append(f"{existing}: the disk is full. Make space, or set results_dir to another disk.")
        return
    try:
        speed = write_speed(existing)
    except InputError as error:
        found.faults.append(str(error))
        return
    found.facts["write_mib_per_s"] = round(speed)
    if speed < 50:
        found.slow.append(f"the folder of the results takes {speed:.0f} MiB a second: volumes wait for it")


def write_speed(folder: Path, size: int = _PROBE_BYTES) -> float:
    """MiB a second that a file of `size` bytes takes until it is on the disk; the file is removed.

    Raises:
        InputError: the folder cannot be written to.
    """
    probe = folder / f".txm2sem-doctor-{uuid.uuid4().hex[:8]}"
    block = os.urandom(2**20)
    try:
        started = time.perf_counter()
        with probe.open("xb") as stream:
            for _ in range(max(1, size // len(block))):
                stream.write(block)
            stream.flush()
            os.fsync(stream.fileno())
        seconds = time.perf_counter() - started
    except OSError as error:
        raise InputError(f"{folder}: this folder cannot be written to ({error.strerror}). Choose another.") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return size / 2**20 / max(seconds, 1e-6)


def _meminfo() -> dict[str, int]:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest}


def _cgroup_limit() -> int | None:
    """What a container or a batch system allows, in bytes."""
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def screen(found: Diagnosis) -> str:
    """The diagnosis for people."""
    lines = []
    for name, value in found.facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {version}" for key, version in value.items())
        elif isinstance(value, list):
            value = "; ".join(value) or "none"
        lines.append(f"{name.replace('_', ' '):>16}  {value}")
    for title, entries in (("slow", found.slow), ("missing extra", found.missing), ("FAULT", found.faults)):
        lines += [f"{title:>16}  {entry}" for entry in entries]
    lines.append(f"{'':>16}  {'Ready.' if found.usable else 'Not usable until the faults are corrected.'}")
    return "\n".join(lines)
