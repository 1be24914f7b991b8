"""A prediction, its stated uncertainty and its true error."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, UncertaintyStyle
from txm2sem_core.figures.saving import save, save_reason
from txm2sem_core.io.field_of_view import FieldOfView, as_shown
from txm2sem_core.metrics import Calibration
from txm2sem_core.plotting import StatedCoverage, UncertaintyView, draw_uncertainty


def uncertainty_figure(
    patches: Path,
    spread: Path,
    calibration: Path,
    scores: Path,
    reliability: Path,
    store: Path,
    style: UncertaintyStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
    volume: Path | None = None,
    truth: Path | None = None,
) -> None:
    """Draw a prediction, its uncertainty and its error: of the volume's middle slice, or else of a test patch.

    Args:
        patches: the predicted `patches.tif`.
        spread: their `spread.tif`.
        calibration: `calibration.json`.
        scores: `uncertainty.csv`.
        reliability: `reliability.csv`.
        store: the `store.json` of the full-resolution patch store.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
        volume: the predicted OME-Zarr, where there is one and the truth is known.
        truth: the true volume.
    """
    read = io.read_patch_store(store.parent)
    if volume is not None and truth is not None:
        depth, height, width = io.open_volume(volume).shape
        z = depth // 2
        field = FieldOfView(io.open_volume(volume), guess=False)
        plane = field.volume.read(z, z + 1)[0]
        mask = field.of(plane, z)
        stated = io.open_volume(volume, 1).read(z, z + 1)[0]
        prediction, uncertainty = as_shown(plane, mask), as_shown(stated, mask)
        target, name = as_shown(io.open_volume(truth).read(z, z + 1)[0, :height, :width], mask), "the noise-free truth"
    else:
        number = len(read.of_split("test")) // 2
        mean, stated = (io.open_volume(file).read(number, number + 1)[0] for file in (patches, spread))
        factors = Calibration.from_dict(io.read_json(calibration))
        row = read.of_split("test").iloc[number]
        prediction, uncertainty = mean, factors.apply(stated)
        target, name = read.sem_patch(row["pair"], int(row["y"]), int(row["x"])), "the FIB-SEM patch"
    coverages = _coverages(scores, reliability)
    if not coverages:
        save_reason("Uncertainty", "It could not be measured; the report's warnings say why.", outputs, common)
        return
    view = UncertaintyView(prediction, uncertainty, target, name, read.pixel_size_nm, coverages)
    save(draw_uncertainty(view, style, common), outputs, common)


def _coverages(scores: Path, reliability: Path) -> list[StatedCoverage]:
    bins = io.read_csv(reliability)
    coverages = []
    for row in io.read_csv(scores).to_dict("records"):
        if pd.isna(row.get("within_1")):  # not measured
            continue
        own = bins[(bins["of"] == row["of"]) & (bins["uncertainty"] == row["stated"])]
        within = row["within_1"], row["within_2"]
        curve = own["stated"].to_numpy(), own["error"].to_numpy()
        coverages.append(StatedCoverage(str(row["of"]).capitalize(), row["stated"], *curve, within))
    return coverages
