"""Pairs of raw slices: found in folders by the numbers in the files' names, and read with what of them was measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.samples.sought import Depths

MEASURED = ("txm_measured", "sem_measured")  # masks of what was measured

Numbered = Mapping[Decimal, io.NumberedFile]
"""The images of a folder by the numbers in their names, lowest first."""


@dataclass(frozen=True)
class RawPair:
    """Two slices of one position as they came from the instruments."""

    pair: str
    z: int | None
    txm: Path  # of a sought pair the volume
    sem: Path
    charge: Path | None = None
    split: str | None = None
    extra: dict[str, Path] = field(default_factory=dict)
    txm_measured: Path | None = None  # mask of what was measured; None: it is found
    sem_measured: Path | None = None
    landmarks: tuple[Path, ...] = ()  # of BigWarp; or two of napari, of TXM and FIB-SEM slice
    pixel_nm: tuple[float | None, float | None] = (None, None)  # of TXM (finer) and FIB-SEM slice by the table, along X
    finer: int = 1  # pixels along y and x by which one of the TXM slice, or of the volume on a plane, is shown
    further: tuple[Path, ...] = ()  # the TXM slice in further scans
    sought: bool = False  # whether its plane is sought in the volume
    depths: Depths | None = None  # of a sought pair: slices of the volume in which its centre may lie; None: any
    registered_by: Path | None = None  # the same FIB-SEM slice by the detector that it is registered by; None: by `sem`

    def read_txm(self) -> Slice:
        """The TXM slice, and what of it was measured.

        Raises:
            InputError: it or its mask cannot be read, or they do not fit.
        """
        found = _read(self.txm, self.txm_measured)
        given = None if found.given is None else io.finer_image(found.given, self.finer)
        return found if self.finer == 1 else Slice(io.finer_image(found.image, self.finer), given)

    def read_further(self) -> list[Slice]:
        """The TXM slice in further scans, and what of each was measured, as `read_txm`; a given mask holds for all.

        Raises:
            InputError: one cannot be read, or is of another shape than the first.
        """
        shape, found = self.txm_kind()[0], [_read(path, self.txm_measured) for path in self.further]
        for path, one in zip(self.further, found, strict=True):
            check_shape(path, one.shape, self.txm, shape)
        return found

    def read_txm_size_nm(self) -> io.VoxelSize | None:
        """The size of the pixels that `read_txm` gives, as the file has it; None where it has none."""
        size = io.read_voxel_size_nm(self.txm)
        return None if size is None else io.finer_size(size, self.finer)

    def read_sem(self) -> Slice:
        """The same of the FIB-SEM slice, and how many of its rows its file states to be a data bar."""
        return self._read_sem(self.sem)

    @property
    def registered_sem(self) -> Path:
        """The image of the FIB-SEM slice that registration looks at."""
        return self.registered_by or self.sem

    def read_registered_sem(self) -> Slice:
        """That image, as `read_sem`.

        Raises:
            InputError: it or its mask cannot be read, or it is of another shape than the FIB-SEM slice.
        """
        found = self._read_sem(self.registered_sem)
        self.check_detectors()
        return found

    def _read_sem(self, file: Path) -> Slice:
        return replace(_read(file, self.sem_measured), bar_rows=io.read_bar_rows(file))

    def check_detectors(self) -> None:
        """Raise `InputError` unless the images of both detectors have one shape, by their headers."""
        if self.registered_by is None:
            return
        shape, other = (io.image_kind(path)[0] for path in (self.sem, self.registered_by))
        if shape != other:
            raise InputError(
                f"{self.sem} is {shape} and {self.registered_by} is {other} (Y, X): the images of all detectors must "
                "show the same pixels. Export them alike."
            )

    @property
    def stated_nm(self) -> tuple[float | None, float | None]:
        """Width of a pixel of the TXM and of the FIB-SEM slice, as files and table have it; None where neither says it.

        The TXM's is that of its file, or else of the table; of the FIB-SEM's the table comes first.
        """
        txm = None if self.sought else self.read_txm_size_nm()
        sem = io.read_voxel_size_nm(self.registered_sem)
        txm_nm = (txm[2] if txm is not None else None) or self.pixel_nm[0]
        return txm_nm, self.pixel_nm[1] or (sem[2] if sem is not None else None)

    @property
    def stated_scale(self) -> float:
        """TXM pixels to a FIB-SEM pixel by `stated_nm`; NaN where one of the sizes is not known."""
        txm_nm, sem_nm = self.stated_nm
        return sem_nm / txm_nm if txm_nm and sem_nm else float("nan")

    def read_landmarks(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Points (x, y) [N, 2] of the FIB-SEM and of the TXM slice that belong together; None where none are given.

        Raises:
            InputError: a file cannot be read, or the two have different numbers of points.
        """
        if not self.landmarks:
            return None
        if len(self.landmarks) == 1:
            on_sem, on_txm = io.read_bigwarp(self.landmarks[0])
            return on_sem, io.finer_points(on_txm, self.finer)
        txm, sem = (io.read_napari(path) for path in self.landmarks)
        if len(txm) != len(sem):
            raise InputError(
                f"{self.landmarks[1]} has {len(sem)} points and {self.landmarks[0]} {len(txm)}: each point needs its "
                "partner, in the same order."
            )
        return sem, io.finer_points(txm, self.finer)

    def txm_kind(self) -> tuple[tuple[int, int], np.dtype]:
        """Shape (Y, X) and type of the TXM slice, by its header; of a sought pair those of the volume's slices."""
        if not self.sought:
            (height, width), dtype = io.image_kind(self.txm)
            return (height * self.finer, width * self.finer), dtype
        with io.open_volume(self.txm) as volume:
            return (volume.shape[1] * self.finer, volume.shape[2] * self.finer), volume.dtype

    @property
    def files(self) -> list[Path]:
        """All of its images."""
        named = (
            None if self.sought else self.txm,
            *self.further,
            self.sem,
            self.registered_by,
            self.charge,
            *self.extra.values(),
            self.txm_measured,
            self.sem_measured,
        )
        named += self.landmarks
        return [file for file in named if file is not None]

    def check_masks(self) -> None:
        """Raise `InputError` unless each mask of what was measured fits its slice (see `io.read_measured`)."""
        for mask, image in ((self.txm_measured, self.txm), (self.sem_measured, self.sem)):
            if mask is not None:
                io.read_measured(mask, image, io.image_kind(image)[0])


def check_shape(path: Path, shape: tuple[int, ...], first: Path, of_first: tuple[int, ...]) -> None:
    """Raise `InputError` unless a slice of a further scan has the shape of the first scan's."""
    if shape != of_first:
        raise InputError(
            f"{path} is {shape} and {first} is {of_first} (Y, X): the slices of all scans must lie on one grid. Export "
            "them alike."
        )


def _read(file: Path, mask: Path | None) -> Slice:
    image = io.read_slice(file)
    return Slice(image, None if mask is None else io.read_measured(mask, file, image.shape))


@dataclass(frozen=True)
class Names:
    """How files are numbered where the usual rule does not hold (see `io.number_by_pattern`)."""

    txm: str | None = None  # pattern of the names of the TXM slices
    sem: str | None = None
    sem_offset: int = 0  # added to the numbers of FIB-SEM slices, of their masks and labels


def pair_folders(
    txm: Path,
    sem: Path,
    masks: Mapping[str, Path],
    names: Names = Names(),
    *,
    further: Sequence[Path] = (),
    registered_by: Path | None = None,
) -> list[RawPair]:
    """Images of these folders with the same number, lowest first; a pair has the name of its TXM slice's number.

    Args:
        txm: folder.
        sem: folder.
        masks: kind to folder: `charge`, `MEASURED`, and others, which become the pair's `extra`.
        names: how the files are numbered.
        further: folders of the TXM slices in further scans, numbered as those of the first.
        registered_by: folder of the FIB-SEM slices by the detector that they are registered by, numbered as `sem`.

    Raises:
        InputError: a folder or a partner is missing, or a number stands twice.
    """
    txm_files = numbered(txm, pattern=names.txm)
    sem_files = numbered(sem, lambda numbers: numbers == txm_files.keys(), names.sem, names.sem_offset)
    for number in sorted(txm_files.keys() ^ sem_files.keys()):
        lone, other = (txm_files, sem) if number in txm_files else (sem_files, txm)
        raise InputError(
            f"{lone[number].path}: there is no partner with the number {lone[number].name} in {other}. "
            f"{_suggestion(txm_files, sem_files, names)}"
        )
    found = {kind: _partners(kind, folder, txm_files, sem_files, names.sem_offset) for kind, folder in masks.items()}
    scans = [_as_first(folder, txm, txm_files, names.txm, "slice", "scans") for folder in further]
    registered = _of_detector(registered_by, sem, sem_files, names)
    fields = {kind: found.pop(kind) for kind in ("charge", *MEASURED) if kind in found}
    return [
        RawPair(
            txm_files[n].name,
            None,
            txm_files[n].path,
            sem_files[n].path,
            extra={kind: files[n] for kind, files in found.items()},
            further=tuple(scan[n].path for scan in scans),
            registered_by=registered.get(n),
            **{kind: files[n] for kind, files in fields.items()},  # type: ignore[arg-type]
        )
        for n in txm_files
    ]


def _as_first(
    folder: Path, first: Path, of_first: Numbered, pattern: str | None, one: str, all_: str, offset: int = 0
) -> Numbered:
    """The slices of a further scan or detector, which has those of the first and no others."""
    files = numbered(folder, lambda numbers: numbers == of_first.keys(), pattern, offset)
    for number in sorted(of_first.keys() ^ files.keys()):
        lone, other = (of_first, folder) if number in of_first else (files, first)
        raise InputError(
            f"{lone[number].path}: there is no {one} with the number {lone[number].name} in {other}, and {all_} have "
            "the same slices. Add or remove it."
        )
    return files


def _of_detector(folder: Path | None, sem: Path, files: Numbered, names: Names) -> dict[Decimal, Path]:
    """The images of another detector by number; nothing without a folder."""
    if folder is None:
        return {}
    found = _as_first(folder, sem, files, names.sem, "image", "detectors", names.sem_offset)
    return {number: each.path for number, each in found.items()}


def sought_pairs(
    volume: Path,
    sem: Path,
    masks: Mapping[str, Path],
    names: Names = Names(),
    *,
    registered_by: Path | None = None,
) -> list[RawPair]:
    """FIB-SEM slices of a folder, lowest number first, whose planes are sought in a volume; see `pair_folders`."""
    files = numbered(sem, pattern=names.sem, offset=names.sem_offset)
    found = {kind: _partners(kind, folder, files, files, names.sem_offset) for kind, folder in masks.items()}
    fields = {kind: found.pop(kind) for kind in ("charge", *MEASURED) if kind in found}
    registered = _of_detector(registered_by, sem, files, names)
    return [
        RawPair(
            one.name,
            None,
            volume,
            one.path,
            extra={kind: of_kind[number] for kind, of_kind in found.items()},
            sought=True,
            registered_by=registered.get(number),
            **{kind: of_kind[number] for kind, of_kind in fields.items()},  # type: ignore[arg-type]
        )
        for number, one in files.items()
    ]


def _suggestion(txm: Numbered, sem: Numbered, names: Names) -> str:
    """What to do where numbers do not match: an offset where it makes all match, or patterns of names."""
    offset = min(txm) - min(sem)
    if len(txm) == len(sem) and offset == int(offset) and {number + offset for number in sem} == txm.keys():
        return (
            f"All would have one if {offset:+} were added to the numbers of the FIB-SEM slices: write "
            f"sem_number_offset = {int(offset) + names.sem_offset} into the sample table, if the slices with the "
            "lowest numbers belong together."
        )
    first = next(iter(sem.values())).path.name
    return (
        "Add or remove it; or, where another number in the names is meant, write the names into the columns txm_names "
        f"and sem_names of the sample table, with {io.NUMBER} in its place (of {first}, say, "
        f"{_pattern_like(first)})."
    )


def _pattern_like(name: str) -> str:
    """A pattern that shows how one is written, from a file's name: its first number is the one."""
    return re.sub(r"\d+", io.NUMBER, name, count=1)


def _partners(kind: str, folder: Path, txm: Numbered, sem: Numbered, sem_offset: int) -> dict[Decimal, Path]:
    """The masks of one kind by number; those of no pair may lie there too."""
    offset = 0 if kind == "txm_measured" else sem_offset
    files = numbered(folder, lambda numbers: numbers >= txm.keys(), offset=offset)
    for number in txm:
        if number not in files:
            image = (txm if kind in ("charge", "txm_measured") else sem)[number].path
            what = {"charge": "charge mask"} | dict.fromkeys(MEASURED, "mask of what was measured")
            raise InputError(
                f"{image}: there is no {what.get(kind, 'partner')} with the number {txm[number].name} in {folder}. "
                "Add it."
            )
    return {number: files[number].path for number in txm}


def numbered(
    folder: Path,
    fits: Callable[[set[Decimal]], bool] = lambda numbers: True,
    pattern: str | None = None,
    offset: int = 0,
) -> Numbered:
    """The images of a folder by number.

    Args:
        folder: of images.
        fits: where names have several numbers, those that fit count (see `io.number_files`).
        pattern: of the names, where it is given (see `io.number_by_pattern`).
        offset: added to the numbers.
    """
    files = io.list_images(folder)
    if pattern is not None:
        found = io.number_by_pattern(files, pattern)
    else:
        found = io.number_files(files, lambda numbers: fits({number + offset for number in numbers}))
    return {number + offset: replace(one, number=number + offset) for number, one in found.items()}
