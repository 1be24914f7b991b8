"""Points that were marked in two images, as the files that the column `landmarks` of the sample table names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io.landmarks import FEWEST, NAPARI_COLUMNS, Points


def write_landmarks(folder: Path, pair: str, txm: tuple[Any, Any], sem: tuple[Any, Any]) -> tuple[Path, Path]:
    """Write the points of a pair: `txm/PAIR.csv` and `sem/PAIR.csv`.

    Args:
        folder: that the sample table names, or will.
        pair: its number, as in the names of its images.
        txm: layer of the TXM image, and layer of its points.
        sem: the same of the FIB-SEM slice; the points in the same order.

    Raises:
        InputError: no number; not as many points, or too few; one outside of its image; or files that are there.
    """
    if not pair.isdecimal():
        raise InputError(f"pair: {pair!r} is no number. Give that of the two images, as 003.")
    on_txm, on_sem = (pixels_of(*layers) for layers in (txm, sem))
    if len(on_txm) != len(on_sem):
        names = f"{txm[1].name} has {len(on_txm)} points and {sem[1].name} {len(on_sem)}"
        raise InputError(f"{names}: each point needs its partner, in the same order. Add or remove some.")
    if len(on_txm) < FEWEST:
        raise InputError(f"{txm[1].name}: {len(on_txm)} points are too few. Mark three or more, far apart.")
    files = folder / "txm" / f"{pair}.csv", folder / "sem" / f"{pair}.csv"
    for file in files:
        if file.exists():
            raise InputError(f"{file}: the pair has landmarks already. Remove both files, or choose another folder.")
    for file, points in zip(files, (on_txm, on_sem), strict=True):
        io.write_text(file, _csv(points), overwrite=False)
    return files


def _csv(points: Points) -> str:
    rows = [f"{index},{y!r},{x!r}" for index, (y, x) in enumerate(points.tolist())]
    return "\n".join([",".join(("index", *NAPARI_COLUMNS)), *rows, ""])


def pixels_of(image: Any, points: Any) -> Points:
    """Points of a layer as pixels (y, x) [N, 2] of an image, whatever scales both layers have.

    Args:
        image: layer of an image, or of a stack of them, of which the points lie in one.
        points: layer of points.

    Raises:
        InputError: they lie in several slices, or outside of the image.
    """
    found = [_on_image(image, points.data_to_world(point)) for point in points.data]
    pixels = np.array(found, dtype=np.float64).reshape(-1, image.ndim)
    if len(pixels) and np.ptp(np.round(pixels[:, :-2]), axis=0).any():
        raise InputError(f"{points.name}: its points lie in several slices. Keep those of one pair.")
    pixels = pixels[:, -2:]
    data = image.data[0] if image.multiscale else image.data
    height, width = data.shape[-3:-1] if image.rgb else data.shape[-2:]
    outside = (pixels < -0.5).any(axis=1) | (pixels > np.array([height, width]) - 0.5).any(axis=1)
    if outside.any():
        number = int(np.flatnonzero(outside)[0]) + 1
        raise InputError(
            f"{points.name}: point {number} lies outside of {image.name}, which has {height} x {width} pixels (Y, X). "
            "Move or remove it."
        )
    return pixels


def _on_image(image: Any, world: Any) -> Any:
    """A place in the viewer as that in the data of an image, which may have more axes or fewer."""
    world = np.asarray(world, dtype=float)
    padded = np.concatenate([np.zeros(max(image.ndim - len(world), 0)), world])
    return np.asarray(image.world_to_data(padded), dtype=float)[-image.ndim :]
