"""Scores of the side tasks, which have tables of their own, since their inputs differ from a translation's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.errors import InputError
from txm2sem_core.metrics import summarise
from txm2sem_core.metrics.damage import interpolated, scores_under
from txm2sem_core.metrics.density import CLASSES
from txm2sem_core.metrics.pores.phases import confusion, dice_from_confusion

SCORES = ("psnr", "ssim", "psnr_interpolated", "ssim_interpolated")


def measure_repair(predictions: Path, patches: Path, settings: MeasureSettings, output: Path) -> None:
    """Scores under the damage of each test patch, at uncharged pixels: of the repair, and of interpolation.

    Columns: patch, pair, z, y, x, damaged (share of the patch), psnr (dB), ssim, and both of `interpolated`.

    Args:
        predictions: folder with `patches.tif` and `damage.tif`.
        patches: folder of the patch store.
        settings: the data range.
        output: CSV.
    """
    store = io.read_patch_store(patches)
    full = store.data_range(settings.data_range)
    rows = store.of_split("test").to_dict("records")
    repaired, damages = (io.open_volume(predictions / name) for name in ("patches.tif", "damage.tif"))
    if not repaired.shape[0] == damages.shape[0] == len(rows):
        raise InputError(f"{predictions}: {repaired.shape[0]} patches, the index has {len(rows)} of the test split.")
    table = []
    for row, prediction, laid in zip(rows, repaired.slices(), damages.slices(), strict=True):
        position = (row["pair"], row["y"], row["x"])
        target, damage = store.sem_patch(*position), laid > 0
        judged = damage & store.mask_patch(*position)
        baseline = interpolated(target, damage)
        own, reference = (scores_under(image, target, full, judged) for image in (prediction, baseline))
        scores = dict(zip(SCORES, (*own, *reference), strict=True))
        table.append({**{k: row[k] for k in ("patch", "pair", "z", "y", "x")}, "damaged": damage.mean(), **scores})
    io.write_csv(output, pd.DataFrame(table))


def measure_segmentation(predictions: Path, patches: Path, output: Path) -> None:
    """Metrics of all test patches together, at uncharged pixels, one row.

    Columns: `dice_{class}` (NaN for a class that neither has), `mean_iou` (Jaccard, over the classes that there are),
    `accuracy`, and `accuracy_floor`: the share of the most frequent class, which needs no network.
    """
    store = io.read_patch_store(patches)
    rows = store.of_split("test").to_dict("records")
    predicted = io.open_volume(predictions / "patches.tif")
    counts = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    for row, classes in zip(rows, predicted.slices(), strict=True):
        position = (row["pair"], row["y"], row["x"])
        truth = store.class_patch(*position)
        if truth is None:
            raise InputError(f"{patches}: pair {row['pair']} has no masks of density to compare with.")
        counts += confusion(classes.astype(np.uint8), truth, len(CLASSES), store.mask_patch(*position))
    both, union = np.diagonal(counts), counts.sum(axis=0) + counts.sum(axis=1) - np.diagonal(counts)
    shares = counts.sum(axis=1) / counts.sum()
    metrics = {
        **{
            f"dice_{name.replace(' ', '_')}": dice
            for name, dice in zip(CLASSES, dice_from_confusion(counts), strict=True)
        },
        "mean_iou": float(np.mean(both[union > 0] / union[union > 0])),
        "accuracy": float(both.sum() / counts.sum()),
        "accuracy_floor": float(shares.max()),
    }
    io.write_csv(output, pd.DataFrame([metrics]))


def summarise_repair(runs: Sequence[tuple[str, int]], files: Iterable[str | Path], output: Path) -> None:
    """One row a run: mean and standard error over the test slices, of the repair and of interpolation.

    `n` counts positions: a random set of patches may draw one several times, each time with other damage.
    """
    rows = []
    for (variant, seed), path in zip(runs, files, strict=True):
        table = io.read_csv(path)
        positions = len(table.drop_duplicates(["pair", "y", "x"]))
        row: dict[str, Any] = {"variant": variant, "seed": seed, "n": positions, "slices": table["pair"].nunique()}
        row["damaged"] = table["damaged"].mean()
        for score in SCORES:
            known = table.dropna(subset=[score])
            row |= {f"{score}_mean": math.nan, f"{score}_stderr": math.nan}
            if len(known):
                each = summarise(known[score], known["pair"].to_list())
                row |= {f"{score}_mean": each.mean, f"{score}_stderr": each.stderr}
        rows.append(row)
    io.write_csv(output, pd.DataFrame(rows))


def summarise_segmentation(runs: Sequence[tuple[str, int]], files: Iterable[str | Path], output: Path) -> None:
    """One row per run: its metrics."""
    rows = [
        {"variant": v, "seed": s, **io.read_csv(f).iloc[0].to_dict()} for (v, s), f in zip(runs, files, strict=True)
    ]
    io.write_csv(output, pd.DataFrame(rows))
