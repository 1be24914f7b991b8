"""The sample table, and the raw pairs of slices that each of its rows names."""

from __future__ import annotations

import csv
import io as text_io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from txm2sem_core import io
from txm2sem_core.config import Name, PhantomSettings
from txm2sem_core.config.base import Text, UserPath
from txm2sem_core.config.checking import shown
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.samples.further import check_further, further_columns
from txm2sem_core.samples.raw_pairs import MEASURED, Names
from txm2sem_core.samples.sought import Depths, around, depths_sought, is_sought

RESERVED = ("logs", "benchmarks", "crate")  # folders of the results beside those of the samples
AUTO = "auto"  # of `super_resolution`
_MAX_CHARACTERS = 2**22
_DETECTOR = "_sem_"  # between the name of a row and the number of a further detector, in the name of its sample


class Columns(BaseModel):
    """What a row of `config/samples.tsv` says of each of its samples. Paths are relative to the folder of the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: Name
    source: Literal["phantom", "pairs", "reference"]
    txm: UserPath | None = None  # folder of the TXM slices; of `reference`: the published layout's images/
    txm_2: UserPath | None = None  # folder of the same slices in a second scan of the rock, on the grid of the first
    txm_3: UserPath | None = None  # the same in a third
    sem: UserPath | None = None  # folder of the FIB-SEM slices
    txm_names: Text | None = None  # names of the TXM slices, with {number} where their number stands
    sem_names: Text | None = None  # the same of the FIB-SEM slices
    sem_number_offset: Text | None = None  # added to the numbers of FIB-SEM slices, of their masks and labels
    charge: UserPath | None = None  # folder of charge masks (not zero = charged)
    lowdensity: UserPath | None = None  # folder of masks (not zero = pores and organic matter)
    highdensity: UserPath | None = None  # folder of masks (not zero = heavy minerals)
    landmarks: UserPath | None = None  # folder of points marked by hand in some pairs
    labels: UserPath | None = None  # folder of label images of some FIB-SEM slices (0 = not labelled, 1.. = phases)
    txm_measured: UserPath | None = None  # folder of masks of the TXM slices (not zero = measured)
    sem_measured: UserPath | None = None  # the same of the FIB-SEM slices
    txm_volume: UserPath | None = None  # TIFF stack, folder of slices or OME-Zarr
    txm_volume_2: UserPath | None = None  # the same of the second scan
    txm_volume_3: UserPath | None = None  # of the third
    txm_volume_measured: UserPath | None = None  # mask of the TXM volume, one image or a volume (not zero = measured)
    pair_z: Text | None = None  # where the pairs stand in the volume: first:stop:step, z,z,z, or find (see `sought`)
    voxel_size_nm: Text | None = None  # z,y,x; needed where the files do not say
    sem_pixel_size_nm: Text | None = None  # edge of a pixel of the FIB-SEM slices; where their files do not say it
    sem_spacing_nm: Text | None = None  # distance of FIB-SEM slices of consecutive numbers along the milling direction
    super_resolution: Text | None = None  # 2, 4, 8, auto: pixels of the results along y and x that show one of the TXM
    voxel_size_from: Literal["table"] | None = None  # the table is right, where it and the files are of other units

    def raw_paths(self) -> list[str]:
        """The files and folders of the user's that a run reads; label images are not among them."""
        of_pairs = (self.txm, self.sem, self.charge, self.lowdensity, self.highdensity)
        named = (
            *of_pairs,
            self.landmarks,
            self.txm_measured,
            self.sem_measured,
            self.txm_volume,
            self.txm_volume_measured,
        )
        return [path for path in (*named, *self.further_txm, *self.further_volumes) if path is not None]

    @property
    def further_txm(self) -> tuple[str, ...]:
        """The folders of the TXM slices in further scans, from the second on."""
        return self._further("txm")

    @property
    def further_volumes(self) -> tuple[str, ...]:
        """The TXM volumes of further scans, from the second on."""
        return self._further("txm_volume")

    def scans(self, phantom: PhantomSettings) -> int:
        """How many scans of the rock there are, given the settings of its phantom, if it is one."""
        if self.source == "phantom":
            return 1 + len(phantom.further_energies_kev)
        return 1 + len(self.further_volumes if self.sought else self.further_txm)

    def _further(self, column: str) -> tuple[str, ...]:
        found = (getattr(self, name) for name in further_columns(type(self).model_fields, column))
        return tuple(itertools.takewhile(lambda path: path is not None, found))

    def voxel_size(self) -> tuple[float, float, float] | None:
        """The TXM's voxel size of the table in nm (Z, Y, X), or None where it is left to the files."""
        if self.voxel_size_nm is None:
            return None
        try:
            z_nm, y_nm, x_nm = (float(part) for part in self.voxel_size_nm.split(","))
        except ValueError as error:
            raise ConfigError(self._wrong("voxel_size_nm", "three numbers z,y,x are needed, as 32,32,32")) from error
        if not all(0 < size < float("inf") for size in (z_nm, y_nm, x_nm)):
            raise ConfigError(self._wrong("voxel_size_nm", "sizes must be greater than 0"))
        return z_nm, y_nm, x_nm

    def sem_pixel_size(self) -> float | None:
        """The FIB-SEM slices' pixel size of the table in nm, or None where it is left to the files."""
        return self._length("sem_pixel_size_nm")

    def sem_spacing(self) -> float | None:
        """How far FIB-SEM slices of consecutive numbers lie apart along the milling direction in nm, if it is known."""
        return self._length("sem_spacing_nm")

    def _length(self, column: str) -> float | None:
        """One length in nm; None where the column is empty."""
        text = getattr(self, column)
        if text is None:
            return None
        try:
            size = float(text)
        except ValueError as error:
            raise ConfigError(self._wrong(column, "one number is needed, as 12.8")) from error
        if not 0 < size < float("inf"):
            raise ConfigError(self._wrong(column, "the size must be greater than 0"))
        return size

    def finer(self) -> int:
        """Pixels along y and x, of registered slices and all that follows, that show one pixel of the TXM."""
        if self.super_resolution is None:
            return 1
        if self.super_resolution not in map(str, io.FINER):
            named = ", ".join(map(str, io.FINER))
            raise ConfigError(self._wrong("super_resolution", f"one of {named}, {AUTO} is needed"))
        return int(self.super_resolution)

    def voxel_size_on_grid(self) -> tuple[float, float, float] | None:
        """The voxel size of the table on the grid of the results, see `finer`; None as for `voxel_size`."""
        size, finer = self.voxel_size(), self.finer()
        return None if size is None else (size[0], size[1] / finer, size[2] / finer)

    def names(self) -> Names:
        """How the files of the slices are numbered."""
        for column in ("txm_names", "sem_names"):
            if (pattern := getattr(self, column)) is not None and pattern.count(io.NUMBER) != 1:
                raise ConfigError(self._wrong(column, f"{io.NUMBER} is needed once, as SEM_{io.NUMBER}_5kV.tif"))
        try:
            offset = int(self.sem_number_offset or 0)
        except ValueError as error:
            raise ConfigError(self._wrong("sem_number_offset", "a whole number is needed, as -1")) from error
        return Names(self.txm_names, self.sem_names, offset)

    @property
    def sought(self) -> bool:
        """Whether the planes of its FIB-SEM slices are sought in the TXM volume.

        A user's are where there are no TXM slices, a phantom's where `pair_z` says so.
        """
        if self.source == "phantom":
            return is_sought(self.pair_z)
        return self.source == "pairs" and self.txm is None

    def depths_of_slices(self, count: int) -> list[Depths | None]:
        """Where in the volume the centres of sought slices may lie; positions as of pairs are first guesses."""
        if self.pair_z is None:
            return [None] * count
        if not is_sought(self.pair_z):
            guesses = [float(z) for z in self.z_of_pairs(count) if z is not None]
            return [around(guess) for guess in guesses]
        try:
            return depths_sought(self.pair_z, count)
        except ConfigError as error:
            raise ConfigError(self._wrong("pair_z", str(error).rstrip("."))) from error

    def z_of_pairs(self, count: int) -> list[int | None]:
        """The slice of the TXM volume that each of `count` pairs belongs to."""
        if self.pair_z is None:
            return [None] * count
        try:
            if ":" in self.pair_z:
                z = list(range(*(int(part) for part in self.pair_z.split(":")))[: count + 1])
            else:
                z = [int(part) for part in self.pair_z.split(",")]
        except (ValueError, TypeError, OverflowError) as error:
            raise ConfigError(self._wrong("pair_z", "give first:stop:step or z,z,z with whole numbers")) from error
        if len(z) != count or len(set(z)) != count or min(z, default=0) < 0:
            named = f"more than {count}" if len(z) > count else len(z)
            raise ConfigError(self._wrong("pair_z", f"{count} different z are needed, one a pair; it names {named}"))
        return list(z)

    def _wrong(self, key: str, rule: str) -> str:
        return f"sample {self.sample}, column {key}: {rule}. The value is {shown(getattr(self, key))}."


class Sample(Columns):
    """The rock as one detector of the FIB-SEM shows it, with settings and results of its own."""

    registered_by: UserPath | None = None  # folder of the same slices by the detector that registration looks at

    def raw_paths(self) -> list[str]:
        """As of `Columns`, and the folder of the images that slices are registered by."""
        return [*super().raw_paths(), *([self.registered_by] if self.registered_by is not None else [])]


class Row(Columns):
    """A row as it stands in the table: one sample, and one more for each further detector."""

    sem_2: UserPath | None = None  # folder of the same FIB-SEM slices by a second detector, pixel for pixel
    sem_3: UserPath | None = None  # by a third

    def samples(self) -> list[Sample]:
        """The samples of the row, the one of the column `sem` first.

        Raises:
            ValidationError: a name becomes too long by the detector's.
        """
        common = self.model_dump(exclude={"sem_2", "sem_3"})
        further = {name: getattr(self, name) for name in further_columns(type(self).model_fields, "sem")}
        own = [
            {"sample": f"{self.sample}{_DETECTOR}{name[-1]}", "sem": folder, "registered_by": self.sem}
            for name, folder in further.items()
            if folder is not None
        ]
        return [Sample.model_validate(common | each) for each in ({}, *own)]


def rows_of(samples: Iterable[Sample]) -> list[Row]:
    """The rows of a table that names these samples, as `read_samples` gave them."""
    rows: dict[str, dict[str, str | None]] = {}
    for sample in samples:
        if sample.registered_by is None:
            rows[sample.sample] = sample.model_dump(exclude={"registered_by"})
        else:
            name, number = sample.sample.rsplit(_DETECTOR, 1)
            rows[name][f"sem_{number}"] = sample.sem
    return [Row.model_validate(row) for row in rows.values()]


def read_samples(path: str | Path) -> dict[str, Sample]:
    """Read the sample table (tab-separated, one header row): the samples of each row by their names.

    Raises:
        ConfigError: no rows, a repeated name, an unknown column, or a value that cannot be used.
    """
    samples: dict[str, Sample] = {}
    for number, values in _rows(path):
        try:
            row = Row.model_validate(values)
            own = row.samples()
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            column = shown(fault["loc"][0]).strip("'") if fault["loc"] else "row"
            columns = f"the columns are {', '.join(Row.model_fields)}, separated by tabs"
            rule = (
                columns
                if fault["type"] in ("extra_forbidden", "missing")
                else fault["msg"].removeprefix("Value error, ")
            )
            raise ConfigError(f"{path}, row {number}, column {column}: {rule}. The row is {shown(values)}.") from error
        _check_row(path, number, row)
        for sample in own:
            _check_name(path, number, sample.sample, samples)
            samples[sample.sample] = sample
    if not samples:
        raise ConfigError(f"{path}: the sample table has no rows. Add one; config/README.md describes the columns.")
    return samples


def _rows(path: str | Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of every row; lines that begin with `#` and empty cells are left out."""
    try:
        text = io.read_text(path)
        if len(text) > _MAX_CHARACTERS:
            raise ConfigError(f"{path}: {len(text)} characters are too many for a sample table.")
        reader = csv.reader(text_io.StringIO(text, newline=None), delimiter="\t", strict=True)
        header: list[str] | None = None
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if header is None:
                header = cells
                if len(set(header)) != len(header):
                    raise ConfigError(f"{path}, line {reader.line_num}: a column occurs twice: {shown(header)}.")
                continue
            if len(cells) > len(header) and any(cells[len(header) :]):
                raise ConfigError(
                    f"{path}, row {reader.line_num}: it has {len(cells)} cells, but the header names {len(header)} "
                    "columns, separated by tabs. Correct the row."
                )
            yield reader.line_num, {name: cell for name, cell in zip(header, cells, strict=False) if cell}
    except (InputError, csv.Error) as error:
        raise ConfigError(f"{path}: the sample table cannot be read ({error}).") from error


def _check_name(path: str | Path, number: int, name: str, others: Iterable[str]) -> None:
    if name.lower() in RESERVED:
        raise ConfigError(
            f"{path}, row {number}: a sample cannot be called {name!r}, as a folder of this name "
            "holds what is no sample's. Rename it."
        )
    if name.lower() in [other.lower() for other in others]:  # one folder on file systems that ignore case
        raise ConfigError(f"{path}, row {number}: the sample {name!r} occurs twice. Rename one.")


def _check_row(path: str | Path, number: int, sample: Row) -> None:
    needed = {"phantom": (), "pairs": ("sem",), "reference": ("txm",)}[sample.source]
    for column in needed:
        if getattr(sample, column) is None:
            raise ConfigError(f"{path}, row {number}, column {column}: source {sample.source} needs a folder here.")
    _check_sought(path, number, sample)
    for column in (*MEASURED, "txm_volume_measured"):
        if getattr(sample, column) is not None and sample.source != "pairs":
            raise ConfigError(
                f"{path}, row {number}, column {column}: source {sample.source} takes no mask of what was measured, "
                "only pairs does. Leave it empty."
            )
    if sample.txm_volume_measured is not None and sample.txm_volume is None:
        raise ConfigError(
            f"{path}, row {number}, column txm_volume_measured: there is no volume that it could be the mask of. Fill "
            "column txm_volume, or leave it empty."
        )
    if sample.super_resolution is not None and sample.source == "reference":
        raise ConfigError(
            f"{path}, row {number}, column super_resolution: source reference has FIB-SEM pixels as wide as the TXM's. "
            "Leave it empty."
        )
    check_further(f"{path}, row {number}, column", sample.model_dump())
    if sample.super_resolution != AUTO:  # which the sizes of the pixels decide, see `finer_factor`
        sample.finer()
    sample.sem_pixel_size()
    sample.sem_spacing()
    sample.names()
    if sample.voxel_size() is None and sample.voxel_size_from is not None:
        raise ConfigError(f"{path}, row {number}, column voxel_size_from: column voxel_size_nm says nothing. Fill it.")


def _check_sought(path: str | Path, number: int, sample: Row) -> None:
    """Columns that do not go with a search for planes in the volume, or that it needs."""
    where = f"{path}, row {number}, column"
    if not sample.sought:
        if is_sought(sample.pair_z):
            raise ConfigError(
                f"{where} pair_z: {shown(sample.pair_z)} seeks FIB-SEM slices in the TXM volume, but they have TXM "
                "slices here. Leave the column txm empty (source pairs), or say in pair_z which slices they are."
            )
        if sample.sem_spacing_nm is not None:
            raise ConfigError(
                f"{where} sem_spacing_nm: it helps to find FIB-SEM slices in the TXM volume, but here they have TXM "
                "slices of their own. Leave it empty."
            )
        return
    if sample.txm_volume is None and sample.source == "pairs":
        raise ConfigError(
            f"{where} txm: source pairs needs a folder here; or a volume in column txm_volume, in which the planes of "
            "the FIB-SEM slices are then sought."
        )
    for column in ("txm_names", "txm_measured", "landmarks"):
        if getattr(sample, column) is not None:
            raise ConfigError(
                f"{where} {column}: it belongs to TXM slices, but column txm is empty, so planes are sought in the "
                "volume. Leave it empty."
            )


def parse_sample(text: str) -> Sample:
    """A row of the sample table from JSON, as the workflow passes it."""
    return Sample.model_validate_json(text)
