"""Split registered pairs into train, validation and test, and cut patches from them.

Pairs are split first and cut then, so no patch shares a pixel with a patch of another split; where a patch carries its
neighbours in z, pairs whose neighbours reach into another split are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import PatchesSettings
from txm2sem_core.errors import InputError, print_warnings
from txm2sem_core.geometry import Crop, centred, relative_length, window_share
from txm2sem_core.intensity import IntensityRange, Preparation, percentile_range
from txm2sem_core.io import PairImages, PatchStore, Volume
from txm2sem_core.io.files import path_within
from txm2sem_core.metrics.density import class_image
from txm2sem_core.metrics.windows import BORDER_PX
from txm2sem_core.patches.duplicates import PlacedSlice, duplicates
from txm2sem_core.patches.slices import slices_beyond, slices_of_pair
from txm2sem_core.samples.pairs import DENSITIES
from txm2sem_core.samples.slice_position import SlicePosition, check_positions
from txm2sem_core.samples.splits import SPLITS, apart, positions_along, split_by_position
from txm2sem_core.samples.warnings import adjacent_slices, registration_warnings

FEW_LEVELS = 16  # a slice of fewer grey levels is nearly a segmentation
_NARROW = 64  # 8-bit slices of a smaller span have 12 dB of PSNR more than by their own range


def split_pairs(pairs: pd.DataFrame, settings: PatchesSettings) -> pd.Series:
    """The split of each pair, by position in z (by order where z is not known), as blocks: train, validation, test.

    With context k, pairs are dropped (no split, NaN) at the borders between blocks until no TXM slice within k of a
    pair of one split lies within k of a pair of another.

    Args:
        pairs: columns `pair`, `z` (NaN where not known) and `split` (NaN where the settings decide); of planes that
            were sought also `along_first` and `along_last`, which then count.
        settings: shares of the splits, and the context k.

    Raises:
        InputError: a split would be empty.
    """
    z, reach = positions_along(pairs)
    if pairs["split"].notna().all():
        chosen = apart(z, list(pairs["split"]), settings.context, reach)
    else:
        chosen = split_by_position(z, settings.split.validation, settings.split.test, settings.context, reach)
    splits = pd.Series(chosen, index=pairs.index, dtype=object)
    for name in SPLITS:
        if not (splits == name).any():
            raise InputError(
                f"split {name}: no pair is left for it, of {len(pairs)} accepted pairs (patches.context = "
                f"{settings.context}, patches.split = {settings.split.model_dump()}). At least 3 pairs are needed, and "
                "with context their z must lie further apart. Add pairs, lower patches.context or change patches.split."
            )
    return splits


def acceptable_positions(usable: np.ndarray, nonzero: np.ndarray, settings: PatchesSettings) -> np.ndarray:
    """Every position [N, 2] (y, x) at which a patch is good enough to keep.

    A patch is kept if more than `min_uncharged` of its pixels are usable and, unless that is 0, more than
    `min_nonzero` of them are usable and not zero in both images (Anderson et al. 2020; the published code tests the
    same product of images).

    Args:
        usable: pixels that were measured and are not charged, bool [Y, X].
        nonzero: pixels that are not zero in both images, bool [Y, X].
        settings: patch size, grid of positions and the two shares.
    """
    size, step = settings.size_px, settings.grid_px

    def more(mask: np.ndarray, least: float) -> np.ndarray:
        share = window_share(mask, size)[::step, ::step]
        return (share > least) | (share == 1)  # a share of 1 can be asked for too, though nothing is more than that

    good = more(usable, settings.min_uncharged)
    if size > 2 * BORDER_PX:  # scores by windows say nothing of the pixels along a patch's edges
        inside = usable[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
        good &= window_share(inside, size - 2 * BORDER_PX)[::step, ::step] > 0
    if settings.min_nonzero:
        good &= more(usable & nonzero, settings.min_nonzero)
    return np.argwhere(good) * step


def without_overlap(positions: np.ndarray, size: int, step: int, shape: tuple[int, int]) -> np.ndarray:
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
    raw_warnings: Sequence[str] = (),
) -> PatchStore:
    """Split and cut the accepted pairs of `registered`, and leave the patch store in `output`.

    `volume` is the TXM, on the grid of the results; but of pairs whose planes were sought in it as it was measured.
    `voxel_size_nm` is that of the results. `raw_warnings`, those about the raw data, are added to the warnings of the
    store.
    A pair without any usable patch is left out, and named in a warning.

    Raises:
        InputError: a split is empty, a patch is larger than an image, the pairs differ in bit depth, or `volume` does
            not hold the slices that the pairs are said to be.
    """
    table = io.read_csv(registered / "index.csv")
    aspect = relative_length(voxel_size_nm[0], voxel_size_nm[2])
    table["split"] = split_pairs(table, settings)
    table = table[table["split"].notna()].reset_index(drop=True)
    pairs, in_volume, unmeasured = {}, list[list[SlicePosition]](), {}
    for row in table.itertuples():
        pairs[str(row.pair)], positions_of_pair, unmeasured[str(row.pair)] = _load_pair(
            registered, row, volume, settings, aspect
        )
        in_volume += [positions_of_pair] if positions_of_pair else []
    _check_types(pairs)
    misplaced = [] if volume is None else _misplaced(volume, in_volume)
    positions = {name: _positions(images, settings) for name, images in pairs.items()}
    left_out = _without_patches(table, pairs, positions, settings)
    table = table[[len(positions[str(name)]) > 0 for name in table["pair"]]].reset_index(drop=True)
    pairs = {str(name): pairs[str(name)] for name in table["pair"]}
    index = pd.concat([_drawn(row, positions[str(row.pair)], pairs, settings, table) for row in table.itertuples()])
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
        warnings=(
            *raw_warnings,
            *_registration_warnings(registered),
            *left_out,
            *misplaced,
            *_few_levels([p.sem[p.mask] for p in training]),
            *_unmeasured([unmeasured[name] for name in pairs]),
            *_copies(table, pairs, settings.context),
            *adjacent_slices(table.assign(z=positions_along(table)[0])),
        ),
        further_ranges=tuple(
            _range_of(name_of(number), [p.scans[number - 1][settings.context][p.mask] for p in training], settings)
            for number in range(2, 1 + len(training[0].scans))
        ),
    )
    print_warnings("patches", store.warnings)
    io.write_patch_store(output, store)
    return store


def _misplaced(volume: Volume, in_volume: Sequence[Sequence[SlicePosition]]) -> list[str]:
    """Warnings of slices that are not where they are said to be, in each scan; positions are of each pair by scan."""
    of_scans = zip(*in_volume, strict=True) if in_volume else [[] for _ in volume.scans]
    scans = zip(of_scans, volume.scans, strict=True)
    return [warning for found, scan in scans for warning in check_positions(list(found), scan.source)]


def _registration_warnings(registered: Path) -> list[str]:
    """Of the quality table, where it is there: folders made by hand have none."""
    path = registered / "quality.csv"
    return registration_warnings(io.read_csv(path)) if path.is_file() else []


def _check_types(pairs: dict[str, PairImages]) -> None:
    """Grey levels of different bit depths cannot be compared: one range is mapped for all pairs."""
    first, reference = next(iter(pairs.items()))
    for name, images in pairs.items():
        scans = [
            (name_of(number), here.dtype, there.dtype)
            for number, (here, there) in enumerate(zip(images.scans, reference.scans, strict=True), start=1)
        ]
        for modality, here, there in (*scans, ("FIB-SEM", images.sem.dtype, reference.sem.dtype)):
            if here != there:
                raise InputError(
                    f"pair {name}: its {modality} slice is {here}, but that of pair {first} is {there}. Export all "
                    "slices with the same bit depth."
                )


def name_of(scan: int) -> str:
    """What messages call the TXM images of a scan, from 1 on."""
    return "TXM" if scan == 1 else f"TXM (scan {scan})"


def _range_of(modality: str, pixels: list[np.ndarray], settings: PatchesSettings) -> IntensityRange:
    try:
        return percentile_range(np.concatenate(pixels), *settings.percentiles)
    except ValueError as error:
        raise InputError(f"training pairs, {modality}: {error}; nothing can be learnt. Check the images.") from error


def _load_pair(
    registered: Path, row: Any, volume: Volume | None, settings: PatchesSettings, aspect: float
) -> tuple[PairImages, list[SlicePosition], tuple[float, float]]:
    """Images of one pair, cut to a multiple of the grid, the TXM with its context in z; and its position in the volume.

    The mask leaves out what of the slices, or of the neighbours, was not measured: the networks see there what lies
    beside it, as in volumes that they predict from. The position is that in each scan, none where it is not known.
    Comes with the shares of the TXM and of the FIB-SEM slice that were not measured.
    """
    named = row._asdict()
    txm, sem = (io.read_registered(registered, named, kind) for kind in ("txm", "sem"))
    mask = io.read_mask(io.registered_file(registered, named, "mask"))
    has_charge = isinstance(named.get("charge"), str)
    charged = io.read_mask(io.registered_file(registered, named, "charge")) if has_charge else None
    height, width = (n // settings.grid_px * settings.grid_px for n in txm.shape)
    if settings.size_px > min(height, width):
        raise InputError(
            f"{io.registered_file(registered, named, 'txm')}: patches.size_px = {settings.size_px} is larger than this "
            f"image of {txm.shape[0]} x {txm.shape[1]} pixels (after registration and cropping). Choose a smaller one."
        )
    stacks, positions = slices_of_pair(registered, row, txm, volume, settings, aspect)
    was_measured = np.logical_and.reduce([each.mask for each in (sem, *itertools.chain(*stacks))])
    charged = ~mask & was_measured if charged is None else charged  # by hand only a mask may have been given
    mask &= was_measured
    prepare = Preparation(settings.txm.equalise, settings.txm.contrast).apply
    # a neighbour in a volume may be all NaN
    seen = [np.stack([np.nan_to_num(each.filled) for each in stack]) for stack in stacks]
    first, *further = (prepare(slices)[:, :height, :width] for slices in seen)
    others = slices_beyond(row, txm, volume, settings.context, aspect) if row.split == "train" else []
    beyond = np.stack([np.nan_to_num(each.filled) for each in others]) if others else None
    classes = _classes(registered, row)
    images = PairImages(
        first,
        sem.filled[:height, :width],
        mask[:height, :width],
        None if classes is None else classes[:height, :width],
        charged[:height, :width],
        tuple(further),
        None if beyond is None else prepare(beyond)[:, :height, :width],
    )
    own = np.logical_and.reduce([stack[settings.context].mask for stack in stacks])
    shares = float(1 - own[:height, :width].mean()), float(1 - sem.mask[:height, :width].mean())
    return (_of_training(images, settings) if row.split == "train" else images), positions, shares


def _of_training(images: PairImages, settings: PatchesSettings) -> PairImages:
    """The pair as it is learnt from; of the slices beyond the context the middle is enough."""
    moved = _displaced(images, settings)
    if moved.beyond is None:
        return moved
    height, width = (centred(n, io.MIDDLE_PX) for n in moved.beyond.shape[1:])
    return replace(moved, beyond=moved.beyond[:, height, width])


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
        None if images.charge is None else cut(images.charge, *others),
        tuple(cut(slices, max(dy, 0), max(dx, 0)) for slices in images.further),
        None if images.beyond is None else cut(images.beyond, max(dy, 0), max(dx, 0)),
    )


def _classes(registered: Path, row: Any) -> np.ndarray | None:
    """The pixels' classes, where both masks of density came with the pair."""
    files = [getattr(row, kind, None) for kind in DENSITIES]
    if not all(isinstance(file, str) for file in files):
        return None
    index = registered / "index.csv"
    low, high = (io.read_image(path_within(registered, file, index, "a mask of density")) for file in files)
    return class_image(low, high)


def _positions(images: PairImages, settings: PatchesSettings) -> np.ndarray:
    """Where a pair's patches can lie, [N, 2] (y, x)."""
    nonzero = (images.sem != 0) & (images.txm[settings.context] != 0)
    return acceptable_positions(images.mask, nonzero, settings)


def _without_patches(
    table: pd.DataFrame, pairs: dict[str, PairImages], positions: dict[str, np.ndarray], settings: PatchesSettings
) -> list[str]:
    """Warnings of the pairs without a good patch, which are left out.

    Raises:
        InputError: a split would be empty.
    """
    said = {
        str(row.pair): f"pair {row.pair} (split {row.split}): {_why_no_patch(pairs[str(row.pair)], settings)}."
        for row in table.itertuples()
        if not len(positions[str(row.pair)])
    }
    for name in SPLITS:
        left = list(map(said.get, table.loc[table["split"] == name, "pair"].astype(str)))
        if None not in left:
            raise InputError(
                f"split {name}: no pair is left for it. {left[0]} A charge mask is not zero where a slice is charged: "
                "look whether yours is inverted. Else remove such pairs, or lower patches.min_uncharged, "
                "patches.min_nonzero or patches.size_px."
            )
    return [
        f"{text} It is left out. Where a charge mask is inverted (not zero must mean charged), correct it."
        for text in said.values()
    ]


def _why_no_patch(images: PairImages, settings: PatchesSettings) -> str:
    for kind, image in (("TXM", images.txm[settings.context]), ("FIB-SEM", images.sem)):
        if np.ptp(image) == 0:
            return f"its {kind} slice is blank, all pixels have the value {image.flat[0]:g}"
    zero = f" and {settings.min_nonzero:.0%} not zero in both images" if settings.min_nonzero else ""
    return (
        f"no patch of {settings.size_px} pixels is good enough; {images.mask.mean():.0%} of the slice is measured and "
        f"uncharged, a patch needs {settings.min_uncharged:.0%}{zero}"
    )


def _few_levels(sem: list[np.ndarray]) -> list[str]:
    """A warning where the training FIB-SEM slices are nearly a segmentation, or use little of what 8 bits can tell."""
    levels = np.unique(np.concatenate([np.unique(pixels) for pixels in sem]))
    span = float(levels[-1]) - float(levels[0])
    narrow = levels.dtype == np.uint8 and span < _NARROW
    if levels.size >= FEW_LEVELS and not narrow:
        return []
    what = f"The training FIB-SEM slices hold {levels.size} different grey levels, {levels[0]:g} to {levels[-1]:g}"
    few = (
        " Networks predict what lies between them, too; where they are a segmentation, give the images as the "
        "microscope took them."
        if levels.size < FEW_LEVELS
        else ""
    )
    scores = (
        f" With measure.data_range = auto scores of 8-bit slices refer to 255 grey levels, and look too good: a "
        f"constant image reaches {20 * np.log10(255 / (span / 2)):.0f} dB of PSNR or more. Set it to {span:g}, or "
        "export the slices with their full range."
        if narrow
        else ""
    )
    return [f"{what}.{few}{scores}"]


def _unmeasured(shares: Sequence[tuple[float, float]]) -> list[str]:
    """A warning where part of the slices was not measured: shares of the TXM and of the FIB-SEM slice of each pair."""
    return [
        f"{np.mean(each):.1%} of the {kind} slices (at most {max(each):.1%} of one) was not measured: a given mask "
        "says so, or it is NaN, or has one value and reaches the corners, as outside of a tomogram's circle or at the "
        "border of an aligned stack. It is left out of ranges, patches, thresholds and scores."
        for kind, each in zip(("TXM", "FIB-SEM"), zip(*shares, strict=True), strict=True)
        if any(each)
    ]


def _copies(table: pd.DataFrame, pairs: dict[str, PairImages], context: int) -> list[str]:
    """Warnings of slices in two splits that show the same rock."""
    rows: list[Any] = list(table.itertuples())
    crops = [Crop(int(row.y0), int(row.y1), int(row.x0), int(row.x1)) for row in rows]

    def placed(images: list[np.ndarray]) -> list[PlacedSlice]:
        masks = [pairs[str(row.pair)].mask for row in rows]
        found = zip(rows, images, crops, masks, strict=True)
        return [PlacedSlice(str(row.pair), str(row.split), image, crop, mask) for row, image, crop, mask in found]

    txm, sem = ([pairs[str(row.pair)].txm[context] for row in rows], [pairs[str(row.pair)].sem for row in rows])
    return [*duplicates(placed(txm), "TXM"), *duplicates(placed(sem), "FIB-SEM")]


def _drawn(
    row: Any, positions: np.ndarray, pairs: dict[str, PairImages], settings: PatchesSettings, table: pd.DataFrame
) -> pd.DataFrame:
    """The patches of one pair: drawn at random from its positions [N, 2], or side by side."""
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
        even = without_overlap(positions, settings.size_px, settings.grid_px, pairs[str(row.pair)].mask.shape)
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
