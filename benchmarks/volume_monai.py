"""Predict a TXM volume as a user of MONAI would: a sliding window over every slice.

Runs where this package is not installed; needs MONAI, PyTorch, tifffile and zarr. `network.pt` and `model.json` come
from `volume_inputs.py`. The last line on stdout is a JSON object: seconds, peak bytes and versions.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import monai  # type: ignore[import-not-found]
import numpy as np
import tifffile
import torch
import zarr
from monai.inferers import SlidingWindowInferer  # type: ignore[import-not-found]
from process_memory import peak_bytes

WINDOW_PX = 256
OVERLAP = 0.25  # of a window
WINDOWS_AT_ONCE = 1  # by 2 threads, 4 took as long in small networks and 10 % longer in resnet_9blocks of width 64


def predict(network_file: Path, description_file: Path, source: Path, target: Path) -> None:
    """Predict the TIFF volume `source` into the zarr array `target`, slice by slice."""
    network = torch.jit.load(network_file).eval()  # type: ignore[no-untyped-call]
    description = json.loads(description_file.read_text())
    txm, sem = description["normalisation"]["txm"], description["normalisation"]["sem"]
    dtype = np.dtype(description["sem_dtype"])
    bounds = np.iinfo(dtype)
    window = (WINDOW_PX, WINDOW_PX)
    inferer = SlidingWindowInferer(window, overlap=OVERLAP, mode="gaussian", sw_batch_size=WINDOWS_AT_ONCE)
    with tifffile.TiffFile(source) as tiff, torch.inference_mode():
        shape = (len(tiff.pages), *tiff.pages[0].shape)
        predicted = zarr.create_array(target, overwrite=True, shape=shape, chunks=(1, *shape[1:]), dtype=dtype)
        for z, page in enumerate(tiff.pages):
            image = page.asarray().astype(np.float32)
            unit = (image - txm["low"]) * (2 / (txm["high"] - txm["low"])) - 1
            plane = inferer(torch.from_numpy(unit)[None, None], network)[0, 0].numpy()
            grey = (plane + 1) * ((sem["high"] - sem["low"]) / 2) + sem["low"]
            predicted[z] = np.clip(np.rint(grey), bounds.min, bounds.max).astype(dtype)


def main() -> None:
    """Predict what the arguments name, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("network", "description", "input", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    begun = time.perf_counter()
    predict(chosen.network, chosen.description, chosen.input, chosen.output)
    seconds = time.perf_counter() - begun
    modules = (monai, torch, tifffile, zarr, np)
    versions = {module.__name__: str(module.__version__) for module in modules}
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(), "versions": versions}))


if __name__ == "__main__":
    main()
