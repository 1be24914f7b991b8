"""Which pairs are for training, validation and test, and which slices of a volume lie nearest to those for training.

Uses numbers alone, so that it can be computed before any job runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

SPLITS = ("train", "validation", "test")
OBLIQUE = 0.5  # slices that a pair reaches to both sides, from which it is taken to cross others


def pair_slices(depth: int, every: int) -> list[int]:
    """The slices z of a phantom that have a FIB-SEM partner: every `every`-th, the first half a step in."""
    return list(range(min(every // 2, depth - 1), depth, every))


def split_by_position(
    z: ArrayLike, validation: float, test: float, context: int, reach: ArrayLike = 0.0
) -> list[str | None]:
    """The split of each pair, by position in z (by order where z is not known), as blocks: train, validation, test.

    Args:
        z: position of each pair, NaN where it is not known.
        validation: share of the pairs, at least one.
        test: the same.
        context: k, see `apart`.
        reach: see `apart`.
    """
    z_all = np.asarray(z, dtype=float)
    count = len(z_all)
    of_test, of_validation = max(1, round(count * test)), max(1, round(count * validation))
    names = ["train"] * (count - of_test - of_validation) + ["validation"] * of_validation + ["test"] * of_test
    splits: list[str | None] = [None] * count
    for position, name in zip(np.argsort(z_all, kind="stable"), names, strict=False):  # NaN comes last
        splits[position] = name
    return apart(z_all, splits, context, reach)


def apart(z: ArrayLike, splits: Sequence[str | None], context: int, reach: ArrayLike = 0.0) -> list[str | None]:
    """The same splits without pairs (None) at their borders, until no two of them use a common slice.

    With context k, a pair at z uses the slices from z - k to z + k. Training pairs are dropped first, as there are
    most. A pair that lies obliquely also uses those as far as its `reach` to both sides.
    """
    z_all, kept = np.asarray(z, dtype=float), list(splits)
    reach_all = np.broadcast_to(np.asarray(reach, dtype=float), z_all.shape)
    for name in SPLITS if context or (reach_all > OBLIQUE).any() else ():
        for position in [index for index, split in enumerate(splits) if split == name]:
            others = [index for index, split in enumerate(kept) if split not in (None, name)]
            used = 2 * context + reach_all[others] + reach_all[position]
            if (np.abs(z_all[others] - z_all[position]) <= used + 1e-6).any():
                kept[position] = None
    return kept


def nearest_to_training(z: ArrayLike, splits: Sequence[str | None], depth: int) -> NDArray[np.bool_]:
    """Which slices [Z] lie nearer to a training pair than to one held out; all, where no position is known."""
    z_all, training = np.asarray(z, dtype=float), np.asarray([split == "train" for split in splits], dtype=bool)
    used = ~np.isnan(z_all) & np.asarray([split is not None for split in splits], dtype=bool)
    if not used.any():
        return np.ones(depth, dtype=bool)
    distance = np.abs(np.arange(depth)[:, None] - z_all[None])
    nearest = np.min(distance, axis=1, initial=np.inf, where=used & training)
    return np.asarray(nearest < np.min(distance, axis=1, initial=np.inf, where=used & ~training))


def drawable_slices(z: ArrayLike, splits: Sequence[str | None], depth: int, context: int) -> NDArray[np.int64]:
    """Slices that `z_penalty.stack` may be drawn from: each with its neighbour above, and the context of both."""
    below = np.arange(context, max(context, depth - context - 1))
    near = nearest_to_training(z, splits, depth)
    return below[near[below] & near[below + 1]]


def positions_along(pairs: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Where pairs lie, in slices of the volume, and how far each reaches to both sides: z, or along the planes' normal.

    A plane of another tilt than the mean crosses several slices along the mean normal.
    """
    if "along_first" not in pairs:
        return pairs["z"], pd.Series(0.0, index=pairs.index)
    return (pairs["along_first"] + pairs["along_last"]) / 2, (pairs["along_last"] - pairs["along_first"]) / 2
