"""Which raw pairs of slices a row of the sample table names, and which label images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.samples.raw_pairs import MEASURED, RawPair, numbered, pair_folders
from txm2sem_core.samples.splits import SPLITS
from txm2sem_core.samples.table import Sample

DENSITIES = ("lowdensity", "highdensity")  # masks of density, for the segmentation


def list_pairs(sample: Sample, raw: Path) -> list[RawPair]:
    """The raw pairs of a sample, in order. `raw` is where a phantom left its files.

    Raises:
        InputError: a folder or a partner is missing, or a number stands twice.
    """
    if sample.source == "reference":
        return _reference_pairs(Path(str(sample.txm)))
    if sample.source == "phantom":
        z_of = dict(zip(*(io.read_csv(raw / "pairs.csv")[c] for c in ("pair", "z")), strict=True))
        masks = {"charge": raw / "charge"} | {kind: raw / kind for kind in DENSITIES if (raw / kind).is_dir()}
        pairs = pair_folders(raw / "txm", raw / "sem", masks)
        return [replace(p, z=int(z_of[p.pair])) for p in pairs]
    kinds = ("charge", *DENSITIES, *MEASURED)
    masks = {kind: Path(folder) for kind in kinds if (folder := getattr(sample, kind)) is not None}
    pairs = pair_folders(Path(str(sample.txm)), Path(str(sample.sem)), masks)
    return [replace(p, z=z) for p, z in zip(pairs, sample.z_of_pairs(len(pairs)), strict=True)]


def pair_files(sample: Sample, raw: Path) -> list[Path]:
    """The images of all pairs, as `list_pairs` finds them."""
    return [file for pair in list_pairs(sample, raw) for file in pair.files]


def label_files(sample: Sample) -> dict[str, Path]:
    """The user's label images by the number in their names; empty where the sample has none."""
    return {one.name: one.path for one in numbered(Path(sample.labels)).values()} if sample.labels is not None else {}


def labels_of_pairs(sample: Sample, pairs: Iterable[RawPair]) -> dict[str, Path]:
    """The user's label images by the name of their pair, whose number they have; empty where the sample has none.

    Raises:
        InputError: the folder holds none, or one of no pair.
    """
    if sample.labels is None:
        return {}
    names = {Decimal(pair.pair): pair.pair for pair in pairs}
    files = numbered(Path(sample.labels), lambda numbers: numbers <= names.keys())
    for number, file in files.items():
        if number not in names:
            raise InputError(
                f"{file.path}: there is no FIB-SEM slice with the number {file.name}. Rename or remove it."
            )
    return {names[number]: file.path for number, file in files.items()}


def _reference_pairs(images: Path) -> list[RawPair]:
    """The layout of the published code: images/{train,validation,test}/{txm,sem,charge,lowdensity,highdensity}."""
    found = []
    for split in SPLITS:
        folder = next((images / name for name in (split, split[:3]) if (images / name).is_dir()), None)
        if folder is None:
            raise InputError(f"{images / split}: no such folder; the reference layout has {', '.join(SPLITS)}.")
        masks = {kind: folder / kind for kind in ("charge", *DENSITIES) if (folder / kind).is_dir()}
        pairs = pair_folders(folder / "txm", folder / "sem", masks)
        found += [replace(pair, pair=f"{split}{pair.pair}", split=split) for pair in pairs]
    return found
