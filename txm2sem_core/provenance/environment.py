"""The software and the machine that made a result."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from txm2sem_core import __version__

# what decides numbers or formats, as far as it is installed
PACKAGES = (
    *("torch", "numpy", "scipy", "scikit-image", "SimpleITK", "pandas", "safetensors", "tifffile", "imagecodecs"),
    *("zarr", "pydantic", "matplotlib", "xraydb", "snakemake"),
)


def versions(*packages: str) -> dict[str, str]:
    """Installed versions by name: ours, Python's, and those of `packages` (of all that matter, if none is named)."""
    found = {"txm2sem": __version__, "python": platform.python_version()}
    for name in packages or PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def made_with(device: str) -> dict[str, str]:
    """What decides a model's bytes beside its settings: versions, kind of processor, device. The same in every run.

    Args:
        device: what computed, as `cpu` or a GPU's name.
    """
    return {**versions("torch", "numpy", "safetensors"), "machine": platform.machine(), "device": device}


def commit(folder: Path | None = None) -> str | None:
    """The git commit of the source in `folder` (ours if not given), with `+changes` where files differ from it.

    None where it is no checkout: an installed package, or a copy.
    """
    folder = folder or Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # looking must not write
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=True, env=environment
    )
    return done.stdout.strip()


def machine() -> dict[str, str | int | None]:
    """The machine, as far as it matters for times and numbers; no host name."""
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "c_library": " ".join(platform.libc_ver()) or None,
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
    }


def cpu_name() -> str | None:
    """The processor's name, where Linux tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None
