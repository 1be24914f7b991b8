"""What the parts of the kit share: device, scale, time that is left, and where results go."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

DEVICE = torch.device(os.environ.get("DEVICE", "cuda"))
TINY = os.environ.get("SCALE", "full") == "tiny"
ON_GPU = DEVICE.type == "cuda"
WORK = Path(os.environ.get("WORK", Path(tempfile.gettempdir(), "gpu_kit_work")))
OUT = Path(os.environ.get("OUT", WORK))
KIT = Path(__file__).resolve().parent
ROOT = Path.cwd()
ENDS = float(os.environ.get("PART_ENDS", time.time() + 3600))


def left() -> float:
    """Seconds until this part is ended from outside."""
    return ENDS - time.time()


def save(name: str, found: Any) -> None:
    """Leave a part's results, as far as they are known; the table and results.json are made of them."""
    place = WORK / "json" / f"{name}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_suffix(".tmp")
    temporary.write_text(json.dumps(found, indent=1, default=str))
    temporary.replace(place)


def finish() -> None:
    """Wait for the GPU."""
    if ON_GPU:
        torch.cuda.synchronize()


def with_benchmarks() -> None:
    """Make the project's benchmark scripts importable."""
    sys.path.insert(0, str(ROOT / "benchmarks"))


def say(*words: object) -> None:
    """To the log at once."""
    print(*words, flush=True)
