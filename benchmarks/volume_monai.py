"""Predict a TXM volume as a user of MONAI would: a sliding window over every slice.

Runs where this package is not installed; needs MONAI, PyTorch, tifffile and zarr. `network.pt` and `model.json` come
from `volume_inputs.py`. The last line on stdout is a JSON object: seconds, peak bytes and versions.
"""

from __future__ import annotations

import json
from pathlib import Path

import monai  # type: ignore[import-not-found]
import numpy as np
import tifffile
import torch
import zarr
from monai.inferers import SlidingWindowInferer  # type: ignore[import-not-found]
from volume_rival import measure, rounded

WINDOW_PX = 256
OVERLAP = 0.25  # of a window
# by 2 threads, 4 took as long in small networks and 10 % longer in resnet_9blocks of width 64; a GPU wants more
WINDOWS_AT_ONCE = {"cpu": 1, "cuda": 8}


def predict(network_file: Path, description_file: Path, source: Path, target: Path, device: torch.device) -> None:
    """Predict the TIFF volume `source` into the zarr array `target`, slice by slice."""
    network = torch.jit.load(network_file, map_location=device).eval()  # type: ignore[no-untyped-call]
    description = json.loads(description_file.read_text())
    txm, sem = description["normalisation"]["txm"], description["normalisation"]["sem"]
    dtype = np.dtype(description["sem_dtype"])
    window = (WINDOW_PX, WINDOW_PX)
    inferer = SlidingWindowInferer(window, overlap=OVERLAP, mode="gaussian", sw_batch_size=WINDOWS_AT_ONCE[device.type])
    with tifffile.TiffFile(source) as tiff, torch.inference_mode():
        shape = (len(tiff.pages), *tiff.pages[0].shape)
        predicted = zarr.create_array(target, overwrite=True, shape=shape, chunks=(1, *shape[1:]), dtype=dtype)
        for z, page in enumerate(tiff.pages):
            image = page.asarray().astype(np.float32)
            unit = (image - txm["low"]) * (2 / (txm["high"] - txm["low"])) - 1
            plane = inferer(torch.from_numpy(unit)[None, None].to(device), network)[0, 0].cpu().numpy()
            grey = (plane + 1) * ((sem["high"] - sem["low"]) / 2) + sem["low"]
            predicted[z] = rounded(grey, dtype)


if __name__ == "__main__":
    measure(predict, (monai, torch, tifffile, zarr, np), __doc__ or "")
