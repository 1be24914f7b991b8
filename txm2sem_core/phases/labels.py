"""A user's label images, brought onto the registered slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core import io
from txm2sem_core.bends import bend_of_record
from txm2sem_core.errors import InputError
from txm2sem_core.geometry import Crop, warp
from txm2sem_core.io.files import path_within
from txm2sem_core.samples.raw_pairs import RawPair

Labelled = tuple[NDArray[np.generic], NDArray[np.uint8]]


def place_labels(pairs: Sequence[RawPair], labels: Mapping[str, Path], registered: Path, output: Path) -> None:
    """Transform label images of raw FIB-SEM slices to the registered pairs, by nearest pixel, with the same crop.

    Leaves `pairs/{pair}_labels.tif` (uint8, 0 = not labelled, charged pixels among them), `pairs/{pair}_sem.tif`, and
    `index.csv` with a row for each: pair, sem, labels, labelled_px. Pairs that registration refused are left out.

    Args:
        pairs: of the sample.
        labels: pair name to image, of some of them; 0 = not labelled, 1, 2, ... = phases from the darkest.
        registered: what the register stage left.
        output: folder.

    Raises:
        InputError: an image of no pair, of another shape than its FIB-SEM slice, or not of whole numbers from 0 to
            255; or there is none of an accepted pair.
    """
    by_name = {pair.pair: pair for pair in pairs}
    index = io.read_csv(registered / "index.csv").set_index("pair")
    transforms = io.read_json(registered / "transforms.json")
    rows = []
    with io.atomic_path(output / "pairs") as folder:
        folder.mkdir()
        for name, file in labels.items():
            if name not in by_name:
                raise InputError(f"{file}: there is no FIB-SEM slice with the number {name}. Rename or remove it.")
            image = _read_labels(file, by_name[name].sem)
            if name not in index.index:
                continue
            row = index.loc[name].to_dict()
            crop = Crop(**transforms[name]["crop"])
            matrix = np.array(transforms[name]["matrix"])
            bend = bend_of_record(transforms[name].get("bend"))
            placed = crop.of(warp(image, matrix, (crop.y1, crop.x1), order=0, bend=bend))
            mask, sem = (io.registered_file(registered, row, kind) for kind in ("mask", "sem"))
            placed = np.where(io.read_mask(mask), placed, 0).astype(np.uint8)
            size_nm = io.read_voxel_size_nm(sem)
            io.write_tiff(folder / f"{name}_labels.tif", placed, size_nm)
            # features of a forest reach over what was measured, and predicted volumes are filled so too
            io.write_tiff(folder / f"{name}_sem.tif", io.read_registered(registered, row, "sem").filled, size_nm)
            files = {"sem": f"pairs/{name}_sem.tif", "labels": f"pairs/{name}_labels.tif"}
            rows.append({"pair": name, **files, "labelled_px": int(np.count_nonzero(placed))})
        if not rows:
            raise InputError(f"{registered}: no label image belongs to an accepted pair. Label other slices.")
    io.write_csv(output / "index.csv", pd.DataFrame(rows))


def _read_labels(file: Path, sem: Path) -> NDArray[np.uint8]:
    image, shape = io.read_image(file), io.image_kind(sem)[0]
    if image.shape != tuple(shape):
        raise InputError(f"{file} is {image.shape} and {sem} is {tuple(shape)} (Y, X): labels must fit their slice.")
    if not np.issubdtype(image.dtype, np.integer) or int(image.min()) < 0 or int(image.max()) > 255:
        raise InputError(
            f"{file}: {image.dtype} values from {image.min()} to {image.max()}; labels are whole numbers, 0 = not "
            "labelled, 1, 2, ... = phases from the darkest. Export it as an 8-bit image."
        )
    return image.astype(np.uint8)


def read_labelled(folder: Path, phases: int) -> list[Labelled]:
    """The slices and labels `[Y, X]` that `place_labels` left.

    Raises:
        InputError: a label above `phases`, or a phase without any labelled pixel.
    """
    images: list[Labelled] = []
    for row in io.read_csv(folder / "index.csv").itertuples():
        sem, labels = (path_within(folder, name, folder / "index.csv", "an image") for name in (row.sem, row.labels))
        images.append((io.read_image(sem), io.read_image(labels)))
    counts = np.sum([np.bincount(labels.ravel(), minlength=256) for _, labels in images], axis=0)
    if counts[phases + 1 :].any():
        highest = int(np.flatnonzero(counts)[-1])
        raise InputError(f"{folder}: the label {highest} is above measure.phases = {phases}. Correct either.")
    missing = [phase for phase in range(1, phases + 1) if not counts[phase]]
    if missing:
        raise InputError(
            f"{folder}: no uncharged pixel of an accepted pair has the label {', '.join(map(str, missing))}, but "
            f"measure.phases is {phases}. Label some, or lower measure.phases."
        )
    return images
