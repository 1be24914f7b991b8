"""Planes that were found in the TXM volume, in three dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txm2sem_core import io, planes
from txm2sem_core.config.figures import CommonStyle, PoreSpaceStyle
from txm2sem_core.figures.saving import save
from txm2sem_core.plotting import FOUND, HELD, REFUSED, PlaneInVolume, VolumeBox, draw_volume_planes
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import open_measured_volume, sample_voxel_size_nm

MOST_SLICES = 96  # of the volume that are read for the faces along z


def planes_figure(
    sample: Sample, quality: Path, style: PoreSpaceStyle, common: CommonStyle, outputs: Iterable[Path]
) -> None:
    """Draw the box of the TXM volume with the planes of its FIB-SEM slices.

    Args:
        sample: whose planes were sought; a phantom's raw files lie in the folder `raw` beside that of the results.
        quality: `registered/quality.csv`.
        style: of the view.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
    """
    raw = quality.parents[1] / "raw"
    volume = open_measured_volume(sample, raw)
    assert volume is not None  # planes are sought in one
    z_nm, y_nm, x_nm = (size or 1.0 for size in sample_voxel_size_nm(sample, raw))
    finer = sample.finer()  # by which the results are, of which this is the size
    box = VolumeBox(volume.shape, (z_nm, y_nm * finer, x_nm * finer), _faces(volume))
    shapes = {pair.pair: io.image_kind(pair.sem)[0] for pair in list_pairs(sample, raw)}
    found = []
    for row in io.read_csv(quality).to_dict("records"):
        text = row["plane"]
        if isinstance(text, str) and text:
            plane = io.plane_of_text(text, f"{quality}, pair {row['pair']}")
            height, width = shapes[row["pair"]]
            state = REFUSED if not row["accepted"] else HELD if row["held"] else FOUND
            found.append(PlaneInVolume(row["pair"], planes.corners_xyz(plane, (height, width)), state))
    save(draw_volume_planes(box, found, style, common), outputs, common)


def _faces(volume: io.Volume) -> dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]]:
    """The first and the last slice along each axis; along z of as many slices as are worth drawing."""
    depth = volume.shape[0]
    shown = np.unique(np.linspace(0, depth - 1, min(depth, MOST_SLICES)).round().astype(int)).tolist()
    ends: dict[str, list[NDArray[np.floating]]] = {"z": [], "y": [], "x": []}
    for z in shown:  # one slice is held at a time
        plane = volume.read(z, z + 1)[0]
        ends["y"].append(plane[[0, -1]].astype(np.float32))
        ends["x"].append(plane[:, [0, -1]].T.astype(np.float32))
        if z in (shown[0], shown[-1]):
            ends["z"].append(plane.astype(np.float32))
    y, x = np.stack(ends["y"], axis=1), np.stack(ends["x"], axis=1)
    return {"z": (ends["z"][0], ends["z"][-1]), "y": (y[0], y[1]), "x": (x[0], x[1])}
