"""Pairs of raw slices: found in folders by the numbers in the files' names, and read with what of them was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import Slice

MEASURED = ("txm_measured", "sem_measured")  # masks of what was measured

Numbered = Mapping[Decimal, io.NumberedFile]
"""The images of a folder by the numbers in their names, lowest first."""


@dataclass(frozen=True)
class RawPair:
    """Two slices of one place as they came from the instruments."""

    pair: str
    z: int | None
    txm: Path
    sem: Path
    charge: Path | None = None
    split: str | None = None
    extra: dict[str, Path] = field(default_factory=dict)
    txm_measured: Path | None = None  # mask of what was measured; None: it is found
    sem_measured: Path | None = None

    def read_txm(self) -> Slice:
        """The TXM slice, and what of it was measured.

        Raises:
            InputError: it or its mask cannot be read, or they do not fit.
        """
        return _read(self.txm, self.txm_measured)

    def read_sem(self) -> Slice:
        """The same of the FIB-SEM slice."""
        return _read(self.sem, self.sem_measured)

    @property
    def files(self) -> list[Path]:
        """All of its images."""
        named = (self.txm, self.sem, self.charge, *self.extra.values(), self.txm_measured, self.sem_measured)
        return [file for file in named if file is not None]

    def check_masks(self) -> None:
        """Raise `InputError` unless each mask of what was measured fits its slice (see `io.read_measured`)."""
        for mask, image in ((self.txm_measured, self.txm), (self.sem_measured, self.sem)):
            if mask is not None:
                io.read_measured(mask, image, io.image_kind(image)[0])


def _read(file: Path, mask: Path | None) -> Slice:
    image = io.read_slice(file)
    return Slice(image, None if mask is None else io.read_measured(mask, file, image.shape))


def pair_folders(txm: Path, sem: Path, masks: Mapping[str, Path]) -> list[RawPair]:
    """Images of these folders with the same number, lowest first; a pair has the name of its TXM slice's number.

    Args:
        txm: folder.
        sem: folder.
        masks: kind to folder: `charge`, `MEASURED`, and others, which become the pair's `extra`.

    Raises:
        InputError: a folder or a partner is missing, or a number stands twice.
    """
    txm_files = numbered(txm)
    sem_files = numbered(sem, lambda numbers: numbers == txm_files.keys())
    for number in sorted(txm_files.keys() ^ sem_files.keys()):
        lone, other = (txm_files, sem) if number in txm_files else (sem_files, txm)
        raise InputError(
            f"{lone[number].path}: there is no partner with the number {lone[number].name} in {other}. Add or remove "
            "it."
        )
    found = {kind: _partners(kind, folder, txm_files, sem_files) for kind, folder in masks.items()}
    fields = {kind: found.pop(kind) for kind in ("charge", *MEASURED) if kind in found}
    return [
        RawPair(
            txm_files[n].name,
            None,
            txm_files[n].path,
            sem_files[n].path,
            extra={kind: files[n] for kind, files in found.items()},
            **{kind: files[n] for kind, files in fields.items()},  # type: ignore[arg-type]
        )
        for n in txm_files
    ]


def _partners(kind: str, folder: Path, txm: Numbered, sem: Numbered) -> dict[Decimal, Path]:
    """The masks of one kind by number; those of no pair may lie there too."""
    files = numbered(folder, lambda numbers: numbers >= txm.keys())
    for number in txm:
        if number not in files:
            image = (txm if kind in ("charge", "txm_measured") else sem)[number].path
            what = {"charge": "charge mask"} | dict.fromkeys(MEASURED, "mask of what was measured")
            raise InputError(
                f"{image}: there is no {what.get(kind, 'partner')} with the number {txm[number].name} in {folder}. "
                "Add it."
            )
    return {number: files[number].path for number in txm}


def numbered(folder: Path, fits: Callable[[set[Decimal]], bool] = lambda numbers: True) -> Numbered:
    """The images of a folder by number; where names have several numbers, those that fit (see `io.number_files`)."""
    return io.number_files(io.list_images(folder), fits)
