"""Small pairs, stores and models for the tests of the stages: a sharp image and a blurred, inverted view of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from txm2sem_core.config import DownsampleSettings, TrainSettings, parse_settings
from txm2sem_core.intensity import Preparation, percentile_range
from txm2sem_core.io import PairImages, PatchStore, read_patch_store, write_patch_store
from txm2sem_core.patches.downsample import downsample

VOXEL_SIZE_NM = (40.0, 20.0, 10.0)


def sharp(shape: tuple[int, ...], seed: int, dtype: type = np.uint8) -> np.ndarray:
    """Bright grains on a dark ground, with texture; the grains are continuous along every axis."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 2.5)
    top = 200 if dtype == np.uint8 else 40000
    image = np.where(field > 0, 0.8, 0.2) + 0.03 * rng.standard_normal(shape)
    return np.clip(image * top, 1, top * 1.25).astype(dtype)


def blurred(sem: np.ndarray) -> np.ndarray:
    """What another instrument sees of `sharp`: blurred, and dark where it is bright."""
    top = 255 if sem.dtype == np.uint8 else 65535
    return np.rint(ndimage.gaussian_filter(top - sem.astype(float), 1.2)).clip(1, top).astype(sem.dtype)


def make_store(
    folder: Path,
    *,
    factor: int = 1,
    context: int = 0,
    size_px: int = 32,
    train: int = 12,
    evaluation: int = 3,
    dtype: type = np.uint8,
    seed: int = 0,
    pair_every: int = 1,
) -> PatchStore:
    """A store of one pair a split, with charged pixels in a corner of each."""
    pairs, rows = {}, []
    rng = np.random.default_rng(seed)
    for number, (split, count) in enumerate((("train", train), ("validation", evaluation), ("test", evaluation))):
        sem = sharp((2 * context + 1, 72, 80), 10 * seed + number, dtype)
        mask = np.ones(sem.shape[1:], dtype=np.uint8)
        mask[:6, :6] = 0
        coarse = downsample(blurred(sem), factor, DownsampleSettings(), 1.0, rng) if factor > 1 else blurred(sem)
        pairs[f"{number:03d}"] = PairImages(coarse, sem[context], mask)
        for _ in range(count):
            y, x = (int(rng.integers((n - size_px) // 4 + 1)) * 4 for n in sem.shape[1:])
            rows.append(
                {"patch": len(rows), "split": split, "pair": f"{number:03d}", "z": number * pair_every, "y": y, "x": x}
            )
    ranges = [
        percentile_range(np.concatenate([image.ravel() for image in kind]), 0.5, 99.5)
        for kind in ([p.txm for p in pairs.values()], [p.sem for p in pairs.values()])
    ]
    store = PatchStore(
        pairs, pd.DataFrame(rows), size_px, factor, context, ranges[0], ranges[1], VOXEL_SIZE_NM, Preparation(), ""
    )
    write_patch_store(folder, store)
    return read_patch_store(folder).in_memory()


def volume_beside(store: PatchStore, seed: int = 0, *, beyond: int = 6) -> np.ndarray:
    """A TXM volume [Z, Y/f, X/f] with noise, but for the planes of the store's pairs, where their slices lie."""
    rows = store.index.drop_duplicates("pair")
    height, width = next(iter(store.pairs.values())).txm.shape[1:]
    rng = np.random.default_rng(seed)
    shape = (int(rows["z"].max()) + beyond, height + 8, width + 8)
    volume = rng.integers(0, 255, shape).astype(next(iter(store.pairs.values())).txm.dtype)
    for row in rows.to_dict("records"):
        slices, k = store.pairs[row["pair"]].txm, store.context
        for d in range(-min(k, int(row["z"])), k + 1):
            volume[int(row["z"]) + d, 3 : 3 + height, 5 : 5 + width] = slices[k + d]
    return volume


def tiny(family: str, **values: Any) -> TrainSettings:
    """Settings of a variant that trains in a moment."""
    generator = {"name": "resnet_1blocks" if family in ("feedforward", "pix2pix") else "sr_resnet_1blocks", "width": 4}
    settings: dict[str, Any] = {
        "family": family,
        "factor": 2 if family in ("srcnn", "srgan") else 1,
        "generator": generator | values.pop("generator", {}),
        "discriminator": {"name": "pixel", "width": 4} | values.pop("discriminator", {}),
        "schedule": {"epochs": 2, "decay_epochs": 1},
        "optimiser": {"learning_rate": 2e-3},
        "batch_size": 4,
    }
    return parse_settings(TrainSettings, "{}", **(settings | values))
