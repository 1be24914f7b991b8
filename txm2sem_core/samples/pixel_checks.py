"""Checks of the pixels of a sample's images, before any job runs: whether phases, thresholds and ranges fit them.

Images are read only as far as a question needs: as a rule a single FIB-SEM slice, and the user's few label images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from txm2sem_core import io
from txm2sem_core.config import Config, MeasureSettings
from txm2sem_core.config.train import BY_PORES, PORE_PHASES
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.intensity import DataRangeFit
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.samples.pairs import label_files, labels_of_pairs, list_pairs
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.slice_position import MIN_AGREEMENT, correlation, position_in_plane
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import open_sample_volume

_FULL_8BIT = 255.0


def check_pixels(config: Config, sample: Sample, raw: Path) -> list[str]:
    """Find what the pixels of a sample's own images rule out.

    Returns:
        Warnings: what does not stop a run, but could mislead.

    Raises:
        ConfigError: fewer grey levels than phases, useless thresholds, a data range that the slices exceed or
            cannot reach, or labels of other phases.
        InputError: the TXM slices are another region of the volume's planes than their upper left corner; or a mask of
            what was measured does not fit its image, or marks next to nothing.
    """
    warnings: list[str] = []
    if config.measure.segmentation != "thresholds":
        _check_labels(config.measure, sample, raw)
    if sample.source == "phantom":
        return warnings
    pairs = list_pairs(sample, raw)
    for pair in pairs:
        pair.check_masks()
    if (volume := open_sample_volume(sample, raw)) is not None:
        io.check_share(volume)
    _check_types(config.measure, sample, pairs[0].sem)
    has_volume = volume is not None  # only volumes are segmented into phases
    if has_volume and config.measure.thresholds:
        _check_thresholds(config.measure, sample, pairs)
    _check_levels(config, sample, pairs, has_volume=has_volume)
    warnings += _check_range(config.measure, sample, pairs[0])
    return [*warnings, *_check_extent(volume, pairs)]


def _check_types(settings: MeasureSettings, sample: Sample, file: Path) -> None:
    """Thresholds and a data range that no grey level of the files' type can reach, by the header alone."""
    dtype = io.image_kind(file)[1]
    if dtype.kind not in "iu":
        return
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if beyond := [level for level in settings.thresholds if not low <= level < high]:
        raise ConfigError(
            f"measure.thresholds: {beyond[0]:g} separates no grey levels of the FIB-SEM slices of sample "
            f"{sample.sample}, which are {dtype} ({low} to {high}), as {file}. Give thresholds in their grey levels, "
            "or leave them out."
        )
    if settings.data_range != "auto" and settings.data_range > high - low:
        raise ConfigError(
            f"measure.data_range: {settings.data_range:g} is more than the FIB-SEM slices of sample {sample.sample} "
            f"can span, which are {dtype} ({low} to {high}), as {file}. Every score would be too good. Set it to auto."
        )


@dataclass(frozen=True)
class _Needed:
    """How many grey levels something needs, and what can be done without them."""

    what: str
    levels: int
    remedy: str


def _check_levels(config: Config, sample: Sample, pairs: list[RawPair], *, has_volume: bool) -> None:
    """Enough grey levels for the phases of volumes or of validation patches."""
    settings, wanted = config.measure, []
    if has_volume and settings.segmentation == "thresholds" and not settings.thresholds:
        remedy = "Set measure.phases to {}, or give measure.thresholds"
        wanted.append(_Needed(f"measure.phases: {settings.phases} phases", settings.phases, remedy))
    for name in config.trained:
        if (select := config.variant(name).select) in BY_PORES:
            remedy = "Choose best_psnr, best_ssim or last"
            wanted.append(_Needed(f"variants.{name}.select: the pores of {select}", PORE_PHASES, remedy))
    most = max((each.levels for each in wanted), default=0)
    found: np.ndarray = np.empty(0)
    for plane in _planes(pairs) if most else ():
        found = np.unique(np.concatenate([found, np.unique(plane)]))
        if found.size >= most:
            return
    for each in wanted:
        if found.size < each.levels:
            shown = ", ".join(f"{level:g}" for level in found)
            raise ConfigError(
                f"{each.what} need {each.levels} different grey levels, but the FIB-SEM slices of sample "
                f"{sample.sample} hold {found.size} ({shown}), as {pairs[0].sem}. {each.remedy.format(found.size)}; or "
                "give the images as the microscope took them, where these are a segmentation."
            )


def _planes(pairs: list[RawPair]) -> Iterator[np.ndarray]:
    """The grey levels of the FIB-SEM slices, as far as they were measured."""
    for pair in pairs:
        sem = pair.read_sem()
        yield sem.image[sem.mask]


def _check_thresholds(settings: MeasureSettings, sample: Sample, pairs: list[RawPair]) -> None:
    lowest, highest = np.inf, -np.inf
    phases: set[int] = set()
    for plane in _planes(pairs):
        if plane.size:
            lowest, highest = min(lowest, float(plane.min())), max(highest, float(plane.max()))
            phases = set(np.searchsorted(settings.thresholds, [lowest, highest]).tolist())
        if len(phases) > 1:
            return
    raise ConfigError(
        f"measure.thresholds: {list(settings.thresholds)} separate nothing: all grey levels of the FIB-SEM slices of "
        f"sample {sample.sample} are of one phase, {lowest:g} to {highest:g}. Give thresholds between these, or leave "
        "them out."
    )


def _check_range(settings: MeasureSettings, sample: Sample, pair: RawPair) -> list[str]:
    """The data range against a slice: one that does not contain it is refused, one far wider gives a warning."""
    sem, file = pair.read_sem(), pair.sem
    pixels = sem.image[sem.mask]
    if settings.data_range != "auto":
        full, key = float(settings.data_range), "measure.data_range"
    elif pixels.dtype == np.uint8:
        full, key = _FULL_8BIT, "measure.data_range = auto, which is 255 for 8-bit slices,"
    else:
        return []  # the range that the patches record
    if not pixels.size:
        return []
    fit = DataRangeFit.of(pixels, full)
    if fit.is_too_small:
        raise ConfigError(
            f"measure.data_range: {full:g} does not hold the FIB-SEM slices of sample {sample.sample}: nine tenths of "
            f"{file} lie between {fit.low:g} and {fit.high:g}. Every score would be too low. Set it to auto."
        )
    if not fit.is_far_too_wide:
        return []
    return [
        f"sample {sample.sample}: {file} holds {np.unique(pixels).size} grey levels, {fit.least:g} to "
        f"{fit.greatest:g}, and {key} refers scores to {full:g}: PSNR, SSIM and errors will look too good, by "
        f"{fit.psnr_excess_db:.0f} dB of PSNR. Set measure.data_range to {fit.span:g}, or export the slices with "
        "their full range."
    ]


def _check_labels(settings: MeasureSettings, sample: Sample, raw: Path) -> None:
    """Label images: each fits its slice, and together they hold the configured phases, and no others."""
    files = label_files(sample)
    if sample.source == "pairs":
        pairs = {pair.pair: pair for pair in list_pairs(sample, raw)}
        for name, file in labels_of_pairs(sample, pairs.values()).items():
            (shape, _), (wanted, _) = io.image_kind(file), io.image_kind(pairs[name].sem)
            if tuple(shape) != tuple(wanted):
                raise ConfigError(
                    f"sample {sample.sample}, column labels: {file} is {tuple(shape)} and {pairs[name].sem} is "
                    f"{tuple(wanted)} (Y, X): labels must fit their slice."
                )
    found: set[int] = set()
    for file in files.values():
        image = io.read_image(file)
        labels = np.unique(image)
        if image.dtype.kind not in "iu" or labels[0] < 0 or labels[-1] > settings.phases:
            raise ConfigError(
                f"sample {sample.sample}, column labels: {file} holds {image.dtype} values from {labels[0]} to "
                f"{labels[-1]}; with measure.phases = {settings.phases} labels are whole numbers, 0 = not labelled, 1 "
                f"to {settings.phases} = phases from the darkest. Correct either."
            )
        found |= set(labels.tolist())
    if missing := sorted(set(range(1, settings.phases + 1)) - found):
        raise ConfigError(
            f"sample {sample.sample}, column labels: no pixel has the label {', '.join(map(str, missing))}, but "
            f"measure.phases is {settings.phases}. Label some, or lower measure.phases."
        )


def _check_extent(volume: io.Volume | None, pairs: list[RawPair]) -> list[str]:
    """TXM slices of another size than the volume's planes: whether they are their upper left corner, as is taken."""
    if volume is None:
        return []
    plane_shape = volume.shape[1:]
    for pair in pairs:
        shape = pair.txm_kind()[0]
        if pair.z is None or tuple(shape) == plane_shape:
            continue
        given = None if volume.mask is None else volume.mask.read(pair.z, pair.z + 1)[0]
        plane = Slice(volume.read(pair.z, pair.z + 1)[0], given)
        return _extent_messages(pair.txm, pair.read_txm(), plane, f"slice z = {pair.z} of {volume.source}")
    return []


def _extent_messages(file: Path, of_pair: Slice, plane: Slice, where: str) -> list[str]:
    height, width = (min(a, b) for a, b in zip(of_pair.shape, plane.shape, strict=True))
    own, other = (each.corner(height, width) for each in (of_pair, plane))
    if correlation(own.image, other.image, own.mask & other.mask) >= MIN_AGREEMENT:
        return []
    sizes = (
        f"{file}: it has {of_pair.shape[0]} x {of_pair.shape[1]} pixels, and {where} {plane.shape[0]} x "
        f"{plane.shape[1]} (Y, X)"
    )
    found = position_in_plane(of_pair.filled, plane.filled)
    if found is None:
        return [
            f"{sizes}. A smaller slice must be the upper left corner of its plane, and it was found neither there nor "
            "elsewhere in it. Export slices and volume alike, and look whether pair_z is right."
        ]
    y, x, agreement = found
    raise InputError(
        f"{sizes}. A smaller slice must be the upper left corner of its plane, but it is cropped from y = {y} to "
        f"{y + of_pair.shape[0] - 1} and x = {x} to {x + of_pair.shape[1] - 1} (correlation {agreement:.2f}). Give TXM "
        "slices that were not cropped (registration finds where a smaller FIB-SEM slice lies), or crop the volume "
        "alike."
    )
