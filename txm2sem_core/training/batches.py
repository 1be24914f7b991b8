"""Batches of patches: drawn, rotated and mirrored as one array, repeatable from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from txm2sem_core.config import TrainSettings
from txm2sem_core.families.batch import Batch
from txm2sem_core.intensity import TrainingDistribution, distribution_of
from txm2sem_core.io import PatchStore

Cut = Callable[[np.ndarray, np.ndarray, np.ndarray], Batch]
"""Makes a batch of patches: their numbers among those of training, which are mirrored, and how often each is turned."""


def epoch_batches(
    store: PatchStore,
    settings: TrainSettings,
    seed: int,
    epoch: int,
    stacks: Iterator[np.ndarray] | None = None,
    start: int = 0,
    cut: Cut | None = None,
) -> Iterator[Batch]:
    """Every training patch once, in an order and with flips and rotations that follow from (seed, epoch) alone.

    Each has one of `stacks` beside it, if given. The first `start` are left out. `cut` makes the batches, if it is
    given: the same ones, on a device.
    """
    rows = store.of_split("train")
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(rows))
    mirrored = rng.integers(0, 2, len(rows)) if settings.flips else np.zeros(len(rows), int)
    turns = rng.integers(0, 4, len(rows)) if settings.turns else np.zeros(len(rows), int)
    for first in range(start, len(rows), settings.batch_size):
        chosen = order[first : first + settings.batch_size]
        if cut is None:
            batch = _gather(store, settings.context, rows.iloc[chosen], mirrored[chosen], turns[chosen])
        else:
            batch = cut(chosen, mirrored[chosen], turns[chosen])
        if stacks is not None:
            beside = [next(stacks) for _ in chosen]
            batch = replace(batch, stack=torch.from_numpy(np.stack(beside)))
        yield batch


def evaluation_batches(store: PatchStore, split: str, context: int, batch_size: int) -> Iterator[Batch]:
    """Every patch of a split once, in order, as it is."""
    rows = store.of_split(split)
    for start in range(0, len(rows), batch_size):
        chosen = rows.iloc[start : start + batch_size]
        still = np.zeros(len(chosen), int)
        yield _gather(store, context, chosen, still, still)


def _gather(store: PatchStore, context: int, rows, mirrored: np.ndarray, turns: np.ndarray) -> Batch:  # type: ignore[no-untyped-def]
    txm, sem, mask, classes = [], [], [], []
    for row, mirror, turn in zip(rows.itertuples(), mirrored, turns, strict=True):
        y, x = int(row.y), int(row.x)
        txm.append(orient(store.txm_patch(row.pair, y, x, context), int(mirror), int(turn)))
        sem.append(orient(store.sem_patch(row.pair, y, x)[None], int(mirror), int(turn)))
        mask.append(orient(store.mask_patch(row.pair, y, x)[None], int(mirror), int(turn)))
        if (labels := store.class_patch(row.pair, y, x)) is not None:
            classes.append(orient(labels[None], int(mirror), int(turn)))
    return Batch(
        torch.from_numpy(store.slab_range.to_unit(np.stack(txm))),
        torch.from_numpy(store.sem_range.to_unit(np.stack(sem))),
        torch.from_numpy(np.stack(mask)),
        classes=torch.from_numpy(np.stack(classes)) if classes else None,
    )


def orient(patch: np.ndarray, mirror: int, turns: int) -> np.ndarray:
    """Mirror [C, Y, X] along x if `mirror` is 1, then rotate it by `turns` times 90 degrees in the plane."""
    if mirror:
        patch = patch[..., ::-1]
    return np.rot90(patch, turns, axes=(-2, -1))


def training_distribution(store: PatchStore, scan: int = 0) -> TrainingDistribution:
    """The distribution of intensities of the training pairs' TXM slices, where the pairs can be used; of one scan."""
    slices, own_range = [], (store.txm_range, *store.further_ranges)[scan]
    for pair in dict.fromkeys(store.of_split("train")["pair"]):
        images = store.pairs[str(pair)]
        txm, f = images.scans[scan][store.context], store.factor
        usable = images.mask[::f, ::f][: txm.shape[0], : txm.shape[1]] > 0
        slices.append(own_range.to_unit(txm[usable]))
    return distribution_of(slices)


def further_scans(store: PatchStore) -> dict[str, Any]:
    """What `model.json` says of the second scan and on: range, distribution and type; nothing where there is one.

    The type is None where slices were prepared, as `txm_dtype`.
    """
    if not store.further_ranges:
        return {}
    first = next(iter(store.pairs.values()))
    return {
        "further_scans": [
            {
                "range": each.as_dict(),
                "histogram": training_distribution(store, scan).as_dict(),
                "dtype": first.scans[scan].dtype.name if store.preparation.is_none else None,
            }
            for scan, each in enumerate(store.further_ranges, start=1)
        ]
    }


training_spread = training_distribution  # its name in version 0.1
