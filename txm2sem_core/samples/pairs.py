"""Which raw pairs of slices a row of the sample table names, and which label images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.samples.further import further_in
from txm2sem_core.samples.raw_pairs import MEASURED, RawPair, numbered, pair_folders, sought_pairs
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
    if sample.source == "phantom" and sample.sought:
        return _sought_in_phantom(sample, raw)
    if sample.source == "phantom":
        z_of = dict(zip(*(io.read_csv(raw / "pairs.csv")[c] for c in ("pair", "z")), strict=True))
        masks = {"charge": raw / "charge"} | {kind: raw / kind for kind in DENSITIES if (raw / kind).is_dir()}
        pairs = pair_folders(raw / "txm", raw / "sem", masks, further=further_in(raw, "txm"))
        return [replace(p, z=int(z_of[p.pair]), finer=sample.finer()) for p in pairs]
    kinds = ("charge", *DENSITIES, *MEASURED)
    masks = {kind: Path(folder) for kind in kinds if (folder := getattr(sample, kind)) is not None}
    if sample.sought:
        return _sought(sample, masks)
    further = list(map(Path, sample.further_txm))
    folders, detector = (Path(str(sample.txm)), Path(str(sample.sem))), _detector(sample)
    pairs = pair_folders(*folders, masks, sample.names(), further=further, registered_by=detector)
    voxel, finer = sample.voxel_size_on_grid(), sample.finer()
    sizes = (None if voxel is None else voxel[2], sample.sem_pixel_size())
    marked = {} if sample.landmarks is None else _landmarks(Path(sample.landmarks), pairs)
    pairs = [replace(p, landmarks=marked.get(p.pair, ())) for p in pairs]
    pairs = [replace(p, pixel_nm=sizes, finer=finer) for p in pairs]
    return [replace(p, z=z) for p, z in zip(pairs, sample.z_of_pairs(len(pairs)), strict=True)]


def _sought(sample: Sample, masks: dict[str, Path]) -> list[RawPair]:
    """The pairs of a user's sample whose slices' planes are sought in its volume."""
    volume = Path(str(sample.txm_volume))
    pairs = sought_pairs(volume, Path(str(sample.sem)), masks, sample.names(), registered_by=_detector(sample))
    return _with_sizes(sample, volume, pairs)


def _detector(sample: Sample) -> Path | None:
    """The folder of the images that a further detector's slices are registered by."""
    return None if sample.registered_by is None else Path(sample.registered_by)


def _sought_in_phantom(sample: Sample, raw: Path) -> list[RawPair]:
    """The same of a phantom: the slices of its milled stack, where it has one, else those that have TXM slices."""
    milled = raw / "milled"
    folder = milled if milled.is_dir() else raw
    masks = {kind: folder / kind for kind in ("charge", *DENSITIES) if (folder / kind).is_dir()}
    volume = raw / "txm_volume"
    return _with_sizes(sample, volume, sought_pairs(volume, folder / "sem", masks))


def _with_sizes(sample: Sample, volume: Path, pairs: list[RawPair]) -> list[RawPair]:
    """Sought pairs with the pixel sizes that the table or the volume states, and where they are sought."""
    voxel, finer = sample.voxel_size_on_grid(), sample.finer()
    if voxel is None:
        with io.open_volume(volume) as opened:
            measured = opened.voxel_size_nm
        txm_nm = None if measured is None else io.finer_size(measured, finer)[2]
    else:
        txm_nm = voxel[2]
    sizes = (txm_nm, sample.sem_pixel_size())
    depths = sample.depths_of_slices(len(pairs))
    return [replace(pair, depths=depth, pixel_nm=sizes, finer=finer) for pair, depth in zip(pairs, depths, strict=True)]


def _landmarks(folder: Path, pairs: Iterable[RawPair]) -> dict[str, tuple[Path, ...]]:
    """The files of landmarks by the name of their pair, whose number they have.

    One file a pair, as BigWarp exports them, or in the folders `txm` and `sem` one each, as napari saves them.

    Raises:
        InputError: there are none, one of no pair, or one without its partner.
    """
    parts = [folder / "txm", folder / "sem"] if (folder / "txm").is_dir() else [folder]
    names = {Decimal(pair.pair): pair.pair for pair in pairs}
    found: dict[str, tuple[Path, ...]] = {}
    for part in parts:
        files = sorted(path for path in part.glob("*.csv") if not path.name.startswith("."))
        if not files:
            raise InputError(f"{part}: there is no CSV file of landmarks in this folder.")
        for number, file in io.number_files(files, lambda numbers: numbers <= names.keys()).items():
            if number not in names:
                raise InputError(f"{file.path}: there is no pair with the number {file.name}. Rename or remove it.")
            found[names[number]] = (*found.get(names[number], ()), file.path)
    for files_of_pair in found.values():
        if len(files_of_pair) < len(parts):
            raise InputError(f"{files_of_pair[0]}: landmarks of the other slice are missing. Add them to {folder}.")
    return found


def pair_files(sample: Sample, raw: Path) -> list[Path]:
    """The images of all pairs, as `list_pairs` finds them."""
    return [file for pair in list_pairs(sample, raw) for file in pair.files]


def label_files(sample: Sample) -> dict[str, Path]:
    """The user's label images by the number in their names; empty where the sample has none."""
    if sample.labels is None:
        return {}
    return {one.name: one.path for one in numbered(Path(sample.labels), offset=sample.names().sem_offset).values()}


def labels_of_pairs(sample: Sample, pairs: Iterable[RawPair]) -> dict[str, Path]:
    """The user's label images by the name of their pair, whose number they have; empty where the sample has none.

    Raises:
        InputError: the folder holds none, or one of no pair.
    """
    if sample.labels is None:
        return {}
    names = {Decimal(pair.pair): pair.pair for pair in pairs}
    offset = 0 if sample.sought else sample.names().sem_offset  # sought pairs have the numbers of the files
    files = numbered(Path(sample.labels), lambda numbers: numbers <= names.keys(), offset=offset)
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
