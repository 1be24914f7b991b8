"""What the rivals' scripts of whole volumes share: their arguments, their clock, and grey levels of the SEM's dtype."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from devices import add_device, chosen_device, peak_bytes


def rounded(plane: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Grey levels as whole numbers within the bounds of the dtype."""
    bounds = np.iinfo(dtype)
    return np.clip(np.rint(plane), bounds.min, bounds.max).astype(dtype)


Predict = Callable[[Path, Path, Path, Path, torch.device], None]


def measure(predict: Predict, modules: tuple[ModuleType, ...], about: str) -> None:
    """Call `predict` with network, description, source, target and device, and print what it took."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("network", "description", "input", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    add_device(parser)
    chosen = parser.parse_args()
    device = chosen_device(chosen)
    begun = time.perf_counter()
    predict(chosen.network, chosen.description, chosen.input, chosen.output, device)
    seconds = time.perf_counter() - begun
    versions = {module.__name__: str(module.__version__) for module in modules}
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(device), "versions": versions}))
