"""The sample table, and the raw pairs of slices that each of its rows names."""

from __future__ import annotations

import csv
import io as text_io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from txm2sem_core import io
from txm2sem_core.config import Config, Name
from txm2sem_core.config.base import Text, UserPath
from txm2sem_core.config.checking import shown
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.raw_pairs import MEASURED, RawPair, numbered, pair_folders
from txm2sem_core.splits import SPLITS

AUTO_CONTEXT = 2  # the best of 0 to 3 that was measured: docs/z-continuity.md
RESERVED = ("logs", "benchmarks", "crate")  # folders of the results beside those of the samples
_MAX_CHARACTERS = 2**22
DENSITIES = ("lowdensity", "highdensity")  # masks of density, for the segmentation


class Sample(BaseModel):
    """One row of `config/samples.tsv`. Paths are relative to the folder that snakemake runs in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: Name
    source: Literal["phantom", "pairs", "reference"]
    txm: UserPath | None = None  # folder of the TXM slices; of `reference`: the published layout's images/
    sem: UserPath | None = None  # folder of the FIB-SEM slices
    charge: UserPath | None = None  # folder of charge masks (not zero = charged)
    lowdensity: UserPath | None = None  # folder of masks (not zero = pores and organic matter)
    highdensity: UserPath | None = None  # folder of masks (not zero = heavy minerals)
    labels: UserPath | None = None  # folder of label images of some FIB-SEM slices (0 = not labelled, 1.. = phases)
    txm_measured: UserPath | None = None  # folder of masks of the TXM slices (not zero = measured)
    sem_measured: UserPath | None = None  # the same of the FIB-SEM slices
    txm_volume: UserPath | None = None  # TIFF stack, folder of slices or OME-Zarr
    txm_volume_measured: UserPath | None = None  # mask of the TXM volume, one image or a volume (not zero = measured)
    pair_z: Text | None = None  # where the pairs stand in the volume: first:stop:step or z,z,z
    voxel_size_nm: Text | None = None  # z,y,x; needed where the files do not say
    voxel_size_from: Literal["table"] | None = None  # the table is right, where it and the files are of other units

    def raw_paths(self) -> list[str]:
        """The files and folders of the user's that a run reads; label images are not among them."""
        of_pairs = (self.txm, self.sem, self.charge, self.lowdensity, self.highdensity)
        named = (*of_pairs, self.txm_measured, self.sem_measured, self.txm_volume, self.txm_volume_measured)
        return [path for path in named if path is not None]

    def voxel_size(self) -> tuple[float, float, float] | None:
        """The voxel size of the table in nm (Z, Y, X), or None where it is left to the files."""
        if self.voxel_size_nm is None:
            return None
        try:
            z_nm, y_nm, x_nm = (float(part) for part in self.voxel_size_nm.split(","))
        except ValueError as error:
            raise ConfigError(self._wrong("voxel_size_nm", "three numbers z,y,x are needed, as 32,32,32")) from error
        if not all(0 < size < float("inf") for size in (z_nm, y_nm, x_nm)):
            raise ConfigError(self._wrong("voxel_size_nm", "sizes must be greater than 0"))
        return z_nm, y_nm, x_nm

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


def read_samples(path: str | Path) -> dict[str, Sample]:
    """Read the sample table (tab-separated, one header row).

    Raises:
        ConfigError: no rows, a repeated name, an unknown column, or a value that cannot be used.
    """
    samples: dict[str, Sample] = {}
    for number, values in _rows(path):
        try:
            sample = Sample.model_validate(values)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            column = shown(fault["loc"][0]).strip("'") if fault["loc"] else "row"
            columns = f"the columns are {', '.join(Sample.model_fields)}, parted by tabs"
            rule = (
                columns
                if fault["type"] in ("extra_forbidden", "missing")
                else fault["msg"].removeprefix("Value error, ")
            )
            raise ConfigError(f"{path}, row {number}, column {column}: {rule}. The row is {shown(values)}.") from error
        _check_row(path, number, sample)
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
                    raise ConfigError(f"{path}, line {reader.line_num}: a column stands there twice: {shown(header)}.")
                continue
            if len(cells) > len(header) and any(cells[len(header) :]):
                raise ConfigError(
                    f"{path}, row {reader.line_num}: it has {len(cells)} cells, but the header names {len(header)} "
                    "columns, parted by tabs. Mend the row."
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
        raise ConfigError(f"{path}, row {number}: the sample {name!r} stands there twice. Rename one.")


def _check_row(path: str | Path, number: int, sample: Sample) -> None:
    needed = {"phantom": (), "pairs": ("txm", "sem"), "reference": ("txm",)}[sample.source]
    for column in needed:
        if getattr(sample, column) is None:
            raise ConfigError(f"{path}, row {number}, column {column}: source {sample.source} needs a folder here.")
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
    if sample.voxel_size() is None and sample.voxel_size_from is not None:
        raise ConfigError(f"{path}, row {number}, column voxel_size_from: column voxel_size_nm says nothing. Fill it.")


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


def volume_path(sample: Sample, raw: Path) -> Path | None:
    """The sample's TXM volume, or None where it has none."""
    if sample.txm_volume is not None:
        return Path(sample.txm_volume)
    if sample.source == "phantom":
        return raw / "txm_volume"
    if sample.source == "reference":
        folders = (Path(str(sample.txm)) / place / "txm_full_stack" for place in (".", "test"))
        return next((folder for folder in folders if folder.is_dir()), None)
    return None


def volume_files(sample: Sample, raw: Path) -> list[Path]:
    """What the sample's TXM volume is read from: its own path and that of its mask; nothing where it has none."""
    mask = sample.txm_volume_measured
    named = (volume_path(sample, raw), None if mask is None else Path(mask))
    return [path for path in named if path is not None]


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


def check_sample(sample: Sample, raw: Path) -> None:
    """Find what would stop the workflow in a user's own sample before anything has run, from the files' headers.

    Raises:
        InputError: a missing partner, images of one kind that differ in bit depth, an unreadable volume, a pair outside
            it, or a voxel size that is not known.
    """
    if sample.source == "phantom":
        return
    pairs = list_pairs(sample, raw)
    for files in ([pair.txm for pair in pairs], [pair.sem for pair in pairs]):
        depths = {file: io.image_kind(file)[1] for file in files}
        for file, dtype in depths.items():
            if dtype != depths[files[0]]:
                raise InputError(
                    f"{file}: {dtype}, but {files[0].name} is {depths[files[0]]}. Export all slices with one bit depth."
                )
    volume = open_sample_volume(sample, raw)
    if volume is None:
        return
    _voxel_size_of(sample, volume)
    for pair in pairs:
        if pair.z is not None and pair.z >= volume.shape[0]:
            raise InputError(
                f"sample {sample.sample}, column pair_z: pair {pair.pair} is at z = {pair.z}, but {volume.source} has "
                f"{volume.shape[0]} slices."
            )


def widest_context(samples: Iterable[Sample], pair_every: int, results: Path) -> int:
    """What `context: auto` means: TXM slices that a network sees below and above a pair, at most `AUTO_CONTEXT`.

    As many as the pairs of every sample have between them without sharing one, so that no pair has to be left out
    where the splits meet; 0 where a sample does not say where its pairs stand in a TXM volume.

    Args:
        samples: one, as each has its own context, or several that are to share it.
        pair_every: slices from pair to pair of a phantom, which may not be made yet.
        results: where a sample's raw files lie, in `{sample}/raw`.
    """
    widest = AUTO_CONTEXT
    for sample in samples:
        if sample.source == "phantom":
            spacing = pair_every
        else:
            places = [pair.z for pair in list_pairs(sample, results / sample.sample / "raw")]
            if volume_path(sample, results) is None or None in places:
                return 0
            ordered = sorted(z for z in places if z is not None)
            spacing = min((b - a for a, b in itertools.pairwise(ordered)), default=1)
        widest = min(widest, (spacing - 1) // 2)
    return widest


def check_neighbours(config: Config, sample: Sample, raw: Path) -> None:
    """Find variants that need the TXM slices around a pair, or others of its volume, where the sample has none.

    Raises:
        ConfigError: names the variant, its key and the column of the sample table.
    """
    if sample.source == "phantom":
        return
    volume = volume_path(sample, raw)
    placed = volume is not None and all(pair.z is not None for pair in list_pairs(sample, raw))
    for name in config.variants:
        variant = config.variant(name)
        if variant.context and not placed:
            raise ConfigError(
                f"variant {name}, key context: it sees {variant.context} TXM slices below and above a pair, but sample "
                f"{sample.sample} does not say where its pairs stand in a TXM volume. Give the columns txm_volume and "
                "pair_z of the sample table, or set train.context to 0."
            )
        if variant.z_penalty.stack and volume is None:
            raise ConfigError(
                f"variant {name}, key z_penalty.stack: it draws slices from the TXM volume, but sample {sample.sample} "
                "has none. Give the column txm_volume of the sample table, or set train.z_penalty.stack to 0."
            )


def parse_sample(text: str) -> Sample:
    """A row of the sample table from JSON, as the workflow passes it."""
    return Sample.model_validate_json(text)


def open_sample_volume(sample: Sample, raw: Path) -> io.Volume | None:
    """Open the sample's TXM volume, with the mask of what was measured where it has one; None where it has none."""
    path = volume_path(sample, raw)
    return None if path is None else io.with_mask(io.open_volume(path), sample.txm_volume_measured)


def sample_voxel_size_nm(sample: Sample, raw: Path) -> tuple[float | None, float | None, float | None]:
    """Voxel size (Z, Y, X) in nm: the table's, else the volume's own, else that of the first TXM slice.

    Raises:
        InputError: the sample has a volume, and the size of its voxels is not known along every axis.
    """
    if (size := sample.voxel_size()) is not None:
        return size
    volume = open_sample_volume(sample, raw)
    if volume is None:
        return io.read_voxel_size_nm(list_pairs(sample, raw)[0].txm) or (None, None, None)
    return _voxel_size_of(sample, volume)


def _voxel_size_of(sample: Sample, volume: io.Volume) -> tuple[float, float, float]:
    if (size := sample.voxel_size()) is not None:
        return size
    z_nm, y_nm, x_nm = volume.voxel_size_nm or (None, None, None)
    if z_nm is None or y_nm is None or x_nm is None:
        known = ", ".join(f"{axis} {s or 'not known'}" for axis, s in zip("zyx", (z_nm, y_nm, x_nm), strict=True))
        raise InputError(
            f"{volume.source}: its metadata do not give the voxel size along every axis (nm: {known}). Write it into "
            f"the sample table: column voxel_size_nm of sample {sample.sample}, as z,y,x."
        )
    return z_nm, y_nm, x_nm


def plane_pixel_size_nm(sample: Sample, raw: Path) -> tuple[float, float] | None:
    """Pixel size (Y, X) in nm of the sample's TXM slices, or None where it is not known."""
    size = sample.voxel_size() or io.read_voxel_size_nm(list_pairs(sample, raw)[0].txm) or (None, None, None)
    _, y_nm, x_nm = size
    return None if y_nm is None or x_nm is None else (y_nm, x_nm)
