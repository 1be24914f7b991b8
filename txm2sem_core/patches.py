"""Split registered pairs into train, validation and test, and cut patches from them.

Pairs are split first and cut then, so no patch shares a pixel with a patch of another split; where a patch carries its
neighbours in z, pairs whose neighbours reach into another split are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import PatchesSettings
from txm2sem_core.doubts import adjacent_slices, doubtful_registration
from txm2sem_core.errors import InputError, printable
from txm2sem_core.geometry import window_share
from txm2sem_core.intensity import IntensityRange, Preparation, percentile_range
from txm2sem_core.io import PairImages, PatchStore, Volume
from txm2sem_core.io.files import path_within
from txm2sem_core.samples import DENSITIES, SPLITS
from txm2sem_core.side_tasks import class_image

_MIN_AGREEMENT = 0.9  # correlation of a pair's TXM slice with the slice of the volume it is said to be


def split_pairs(pairs: pd.DataFrame, settings: PatchesSettings) -> pd.Series:
    """The split of each pair, by place in z (by order where z is not known), as blocks: train, validation, test.

    With context k, pairs are dropped (no split, NaN) at the borders between blocks until no TXM slice within k of a
    pair of one split lies within k of a pair of another.

    Args:
        pairs: columns `pair`, `z` (NaN where not known) and `split` (NaN where the settings decide).
        settings: shares of the splits, and the context k.

    Raises:
        InputError: a split would be empty.
    """
    if pairs["split"].notna().all():
        splits = pairs["split"].astype(object)
    else:
        order = pairs.sort_values("z", kind="stable", na_position="last").index
        test = max(1, round(len(pairs) * settings.split.test))
        validation = max(1, round(len(pairs) * settings.split.validation))
        train = len(pairs) - test - validation
        names = ["train"] * train + ["validation"] * validation + ["test"] * test
        splits = pd.Series(names[: len(pairs)], index=order[: len(names)], dtype=object).reindex(pairs.index)
    splits = _without_shared_neighbours(pairs["z"], splits, settings.context)
    for name in SPLITS:
        if not (splits == name).any():
            raise InputError(
                f"split {name}: no pair is left for it, of {len(pairs)} accepted pairs (patches.context = "
                f"{settings.context}, patches.split = {settings.split.model_dump()}). At least 3 pairs are needed, and "
                "with context their z must lie further apart. Add pairs, lower patches.context or change patches.split."
            )
    return splits


def _without_shared_neighbours(z: pd.Series, splits: pd.Series, context: int) -> pd.Series:
    if context == 0:
        return splits
    kept = splits.copy()
    for name in SPLITS:  # training gives way first: it has the most pairs
        for position in splits.index[splits == name]:
            others = kept.index[kept.notna() & (kept != name)]
            if (abs(z[others] - z[position]) <= 2 * context).any():
                kept[position] = np.nan
    return kept


def shared_slices(pairs: pd.DataFrame) -> list[str]:
    """Warnings of slices whose very pixels stand in two splits, by the digests that registration left.

    Args:
        pairs: columns `pair`, `split`, and where they are known `txm_sha256` and `sem_sha256`.
    """
    warnings = []
    for modality, column in (("TXM", "txm_sha256"), ("FIB-SEM", "sem_sha256")):
        for _, same in pairs.groupby(column) if column in pairs else ():
            if same["split"].nunique() > 1:
                places = ", ".join(f"{row.pair} ({row.split})" for row in same.itertuples())
                warnings.append(
                    f"one {modality} slice stands in several splits: pairs {places}. Their scores say nothing "
                    "of unseen rock. Leave all but one of the pairs out."
                )
    return warnings


def acceptable_positions(usable: np.ndarray, nonzero: np.ndarray, settings: PatchesSettings) -> np.ndarray:
    """Every position [N, 2] (y, x) at which a patch is good enough to keep.

    A patch is kept if more than `min_uncharged` of its pixels are usable and more than `min_nonzero` of them are
    usable and not zero in both images (Anderson et al. 2020; the published code tests the same product of images).

    Args:
        usable: pixels without charge, bool [Y, X].
        nonzero: pixels that are not zero in both images, bool [Y, X].
        settings: patch size, grid of positions and the two shares.
    """
    size, step = settings.size_px, settings.grid_px
    uncharged = window_share(usable, size)[::step, ::step]
    bright = window_share(usable & nonzero, size)[::step, ::step]
    # a share of 1 can be asked for too, though nothing is more than that
    good = ((uncharged > settings.min_uncharged) | (uncharged == 1)) & ((bright > settings.min_nonzero) | (bright == 1))
    return np.argwhere(good) * step


def side_by_side(positions: np.ndarray, size: int, step: int, shape: tuple[int, int]) -> np.ndarray:
    """Those of the positions [N, 2] that lie on a grid of windows which do not overlap, about centred in the image.

    The grid starts at a multiple of `step`, as all positions do; `size` is a multiple of it too.
    """
    origin = [(n - n // size * size) // 2 // step * step for n in shape]
    on_grid = ((positions - origin) % size == 0).all(axis=1) & (positions >= origin).all(axis=1)
    return positions[on_grid]


def extract_patches(
    registered: Path,
    volume: Volume | None,
    settings: PatchesSettings,
    voxel_size_nm: tuple[float | None, float | None, float | None],
    output: Path,
) -> PatchStore:
    """Split and cut the accepted pairs of `registered`, and leave the patch store in `output`.

    Raises:
        InputError: a split is empty, a patch is larger than an image, a slice yields no patch, the pairs differ in
            bit depth, or `volume` does not hold the slices that the pairs are said to be.
    """
    table = io.read_csv(registered / "index.csv")
    table["split"] = split_pairs(table, settings)
    table = table[table["split"].notna()].reset_index(drop=True)
    pairs = {str(row.pair): _load_pair(registered, row, volume, settings) for row in table.itertuples()}
    _check_types(pairs)
    index = pd.concat([_pair_patches(row, pairs[str(row.pair)], settings, table) for row in table.itertuples()])
    index = _limit_evaluation(index.reset_index(drop=True), settings)
    index.insert(0, "patch", range(len(index)))
    training = [pairs[name] for name in table.loc[table["split"] == "train", "pair"]]
    store = PatchStore(
        pairs=pairs,
        index=index,
        size_px=settings.size_px,
        factor=1,
        context=settings.context,
        txm_range=_range_of("TXM", [p.txm[settings.context][p.mask] for p in training], settings),
        sem_range=_range_of("SEM", [p.sem[p.mask] for p in training], settings),
        voxel_size_nm=voxel_size_nm,
        preparation=Preparation(settings.txm.equalise, settings.txm.contrast),
        digest="",
        warnings=(*_registration_doubts(registered), *shared_slices(table), *adjacent_slices(table)),
    )
    for warning in store.warnings:
        print(printable(f"patches: warning: {warning}"), file=sys.stderr)
    io.write_patch_store(output, store)
    return store


def _registration_doubts(registered: Path) -> list[str]:
    """Of the quality table, where it is there: folders made by hand have none."""
    path = registered / "quality.csv"
    return doubtful_registration(io.read_csv(path)) if path.is_file() else []


def _check_types(pairs: dict[str, PairImages]) -> None:
    """Grey levels of different bit depths cannot be compared: one range is mapped for all pairs."""
    first, reference = next(iter(pairs.items()))
    for name, images in pairs.items():
        for modality, here, there in (
            ("TXM", images.txm.dtype, reference.txm.dtype),
            ("FIB-SEM", images.sem.dtype, reference.sem.dtype),
        ):
            if here != there:
                raise InputError(
                    f"pair {name}: its {modality} slice is {here}, but that of pair {first} is {there}. Export all "
                    "slices with the same bit depth."
                )


def _range_of(modality: str, pixels: list[np.ndarray], settings: PatchesSettings) -> IntensityRange:
    try:
        return percentile_range(np.concatenate(pixels), *settings.percentiles)
    except ValueError as error:
        raise InputError(f"training pairs, {modality}: {error}; nothing can be learnt. Check the images.") from error


def _load_pair(registered: Path, row: Any, volume: Volume | None, settings: PatchesSettings) -> PairImages:
    """Images of one pair, cut to a multiple of the grid, the TXM with its neighbours in z."""
    txm, sem = (io.read_image(_image(registered, row, name)) for name in ("txm", "sem"))
    mask = io.read_mask(_image(registered, row, "mask"))
    height, width = (n // settings.grid_px * settings.grid_px for n in txm.shape)
    if settings.size_px > min(height, width):
        raise InputError(
            f"{_image(registered, row, 'txm')}: patches.size_px = {settings.size_px} is larger than this image of "
            f"{txm.shape[0]} x {txm.shape[1]} pixels (after registration and cropping). Choose a smaller one."
        )
    stack = txm[None]
    if volume is not None and not pd.isna(row.z):
        crop = (slice(int(row.y0), int(row.y1)), slice(int(row.x0), int(row.x1)))
        neighbours = _neighbours(volume, int(row.z), settings.context, row.pair)
        if neighbours.shape[1] < row.y1 or neighbours.shape[2] < row.x1:
            raise InputError(f"{volume.source}: planes of {neighbours.shape[1:]} do not cover pair {row.pair}'s slice.")
        if neighbours.dtype != txm.dtype:
            raise InputError(
                f"{volume.source}: its voxels are {neighbours.dtype}, but pair {row.pair}'s TXM slice is {txm.dtype}. "
                "Export both with the same bit depth."
            )
        _check_place(neighbours[settings.context][crop], txm, volume, row)
        stack = neighbours[(slice(None), *crop)]
        stack[settings.context] = txm
    elif settings.context:
        raise InputError(
            f"pair {row.pair}: patches.context = {settings.context} needs the TXM volume and the pair's place in it. "
            "Give txm_volume and pair_z in the sample table, or set patches.context to 0."
        )
    stack = Preparation(settings.txm.equalise, settings.txm.contrast).apply(stack)
    classes = _classes(registered, row)
    images = PairImages(
        stack[:, :height, :width],
        sem[:height, :width],
        mask[:height, :width],
        None if classes is None else classes[:height, :width],
    )
    return _displaced(images, settings) if row.split == "train" else images


def _image(registered: Path, row: Any, name: str) -> Path:
    """An image of a pair, which the registration's index names."""
    return path_within(registered, getattr(row, name), registered / "index.csv", f"an image of pair {row.pair}")


def _displaced(images: PairImages, settings: PatchesSettings) -> PairImages:
    """The pair with its TXM moved against the rest by whole pixels, cut to where both are."""
    (dy, dx), step, size = settings.txm.offset_px, settings.grid_px, settings.size_px
    if (dy, dx) == (0, 0):
        return images
    height, width = ((n - abs(d)) // step * step for n, d in zip(images.sem.shape, (dy, dx), strict=True))
    if min(height, width) < size:
        raise InputError(
            f"patches.txm.offset_px: [{dy}, {dx}] leaves {height} x {width} pixels, less than a patch of "
            f"{size}. Lower it."
        )

    def cut(image: np.ndarray, y: int, x: int) -> np.ndarray:
        return image[..., y : y + height, x : x + width]

    others = max(-dy, 0), max(-dx, 0)
    return PairImages(
        cut(images.txm, max(dy, 0), max(dx, 0)),
        cut(images.sem, *others),
        cut(images.mask, *others),
        None if images.classes is None else cut(images.classes, *others),
    )


def _classes(registered: Path, row: Any) -> np.ndarray | None:
    """The pixels' classes, where both masks of density came with the pair."""
    files = [getattr(row, kind, None) for kind in DENSITIES]
    if not all(isinstance(file, str) for file in files):
        return None
    index = registered / "index.csv"
    low, high = (io.read_image(path_within(registered, file, index, "a mask of density")) for file in files)
    return class_image(low, high)


def _neighbours(volume: Volume, z: int, context: int, pair: str) -> np.ndarray:
    """The slices around a pair; InputError where it lies outside the volume."""
    if not 0 <= z < volume.shape[0]:
        raise InputError(f"pair {pair}: z = {z} is outside {volume.source} of {volume.shape[0]} slices. Mend pair_z.")
    return volume.read_around(z, context)


def _check_place(of_volume: np.ndarray, of_pair: np.ndarray, volume: Volume, row: Any) -> None:
    agreement = np.corrcoef(of_volume.ravel(), of_pair.ravel())[0, 1]
    if not agreement >= _MIN_AGREEMENT:
        raise InputError(
            f"pair {row.pair}: its TXM slice and slice z = {int(row.z)} of {volume.source} correlate by only "
            f"{agreement:.2f} (at least {_MIN_AGREEMENT}). Mend pair_z in the sample table."
        )


def _pair_patches(row: Any, images: PairImages, settings: PatchesSettings, table: pd.DataFrame) -> pd.DataFrame:
    """The patches of one pair: drawn at random, or side by side."""
    usable = images.mask
    nonzero = (images.sem > 0) & (images.txm[settings.context] > 0)
    positions = acceptable_positions(usable, nonzero, settings)
    if len(positions) == 0:
        raise InputError(
            f"pair {row.pair} (split {row.split}): no patch of {settings.size_px} pixels is good enough; "
            f"{usable.mean():.0%} of the slice is uncharged and {nonzero.mean():.0%} not zero, a patch needs "
            f"{settings.min_uncharged:.0%} and {settings.min_nonzero:.0%}. Lower patches.min_uncharged, "
            "patches.min_nonzero or patches.size_px."
        )
    if row.split == "train":
        siblings = table.index[table["split"] == "train"]
        rank = list(siblings).index(row.Index)
        count = settings.train // len(siblings) + (rank < settings.train % len(siblings))
    else:
        count = settings.evaluation_count
    if row.split == "train" or settings.evaluation == "random":
        rng = np.random.default_rng([settings.seed, row.Index])
        positions = positions[rng.integers(len(positions), size=count)]
    else:
        even = side_by_side(positions, settings.size_px, settings.grid_px, usable.shape)
        positions = even if len(even) else positions[len(positions) // 2][None]
    return pd.DataFrame(
        {"split": row.split, "pair": row.pair, "z": row.z, "y": positions[:, 0], "x": positions[:, 1]},
    )


def _limit_evaluation(index: pd.DataFrame, settings: PatchesSettings) -> pd.DataFrame:
    """At most `evaluation_count` patches of validation and of test, evenly taken from all of their pairs."""
    parts = []
    for name in SPLITS:
        part = index[index["split"] == name]
        if name != "train" and len(part) > settings.evaluation_count:
            part = part.iloc[np.linspace(0, len(part) - 1, settings.evaluation_count).round().astype(int)]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
