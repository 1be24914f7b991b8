"""The pores in three dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.config.figures import CommonStyle, PoreSpaceStyle
from txm2sem_core.figures.saving import or_reason, save, save_reason
from txm2sem_core.figures.segmented import fitted_segmenter, shown_volumes
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.metrics import Segmenter
from txm2sem_core.plotting import PoreSpace, draw_pore_space

GREATEST_BLOCKS = 3


def pore_space_figure(
    volumes: Sequence[Path],
    variants: Sequence[str],
    truth: Path | None,
    store: Path,
    measure: MeasureSettings,
    style: PoreSpaceStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
    phase_labels: Path | None = None,
) -> None:
    """Draw the pores of a block from the middle of each volume, at most three of them.

    Where a part was not measured, from the middle of the largest box that was in all of them.

    Args:
        volumes: one of each variant.
        variants: their names.
        truth: the true volume, where it is known.
        store: the `store.json` of the full-resolution patch store.
        measure: how phases are separated.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
        phase_labels: folder of the placed label images, where they are used to separate the phases.
    """
    patches = io.read_patch_store(store.parent)
    segmenter, why = fitted_segmenter(patches, measure, phase_labels, "draw_pore_space")
    if segmenter is None:
        save_reason("Pores", why, outputs, common)
        return
    z_nm, y_nm, x_nm = patches.voxel_size_nm
    edges = (float(z_nm or 1), float(y_nm or 1), float(x_nm or 1))  # a sample with a volume has them all
    files, spaces = list(outputs), []
    shown = shown_volumes(volumes, variants, truth)[:GREATEST_BLOCKS]
    opened = [io.open_volume(volume.path) for volume in shown]
    with or_reason("Pores", files, common):
        for volume, boxed in zip(shown, _boxed(opened), strict=True):
            pore = _middle_block(boxed, style.side_px, segmenter)
            spaces.append(PoreSpace(volume.label, pore, edges, f"porosity {pore.mean():.3f}"))
        save(draw_pore_space(spaces, style, common), files, common)


def _boxed(opened: Sequence[io.Volume]) -> Sequence[io.Volume]:
    """The volumes, cut to the largest box of which all was measured in each of them, if anything was not."""
    order = sorted(range(len(opened)), key=lambda number: opened[number].shape)  # the others cover the smallest
    fields = [FieldOfView(volume, guess=False) for volume in opened]
    if all(Measured.of(field).is_whole for field in fields):
        return opened
    seen = Measured.of(*(fields[number] for number in order))
    return [seen.boxed(order.index(number)) for number in range(len(opened))]


def _middle_block(volume: io.Volume, side_px: int, segmenter: Segmenter) -> NDArray[np.float32]:
    """Share of pore `[Z, Y, X]` in a block from the middle; one slice of the volume is held at a time."""
    starts = [max(0, (length - side_px) // 2) for length in volume.shape]
    z, y, x = (slice(start, min(start + side_px, n)) for start, n in zip(starts, volume.shape, strict=True))
    planes = [segmenter(volume.read(i, i + 1)[0])[y, x] == 0 for i in range(z.start, z.stop)]
    return np.stack(planes).astype(np.float32)
