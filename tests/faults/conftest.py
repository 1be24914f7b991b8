"""Faults: what is tried beyond a few cases wants `TXM2SEM_FAULTS=all` (`make test-faults`)."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("unit", "faults"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / folder))
