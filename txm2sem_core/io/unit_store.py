"""A volume while it is made: beside its final path, unit by unit, so that a killed job loses no more than a unit.

Of a volume `sem.ome.zarr` that a job with the digest D makes, this lies beside it until it is whole:

    .sem.ome.zarr.units-D/
        volume/             the zarr group, without the OME metadata that would make it a volume
        marks/0.00003.json  unit 3 of level 0 is there: SHA-256 of each of its files
        writing/            files that are being written
        lock

Files are synced and renamed, and then the mark is: whatever is marked is there. At the end the pyramid is built, which
has units and marks too, the metadata is written, and `volume/` becomes `sem.ome.zarr`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core.errors import InputError, free_mib
from txm2sem_core.io.atomic import explain_write_errors, make_parent, put_in_place, remove, sync, working_path
from txm2sem_core.io.files import path_within
from txm2sem_core.io.locks import folder_lock
from txm2sem_core.io.ome_zarr import Channel, write_metadata
from txm2sem_core.io.tables import read_json, sha256_file, write_json
from txm2sem_core.io.units import Unit, plan_units
from txm2sem_core.io.voxel_sizes import VoxelSize
from txm2sem_core.io.zarr_levels import UNIT_Z, Block, Shape, Version, ZarrLevels

Marks = dict[str, dict[str, Any]]


def volume_units(shape: Shape) -> list[Unit]:
    """The units of a volume (Z, Y, X) itself."""
    return plan_units(shape[0], UNIT_Z)


class UnitStore:
    """The units of a volume that is being made. Several processes may write at once, also the same unit."""

    def __init__(
        self,
        target: Path,
        digest: str,
        shape: Shape,
        dtype: np.dtype,
        channels: Sequence[Channel],
        version: Version = "0.5",
    ) -> None:
        """Nothing is made on disk before `writing` or `closing`.

        Args:
            target: where the volume will be.
            digest: of all that its voxels depend on: units of another digest are another volume's.
            shape: (Z, Y, X).
            dtype: of the voxels.
            channels: of an axis before z, or none.
            version: of OME-Zarr.
        """
        self.target, self.channels = target, tuple(channels)
        self.folder = target.with_name(f".{target.name}.units-{digest[:16]}")
        self._layout, self._version = (shape, np.dtype(dtype), len(self.channels)), version
        self._checked: set[tuple[int, int]] = set()  # units whose files this process wrote or compared

    @property
    def levels(self) -> ZarrLevels:
        """The arrays, made if they are not there."""
        return ZarrLevels(self.folder / "volume", *self._layout, self.folder / "writing", self._version)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write units; others may too. If none was made at all, nothing is left behind."""
        self._make_folder()
        try:
            with explain_write_errors(self.target), folder_lock(self.folder, shared=True):
                yield
        finally:
            if not self.is_begun():
                self._remove(self.folder)

    @contextmanager
    def closing(self) -> Iterator[bool]:
        """Be alone, after all others that write; yields whether a unit is there: another may have been faster."""
        self._make_folder()
        try:
            with explain_write_errors(self.target), folder_lock(self.folder, shared=False):
                yield self.is_begun()
        finally:
            if not self.is_begun():
                self._remove(self.folder)

    def _make_folder(self) -> None:
        make_parent(self.target)
        if self.folder.is_symlink():
            raise InputError(f"{self.folder}: this is a symbolic link, and stands in the way. Remove it.")

    def is_begun(self) -> bool:
        """Whether a unit is marked, whoever wrote it."""
        return any((self.folder / "marks").glob("[0-9]*.json"))

    def write(self, unit: Unit, voxels: np.ndarray, notes: Mapping[str, Any] | None = None) -> None:
        """Write a unit of the volume itself and mark it; what coarser levels have of it is no longer valid.

        Args:
            unit: of level 0.
            voxels: [Z, Y, X], or [C, Z, Y, X] with channels.
            notes: JSON values to keep in its mark.
        """
        for level in range(1, len(self.levels.shapes)):
            over = self.levels.units(level)[unit.index >> level]
            self._checked.discard((level, over.index))
            self._mark_path(level, over).unlink(missing_ok=True)
        self._write(0, unit, [((slice(unit.z0, unit.z1), slice(None), slice(None)), voxels)], notes or {})

    def missing(self, units: Iterable[Unit], level: int = 0) -> tuple[list[Unit], list[Unit]]:
        """Missing units, and those of them that exist with files that differ from what was written.

        Files are read and compared with the checksums of the marks.
        """
        missing, damaged = [], []
        for unit in units:
            if (level, unit.index) in self._checked:
                continue
            files = self._mark(level, unit).get("files")
            if (
                isinstance(files, dict)
                and files
                and all(self._is_whole(name, digest) for name, digest in files.items())
            ):
                self._checked.add((level, unit.index))
                continue
            missing.append(unit)
            if files:
                damaged.append(unit)
        return missing, damaged

    def marks(self, units: Iterable[Unit]) -> Marks:
        """What is marked of units of the volume itself, by their number."""
        return {str(unit.index): self._mark(0, unit) for unit in units}

    def read(self, unit: Unit) -> np.ndarray:
        """A unit's voxels, [Z, Y, X] or [C, Z, Y, X]."""
        return self.levels.read(0, unit)

    def build_pyramid(self) -> None:
        """Make the units of the coarser levels that are not there, from level to level."""
        levels = self.levels
        for level in range(1, len(levels.shapes)):
            for unit in self.missing(levels.units(level), level)[0]:
                self._write(level, unit, levels.halve(level, unit), {})

    def build_over(self, unit: Unit) -> None:
        """Make the units of the coarser levels over a unit, where this process has all that they are means of."""
        levels, index = self.levels, unit.index
        for level in range(1, len(levels.shapes)):
            finer = levels.units(level - 1)[2 * (index // 2) : 2 * (index // 2) + 2]
            index //= 2
            coarser = levels.units(level)[index]
            if (level, index) in self._checked or not all((level - 1, each.index) in self._checked for each in finer):
                return
            self._write(level, coarser, levels.halve(level, coarser), {})

    def written(self) -> dict[str, tuple[str, int]]:
        """SHA-256 of the files of all units that this process wrote or compared, and when each was marked, in ns."""
        found: dict[str, tuple[str, int]] = {}
        for level, index in self._checked:
            unit = self.levels.units(level)[index]
            with suppress(OSError):
                marked = self._mark_path(level, unit).stat().st_mtime_ns
                found |= {name: (digest, marked) for name, digest in self._files(level, unit).items()}
        return found

    def put_in_place(
        self, voxel_size_nm: VoxelSize | None, attributes: Mapping[str, Any], *, overwrite: bool = True
    ) -> None:
        """Make the levels, which must all be there, a volume, and put it where it belongs (see `atomic_path`)."""
        write_metadata(self.levels, self.target, voxel_size_nm, self.channels, attributes)
        put_in_place(self.folder / "volume", self.target, overwrite=overwrite)
        sync(self.target.parent)
        self.discard()

    def discard(self) -> None:
        """Remove what is left of this volume's making, and what earlier jobs of other digests left."""
        remove(self.folder)
        others = re.compile(re.escape(f".{self.target.name}.units-") + r"[0-9a-f]{1,16}")
        for other in self.target.parent.iterdir():
            if others.fullmatch(other.name) and other != self.folder:
                self._remove(other)

    def _write(self, level: int, unit: Unit, blocks: Iterable[Block], notes: Mapping[str, Any]) -> None:
        levels = self.levels
        try:
            files = levels.write(level, blocks)
            write_json_synced(self._mark_path(level, unit), {**notes, "z0": unit.z0, "z1": unit.z1, "files": files})
        except OSError as error:
            raise InputError(
                f"{self.target}: slices {unit.z0} to {unit.z1 - 1} of level {level} cannot be written "
                f"({error.strerror}; {free_mib(self.target.parent)} MiB are free in {self.target.parent}). Make space "
                f"there or correct what it says, and run the same again: what is done is kept in {self.folder}."
            ) from error
        self._checked.add((level, unit.index))

    def _mark_path(self, level: int, unit: Unit) -> Path:
        return self.folder / "marks" / f"{level}.{unit.index:05d}.json"

    def _mark(self, level: int, unit: Unit) -> dict[str, Any]:
        try:
            mark = read_json(self._mark_path(level, unit))
        except InputError:
            return {}
        return mark if isinstance(mark, dict) else {}

    def _files(self, level: int, unit: Unit) -> dict[str, str]:
        files = self._mark(level, unit).get("files")
        return files if isinstance(files, dict) else {}

    def _is_whole(self, name: str, digest: str) -> bool:
        try:
            return sha256_file(path_within(self.folder / "volume", name, self.folder, "a file of a unit")) == digest
        except InputError:
            return False

    @staticmethod
    def _remove(folder: Path) -> None:
        """Remove a folder of units unless another process works in it."""
        if folder.is_dir() and not folder.is_symlink():
            with folder_lock(folder, shared=False, wait=False) as alone:
                if alone:
                    remove(folder)


def write_json_synced(path: Path, value: Any) -> None:
    """Write JSON atomically into a folder of ours, and have it on the disk before going on."""
    with working_path(path) as temporary:
        write_json(temporary, value)
        sync(temporary)
    sync(path.parent)
