"""Checkerboards of TXM and FIB-SEM slices before and after registration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.bends import Bend, bend_of_record
from txm2sem_core.config.figures import CommonStyle, RegistrationStyle
from txm2sem_core.figures.saving import save
from txm2sem_core.geometry import Array, Mask, Matrix, covered_by, warp
from txm2sem_core.intensity.measured import Slice, filled
from txm2sem_core.plotting import RegistrationView, draw_registration
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import plane_pixel_size_nm


def registration_figure(
    sample: Sample,
    quality: Path,
    transforms: Path,
    style: RegistrationStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw checkerboards of some pairs before and after registration: the worst, the best, and evenly between.

    Args:
        sample: whose raw pairs are read again; those of a phantom lie in the folder `raw` beside that of the results.
        quality: `registered/quality.csv`.
        transforms: `registered/transforms.json`.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.

    Where planes were sought in the volume, what it shows there was left beside the pairs.
    """
    folder = quality.parents[1] / "raw"
    table, placed = io.read_csv(quality), io.read_json(transforms)
    drawn = table[table["pair"].isin(placed)].sort_values("correlation_after", key=np.abs, kind="stable")
    indices = np.unique(np.linspace(0, len(drawn) - 1, min(style.slices, len(drawn))).round().astype(int))
    raw = {pair.pair: pair for pair in list_pairs(sample, folder)}
    size = plane_pixel_size_nm(sample, folder)
    rows = [row for _, row in drawn.iloc[indices].iterrows()]
    views = [_registration_view(row, raw[row["pair"]], placed, size, quality.parent / "pairs") for row in rows]
    save(draw_registration(views, style, common), outputs, common)


def _registration_view(
    row: pd.Series,
    pair: RawPair,
    transforms: dict[str, dict[str, Any]],
    pixel_size_nm: tuple[float, float] | None,
    images: Path,
) -> RegistrationView:
    fixed = Slice(io.read_slice(images / f"{pair.pair}_cut.tif")) if pair.sought else pair.read_txm()
    moving = pair.read_registered_sem()
    known, moving_known = _known(fixed), _known(moving)
    matrix = np.asarray(transforms[pair.pair]["matrix"])
    before = _placed(moving.image, moving_known, np.eye(3), fixed.shape)
    bend = bend_of_record(transforms[pair.pair].get("bend"))
    after = _placed(moving.image, moving_known, matrix, fixed.shape, bend)
    verdict = "" if row["accepted"] else ", refused"
    text = f"correlation {row['correlation_before']:.2f} before, {row['correlation_after']:.2f} after{verdict}"
    text += "".join(
        f", {100 * share:.0f} % of the {name} measured"
        for name, share in (("TXM", known.mean()), ("FIB-SEM", moving_known.mean()))
        if share < 1
    )
    shown = np.where(known, fixed.image.astype(np.float64), np.nan)
    return RegistrationView(f"Pair {pair.pair}", shown, before, after, pixel_size_nm, text)


def _known(slice_: Slice) -> Mask:
    """Where a slice was measured; of a blank one all is drawn as it is."""
    return slice_.mask if slice_.mask.any() else np.isfinite(slice_.image)


def _placed(moving: Array, known: Mask, matrix: Matrix, shape: tuple[int, int], bend: Bend | None = None) -> Array:
    """The FIB-SEM slice on the TXM's pixels; NaN where it does not reach or was not measured."""
    image = warp(filled(moving, known).astype(np.float32), matrix, shape, order=1, fill=np.nan, bend=bend)
    return np.where(covered_by(known, matrix, shape, bend), image, np.float32(np.nan))
