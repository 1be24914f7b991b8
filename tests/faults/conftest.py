"""Faults: what is tried beyond a few cases wants `TXM2SEM_FAULTS=all` (`make test-faults`)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from undisturbed import Mount, Undisturbed, fingerprint, make_workflow, start


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The whole pipeline, run once and left alone."""
    folder = make_workflow(tmp_path_factory.mktemp("reference") / "w")
    begun = time.monotonic()
    assert start(folder).wait() == 0, (folder / "output.txt").read_text()
    size = sum(file.stat().st_size for file in (folder / "results").rglob("*") if file.is_file())
    return Undisturbed(time.monotonic() - begun, fingerprint(folder / "results"), size)


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Put a file system of a size, as `64k`, at a folder; give it another size where it has one already."""
    mounted: list[Path] = []

    def call(folder: Path, size: str) -> None:
        if os.name != "posix" or os.geteuid() != 0:
            pytest.skip("a small file system can only be mounted by root")
        again = folder in mounted
        folder.mkdir(parents=True, exist_ok=True)
        options = f"remount,size={size}" if again else f"size={size}"
        command = ["mount", *([] if again else ["-t", "tmpfs"]), "-o", options, *([] if again else ["tmpfs"])]
        done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode and not again:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        if not again:
            mounted.append(folder)

    yield call
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
