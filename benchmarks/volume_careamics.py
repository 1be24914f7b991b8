"""Predict a TXM volume as a user of CAREamics would: its tiled prediction, with a network of one's own.

Runs where this package is not installed; needs CAREamics, PyTorch, tifffile and zarr. `network.pt` and `model.json`
come from `volume_inputs.py`. The last line on stdout is a JSON object: seconds, peak bytes and versions.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import zarr
from torchvision_stub import declare_operators
from volume_rival import measure, rounded

OPERATORS = declare_operators()  # before CAREamics, which imports torchvision

import careamics  # type: ignore[import-not-found]  # noqa: E402
import lightning  # type: ignore[import-not-found]  # noqa: E402
import tifffile  # noqa: E402
from careamics.config import create_advanced_care_config  # type: ignore[import-not-found]  # noqa: E402
from careamics.lightning.data import CareamicsDataModule  # type: ignore[import-not-found]  # noqa: E402
from careamics.lightning.modules import CAREModule  # type: ignore[import-not-found]  # noqa: E402
from careamics.lightning.prediction import convert_prediction  # type: ignore[import-not-found]  # noqa: E402

TILE_PX = 256
OVERLAP_PX = 48
# by 2 threads, 4 took as long in small networks and 10 % longer in resnet_9blocks of width 64; a GPU wants more
TILES_AT_ONCE = {"cpu": 1, "cuda": 8}
WORKERS = 0  # with 2 threads on 2 cores one, the default there, made a small volume 0.4 s slower


def predict(network_file: Path, description_file: Path, source: Path, target: Path, device: torch.device) -> None:
    """Predict the TIFF volume `source` into the zarr array `target`.

    These are the steps of `CAREamist.predict`, which itself takes no network without a checkpoint of its own training:
    all tiles of all slices are predicted, then stitched.
    """
    description = json.loads(description_file.read_text())
    txm, sem = description["normalisation"]["txm"], description["normalisation"]["sem"]
    middles = [(span["low"] + span["high"]) / 2 for span in (txm, sem)]
    halves = [(span["high"] - span["low"]) / 2 for span in (txm, sem)]
    tile = (TILE_PX, TILE_PX)
    config = create_advanced_care_config(
        experiment_name="volume",
        data_type="tiff",
        axes="SYX",
        patch_size=tile,
        batch_size=TILES_AT_ONCE[device.type],
        num_workers=WORKERS,
        normalization="mean_std",  # by which [low, high] becomes [-1, 1]
        normalization_params={
            "input_means": [middles[0]],
            "input_stds": [halves[0]],
            "target_means": [middles[1]],
            "target_stds": [halves[1]],
        },
    )
    data_config = config.data_config.convert_mode(
        new_mode="predicting", new_patch_size=tile, overlap_size=(OVERLAP_PX, OVERLAP_PX)
    )
    module = CAREModule(config.algorithm_config)
    module.model = torch.jit.load(network_file, map_location=device).eval()  # type: ignore[no-untyped-call]
    trainer = lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    tiles = trainer.predict(module, datamodule=CareamicsDataModule(data_config, pred_data=source))
    volumes, _ = convert_prediction(tiles, tiled=True, restore_shape=True)
    write(volumes[0], np.dtype(description["sem_dtype"]), target)


def write(volume: np.ndarray, dtype: np.dtype, target: Path) -> None:
    """Round a volume [Z, Y, X] of grey levels to the SEM's dtype, as a zarr array, slice by slice."""
    predicted = zarr.create_array(
        target, overwrite=True, shape=volume.shape, chunks=(1, *volume.shape[1:]), dtype=dtype
    )
    for z, plane in enumerate(volume):
        predicted[z] = rounded(plane, dtype)


if __name__ == "__main__":
    measure(predict, (careamics, torch, lightning, tifffile, zarr, np), __doc__ or "")
