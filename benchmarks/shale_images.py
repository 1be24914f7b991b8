"""Registered pairs of synthetic slices, as the published code reads them and as ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.config import DownsampleSettings
from txm2sem_core.intensity import IntensityRange, Preparation
from txm2sem_core.io import PairImages, PatchStore, write_patch_store
from txm2sem_core.patches.downsample import downsample

PAIRS, SIDE_PX = 4, 512
FULL_RANGE = IntensityRange(0.0, 255.0)
VOXEL_SIZE_NM = (50.0, 50.0, 50.0)


def pair(number: int) -> tuple[np.ndarray, np.ndarray]:
    """TXM and SEM [Y, X], uint8, above 0: grains, blurred in the one and sharp in the other."""
    rng = np.random.default_rng(number)
    grains = ndimage.gaussian_filter(rng.standard_normal((SIDE_PX, SIDE_PX)), 4) > 0
    sem = np.clip(np.where(grains, 180, 70) + rng.normal(0, 8, grains.shape), 1, 255)
    txm = np.clip(ndimage.gaussian_filter(sem, 2) + rng.normal(0, 4, grains.shape), 1, 255)
    return txm.astype(np.uint8), sem.astype(np.uint8)


def write_published_folders(folder: Path) -> None:
    """`images/{train,validation}` with the five folders that the published loader wants."""
    for split in ("train", "validation"):
        for number in range(PAIRS):
            txm, sem = pair(number)
            nothing = np.zeros_like(txm)
            for kind, name, image in (
                ("txm", "TXM", txm),
                ("sem", "SEM", sem),
                ("charge", "charge", nothing),
                ("lowdensity", "SEM_dark", nothing),
                ("highdensity", "SEM_light", nothing),
            ):
                place = folder / "images" / split / kind
                place.mkdir(parents=True, exist_ok=True)
                io.write_tiff(place / f"{name}{number:03d}.tif", image)


def write_store(folder: Path, size_px: int, factor: int, patches: int, split: str = "train") -> None:
    """The same pairs as a patch store, with `patches` patches of one split in random places."""
    rng = np.random.default_rng(0)
    pairs = {}
    for number in range(PAIRS):
        txm, sem = pair(number)
        coarse = downsample(txm[None], factor, DownsampleSettings(), 1.0, rng) if factor > 1 else txm[None]
        pairs[f"{number:03d}"] = PairImages(coarse, sem, np.ones_like(sem))
    places = rng.integers(0, (SIDE_PX - size_px) // factor, (patches, 2)) * factor
    rows = [
        {"patch": n, "split": split, "pair": f"{n % PAIRS:03d}", "z": n % PAIRS, "y": int(y), "x": int(x)}
        for n, (y, x) in enumerate(places)
    ]
    preparation = Preparation()
    store = PatchStore(
        pairs, pd.DataFrame(rows), size_px, factor, 0, FULL_RANGE, FULL_RANGE, VOXEL_SIZE_NM, preparation, ""
    )
    write_patch_store(folder, store)
