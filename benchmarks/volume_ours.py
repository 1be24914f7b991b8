"""Predict a TXM volume as a user's command does, `txm2sem predict` from TIFF to OME-Zarr.

The last line on stdout is a JSON object: seconds without imports, as the rivals' scripts count them, and peak bytes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import torch
from devices import add_compute, add_device, chosen_compute, chosen_device, peak_bytes

from txm2sem_core import cli, inference, io  # noqa: F401 - imported before the clock starts


def main() -> None:
    """Predict what the arguments name, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "input", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    add_compute(parser)
    add_device(parser)
    chosen = parser.parse_args()
    device = chosen_device(chosen)
    shutil.rmtree(chosen.output, ignore_errors=True)
    sys.argv = ["txm2sem", "predict", "--model", str(chosen.model), "--input", str(chosen.input)]
    sys.argv += ["--output", str(chosen.output), "--device", chosen.device, "--threads", str(chosen.threads)]
    sys.argv += ["--settings", json.dumps({"compute": chosen_compute(chosen)})]
    begun = time.perf_counter()
    cli.app(standalone_mode=False)
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(device), "versions": {"torch": torch.__version__}}))


if __name__ == "__main__":
    main()
