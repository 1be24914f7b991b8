"""Whether a sample has everything that is needed: pairs for every split, slices and masks. Checked before any job runs.

Registration may still refuse pairs, or crop them: what is refused here cannot work, however well that goes.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.config import Config, PhantomSettings
from txm2sem_core.config.stages import SMALLEST_PHANTOM_PX
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.samples.pairs import DENSITIES, labels_of_pairs, list_pairs
from txm2sem_core.samples.raw_pairs import RawPair, check_shape
from txm2sem_core.samples.splits import SPLITS, apart, drawable_slices, pair_slices, split_by_position
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import open_sample_volume, voxel_size_of


@dataclass(frozen=True)
class _Pairs:
    """The pairs of a sample, as far as they are known before the first job.

    Attributes:
        z: of each, NaN where it is not known.
        splits: of each, None where none is left for it.
        shape: Y and X of the smallest TXM slice.
        volume: Z, Y and X of the TXM volume, None where there is none.
        charge: whether any has a mask of charge.
        densities: whether all have both masks of density.
    """

    z: list[float]
    splits: list[str | None]
    shape: tuple[int, ...]
    volume: tuple[int, int, int] | None
    charge: bool
    densities: bool


def check_feasible(config: Config, sample: Sample, raw: Path) -> None:
    """Find what no training or prediction of the sample could do.

    Raises:
        ConfigError: names the sample, the key, what it asks for and what there is.
        InputError: files that belong together differ in size or bit depth, by their headers.
    """
    pairs = (
        _phantom(config.phantom_of(sample.sample), config, sample)
        if sample.source == "phantom"
        else _given(config, sample, raw)
    )
    _check_context(config, sample, pairs)
    _check_splits(config, sample, pairs)
    _check_sizes(config, sample, pairs)
    _check_masks(config, sample, pairs)
    _check_stack(config, sample, pairs)
    _check_scans(config, sample)


def _phantom(phantom: PhantomSettings, config: Config, sample: Sample) -> _Pairs:
    if sample.finer() != phantom.super_resolution:
        raise ConfigError(
            f"sample {sample.sample}, column super_resolution: its phantom is made with phantom.super_resolution = "
            f"{phantom.super_resolution}, and the column says {sample.super_resolution or 'nothing'}. Make both alike."
        )
    depth, height, width = shape = phantom.shape
    if min(height, width) < SMALLEST_PHANTOM_PX:
        raise ConfigError(
            f"phantom.shape: {list(shape)} (Z, Y, X) has less than {SMALLEST_PHANTOM_PX} voxels along Y or X. Enlarge "
            "it."
        )
    if not sample.sought:
        z = [float(position) for position in pair_slices(depth, phantom.pair_every)]
        return _Pairs(z, _splits(config, z, []), (height, width), shape, charge=True, densities=True)
    _check_transform(config, sample)
    count = phantom.milled.slices or len(pair_slices(depth, phantom.pair_every))
    sample.depths_of_slices(count)
    z = [float("nan")] * count
    densities = not phantom.milled.slices  # the stack has none
    return _Pairs(z, _splits(config, z, []), (height, width), shape, charge=True, densities=densities)


def _given(config: Config, sample: Sample, raw: Path) -> _Pairs:
    pairs = list_pairs(sample, raw)
    shapes = [pair.txm_kind()[0] for pair in pairs]
    volume = open_sample_volume(sample, raw)
    for pair in pairs:
        _check_pair(config, sample, pair, volume)
    z = [float("nan") if pair.z is None else float(pair.z) for pair in pairs]
    return _Pairs(
        z,
        _splits(config, z, [pair.split for pair in pairs]),
        tuple(min(shape[axis] for shape in shapes) for axis in (0, 1)),
        None if volume is None else volume.shape,
        charge=any(pair.charge is not None for pair in pairs),
        densities=all(set(DENSITIES) <= set(pair.extra) for pair in pairs),
    )


def _check_pair(config: Config, sample: Sample, pair: RawPair, volume: io.Volume | None) -> None:
    """The files of a pair against each other and the volume, by their headers: sizes of masks, and bit depths."""
    if pair.txm == pair.sem:
        raise InputError(
            f"sample {sample.sample}: {pair.txm} is TXM and FIB-SEM slice of pair {pair.pair}. Give the "
            "columns txm and sem different folders."
        )
    (shape, dtype), (sem_shape, _) = pair.txm_kind(), io.image_kind(pair.sem)
    for slice_ in pair.further:
        check_shape(slice_, io.image_kind(slice_)[0], pair.txm, shape)
    pair.check_detectors()
    for path in (pair.charge, *pair.extra.values()):
        if path is not None and (own := io.image_kind(path)[0]) != sem_shape:
            raise InputError(
                f"{path} is {own} and {pair.sem} is {sem_shape} (Y, X): a mask must fit its slice. Correct it."
            )
    if pair.sought:
        _check_transform(config, sample)
    if config.register_.transform == "none" and shape != sem_shape:
        raise InputError(
            f"{pair.txm} is {shape} and {pair.sem} is {sem_shape} (Y, X): with register.transform = none the two "
            "must be of one shape. Crop them alike, or choose another transform."
        )
    if volume is None or pair.z is None:
        return
    types = (dtype, *(io.image_kind(path)[1] for path in pair.further))
    for scan, slice_, kind in zip(volume.scans, (pair.txm, *pair.further), types, strict=True):
        if scan.dtype != kind:
            raise InputError(
                f"{scan.source}: its voxels are {scan.dtype}, but the TXM slices of sample {sample.sample} are "
                f"{kind}, as {slice_}. The network is trained on the slices and applied to the volume: export both "
                "with the same bit depth."
            )


def _check_transform(config: Config, sample: Sample) -> None:
    """That of a sample whose slices are sought in the volume."""
    if config.register_.transform == "none":
        raise ConfigError(
            f"register.transform: none registers nothing, but the FIB-SEM slices of sample {sample.sample} are to be "
            "searched for in the TXM volume (no column txm, or find in pair_z). Choose another transform."
        )


def _check_context(config: Config, sample: Sample, pairs: _Pairs) -> None:
    """That of `patches.context`, whatever the variants see of it."""
    context = config.patches.context
    if not context or sample.source == "phantom":
        return
    lacking = "has no TXM volume" if pairs.volume is None else ""
    if not lacking and not sample.sought and any(math.isnan(position) for position in pairs.z):
        lacking = "does not say where each of its pairs stands in the TXM volume"
    if lacking:
        raise ConfigError(
            f"patches.context: {context} TXM slices are asked for below and above each pair, but sample "
            f"{sample.sample} {lacking}. Give the columns txm_volume and pair_z of the sample table, or set "
            "patches.context to 0."
        )


def _splits(config: Config, z: list[float], given: list[str | None]) -> list[str | None]:
    shares, context = config.patches.split, config.patches.context
    if given and None not in given:
        return apart(z, given, context)
    return split_by_position(z, shares.validation, shares.test, context)


def _check_splits(config: Config, sample: Sample, pairs: _Pairs) -> None:
    counts = Counter(pairs.splits)
    for name in SPLITS:
        if not counts[name]:
            context = config.patches.context
            what = f", of which {counts[None]} are left out for patches.context = {context}" if counts[None] else ""
            raise ConfigError(
                f"sample {sample.sample}: no pair is left for the split {name}, of {len(pairs.z)} pairs{what} "
                f"(patches.split = {config.patches.split.model_dump()}). {_more_pairs(sample, bool(counts[None]))}"
            )


def _more_pairs(sample: Sample, crowded: bool) -> str:
    if sample.source == "phantom":
        more = "Set phantom.shape to more slices along Z, or phantom.pair_every to fewer"
        more = "Set phantom.pair_every to more slices" if crowded else more
    else:
        more = "Give more pairs, at least 3"
    return f"{more}, or lower patches.context." if crowded else f"{more}, or change patches.split."


def _check_sizes(config: Config, sample: Sample, pairs: _Pairs) -> None:
    patches = config.patches
    for axis, length, offset in zip("YX", pairs.shape, patches.txm.offset_px, strict=True):
        usable = (length - abs(offset)) // patches.grid_px * patches.grid_px
        if patches.size_px > usable:
            moved = f" less patches.txm.offset_px of {abs(offset)}" if offset else ""
            raise ConfigError(
                f"patches.size_px: {patches.size_px} is larger than the TXM slices of sample {sample.sample}, which "
                f"have {length} pixels along {axis}{moved}; in steps of patches.grid_px = {patches.grid_px} that is "
                f"{usable}. Set it to {usable} or less."
            )


def _check_masks(config: Config, sample: Sample, pairs: _Pairs) -> None:
    for name in config.side_tasks:
        task, family = config.variant(name).rules.task, config.variant(name).family
        if task == "segmentation" and not pairs.densities:
            raise ConfigError(
                f"variants.{name}: family {family} needs masks of low and high density beside every pair, which "
                f"sample {sample.sample} lacks. Give the columns lowdensity and highdensity of the sample table."
            )
        if task == "repair" and not pairs.charge:
            raise ConfigError(
                f"variants.{name}: family {family} learns from charged areas, but sample {sample.sample} has no masks "
                "of charge. Give the column charge of the sample table."
            )


def _check_stack(config: Config, sample: Sample, pairs: _Pairs) -> None:
    """That of `z_penalty.stack`; a sample without a volume is reported elsewhere."""
    if pairs.volume is None:
        return
    depth, *plane = pairs.volume
    for name in config.trained:
        variant = config.variant(name)
        if not variant.z_penalty.stack:
            continue
        size = config.patches.size_px // variant.factor
        if min(plane) // variant.factor < size:
            raise ConfigError(
                f"variants.{name}.z_penalty.stack: it draws patches of patches.size_px = {config.patches.size_px} from "
                f"the TXM volume of sample {sample.sample}, whose slices have {plane[0]} x {plane[1]} pixels. Lower "
                "patches.size_px."
            )
        if not drawable_slices(pairs.z, pairs.splits, depth, variant.context).size:
            raise ConfigError(
                f"variants.{name}.z_penalty.stack: none of the {depth} slices of the TXM volume of sample "
                f"{sample.sample} can be used: {2 * variant.context + 2} consecutive slices are needed, nearer to "
                "training pairs than to held-out ones. Set z_penalty.stack to 0."
            )


def _check_scans(config: Config, sample: Sample) -> None:
    """What cannot be done with several scans of the rock."""
    scans = sample.scans(config.phantom_of(sample.sample))
    if scans == 1:
        return
    variants = {name: config.variant(name) for name in config.trained}
    if coarse := [name for name, variant in variants.items() if variant.factor > 1]:
        raise ConfigError(
            f"variants {', '.join(coarse)}: they learn from a coarser TXM (factor), which takes one scan, but sample "
            f"{sample.sample} has {scans}. Leave them out (leave_out: [{', '.join(coarse)}]), or the further scans."
        )
    if stacked := [name for name, variant in variants.items() if variant.z_penalty.stack]:
        raise ConfigError(
            f"variants {', '.join(stacked)}, key z_penalty.stack: this penalty compares slices of one scan, but sample "
            f"{sample.sample} has {scans}. Set it to 0, or leave the further scans out."
        )


def check_labels(config: Config, sample: Sample, raw: Path) -> None:
    """Find what would stop a segmentation by labels before anything has run.

    Raises:
        ConfigError: the sample names no label images, or they cannot be matched with its pairs.
        InputError: the folder holds none, or one of no pair.
    """
    if config.measure.segmentation == "thresholds":
        return
    if sample.labels is None or sample.source == "reference":
        raise ConfigError(
            f"sample {sample.sample}, column labels: measure.segmentation = {config.measure.segmentation} needs a "
            "folder of label images of some FIB-SEM slices here, and source phantom or pairs. Give it, or set "
            "measure.segmentation to thresholds."
        )
    if sample.source == "phantom":
        return  # its pairs may not be made yet
    labels_of_pairs(sample, list_pairs(sample, raw))


def check_sample(sample: Sample, raw: Path) -> None:
    """Find what would stop the workflow in a user's own sample before anything has run, from the files' headers.

    Raises:
        InputError: a missing partner, images of one kind that differ in bit depth, an unreadable volume, a pair outside
            it, or a voxel size that is not known.
    """
    if sample.source == "phantom":
        return
    pairs = list_pairs(sample, raw)
    further = zip(*(pair.further for pair in pairs), strict=True)
    sem = ([pair.sem for pair in pairs], [pair.registered_by for pair in pairs if pair.registered_by is not None])
    for files in ([pair.txm for pair in pairs if not pair.sought], *further, *sem):
        depths = {file: io.image_kind(file)[1] for file in files}
        for file, dtype in depths.items():
            if dtype != depths[files[0]]:
                raise InputError(
                    f"{file}: {dtype}, but {files[0].name} is {depths[files[0]]}. Export all slices with one bit depth."
                )
    volume = open_sample_volume(sample, raw)
    if volume is None:
        return
    voxel_size_of(sample, volume)
    for pair in pairs:
        if pair.z is not None and pair.z >= volume.shape[0]:
            raise InputError(
                f"sample {sample.sample}, column pair_z: pair {pair.pair} is at z = {pair.z}, but {volume.source} has "
                f"{volume.shape[0]} slices."
            )
