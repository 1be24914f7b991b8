"""Stated pixel sizes by which a FIB-SEM slice would be far too large or too small for its TXM slice: refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.config import Config
from txm2sem_core.errors import ConfigError
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.table import Sample

MOST_WIDTHS = 20.0  # TXM pixels to a FIB-SEM pixel; registration finds up to `register.scales` of them, by default 2
MOST_FIELDS = 20.0  # longer sides of the TXM slice to the shorter side of the FIB-SEM slice
NOT_SQUARE = 0.005  # by how much a pixel's sides may differ: 2.5 pixels at the edges of a slice of 1024
FEWEST_PX = 4.0  # TXM pixels to the shorter side of the FIB-SEM slice


def check_scales(config: Config, sample: Sample, raw: Path) -> list[str]:
    """Refuse what `check_scale` does, in every pair of a user's sample that is to be registered.

    Returns:
        A warning where FIB-SEM slices have pixels of another shape than the TXM's, as only an affine transform holds.

    Raises:
        ConfigError: see there.
    """
    if sample.source == "phantom" or config.register_.transform == "none":
        return []
    pairs = list_pairs(sample, raw)
    for pair in pairs:
        check_scale_of_pair(pair)
    return [] if config.register_.transform == "affine" and not sample.sought else _odd_shapes(sample, pairs)


def _odd_shapes(sample: Sample, pairs: Sequence[RawPair]) -> list[str]:
    """A warning where the files of FIB-SEM slices state pixels of another shape than those of the TXM."""
    if sample.sought and pairs:
        with io.open_volume(pairs[0].txm) as volume:
            of_txm = [volume.voxel_size_nm] * len(pairs)
    else:
        of_txm = [io.read_voxel_size_nm(pair.txm) for pair in pairs]
    both = [(pair, io.read_voxel_size_nm(pair.registered_sem), txm) for pair, txm in zip(pairs, of_txm, strict=True)]
    odd = [each for each in both if abs(_height_over_width(each[1]) / _height_over_width(each[2]) - 1) > NOT_SQUARE]
    if not odd:
        return []
    pair, sem, txm = odd[0]
    remedy = "Set register.transform: affine"
    if sample.sought:
        remedy = "Slices that are sought in a volume are not stretched: save them with pixels of its shape"
    return [
        f"sample {sample.sample}: the pixels of {len(odd)} of {len(pairs)} FIB-SEM slices have another shape than the "
        f"TXM's: those of {pair.registered_sem} are {_high_and_wide(sem)} by its file, the TXM's "
        f"{_high_and_wide(txm)}. {remedy}."
    ]


def _height_over_width(size: io.VoxelSize | None) -> float:
    _, y_nm, x_nm = size or (None, None, None)
    return y_nm / x_nm if x_nm and y_nm else 1.0


def _high_and_wide(size: io.VoxelSize | None) -> str:
    _, y_nm, x_nm = size or (None, None, None)
    return f"{y_nm:g} nm high and {x_nm:g} nm wide" if x_nm and y_nm else "of no stated size, and taken as square"


def check_scale_of_pair(pair: RawPair) -> None:
    """`check_scale` of a pair, by the headers of its files and the table."""
    _, by_table = pair.pixel_nm
    check_scale(
        pair.stated_nm,
        (pair.registered_sem, io.image_kind(pair.registered_sem)[0]),
        (pair.txm, pair.txm_kind()[0]),
        "column sem_pixel_size_nm" if by_table else "its file",
    )


def check_scale(
    stated_nm: tuple[float | None, float | None],
    sem: tuple[Path, tuple[int, ...]],
    txm: tuple[Path | str, tuple[int, ...]],
    by: str = "its file",
) -> None:
    """Refuse sizes that can only be an error of the unit, before images of such sizes are made.

    Args:
        stated_nm: width of a pixel of the TXM and of the FIB-SEM slice; None where it is not stated.
        sem: FIB-SEM slice, and its shape (Y, X).
        txm: TXM slice or volume, and the shape (Y, X) of a slice of it.
        by: what states the size of the FIB-SEM slice's pixels.

    Raises:
        ConfigError: a pixel is more than `MOST_WIDTHS` times as wide, or the slice covers more than `MOST_FIELDS` TXM
            slices along both sides, or fewer than `FEWEST_PX` TXM pixels along one.
    """
    txm_nm, sem_nm = stated_nm
    if not txm_nm or not sem_nm:
        return
    scale, sides, field = sem_nm / txm_nm, sem[1], max(txm[1])
    shorter = scale * min(sides)
    if scale <= MOST_WIDTHS and FEWEST_PX <= shorter <= MOST_FIELDS * field:
        return
    raise ConfigError(
        f"{sem[0]}: its pixels are {sem_nm:g} nm wide by {by}, and those of the TXM ({txm[0]}) {txm_nm:g} nm, so that "
        f"its {sides[1]} x {sides[0]} pixels would cover {scale * sides[1]:.3g} x {scale * sides[0]:.3g} TXM pixels of "
        f"{txm[1][1]} x {txm[1][0]} (X x Y). Sizes are in nanometres, and a factor of 1000 is one of units: correct "
        "the wrong one in the file or, in a workflow, in the columns sem_pixel_size_nm and voxel_size_nm."
    )
