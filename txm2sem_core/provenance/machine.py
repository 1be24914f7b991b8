"""The machine and the checkout that a run was made on: of the record alone, no result depends on it."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


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
