"""Damaged files of every format: each is read or refused, without a crash, a hang or more memory than the bound.

Ten thousand inputs a format with `make test-faults`, a few otherwise; `TXM2SEM_FUZZ` says another number.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import FORMATS
from undisturbed import ALL

INPUTS = int(os.environ.get("TXM2SEM_FUZZ", 10_000 if ALL else 20))
SILENT_S = 600  # a hundred inputs may take as long on a busy machine; a library that never returns takes longer


@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_damaged_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    command = [sys.executable, str(Path(__file__).with_name("fuzzing.py")), name, "0", str(INPUTS), str(tmp_path / "f")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    said = []
    with subprocess.Popen(
        ["timeout", str(SILENT_S * (1 + INPUTS // 100)), *command], stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        said = [json.loads(line) for line in child.stdout if line.startswith("{")]
    last = (tmp_path / "f" / "at").read_text() if (tmp_path / "f" / "at").exists() else "the seeds"
    assert child.returncode == 0, f"{name}: it died with {child.returncode} at {last}"
    failed = [one for one in said if "failed" in one]
    summary = said[-1]
    print(
        f"\nfuzzed {name}: {INPUTS} inputs, {summary['done']}, slowest {summary['slowest_s']} s, "
        f"{summary['grown_mib']} MiB more, {len(failed)} failed"
    )
    assert not failed, f"{name}: {len(failed)} of {INPUTS} failed, the first: {failed[0]}"
    assert sum(summary["done"].values()) == INPUTS
