"""Figures of what the grey levels mean: maps of the phases, and the pores in three dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.config.figures import CommonStyle, PhasesStyle, PoreSpaceStyle
from txm2sem_core.figures.saving import or_reason, save, save_reason
from txm2sem_core.geometry import Mask
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.metrics import Segmenter, dice
from txm2sem_core.metrics.gaps import Gaps
from txm2sem_core.phases import fit_segmenter
from txm2sem_core.plotting import PhaseMap, PoreSpace, draw_phases, draw_pore_space

GREATEST_BLOCKS = 3


@dataclass(frozen=True)
class ShownVolume:
    """A volume that is drawn, and its label; `truth` where it is the known one."""

    label: str
    path: Path
    truth: bool = False


def phases_figure(
    volumes: Sequence[ShownVolume],
    patches: Path,
    measure: MeasureSettings,
    style: PhasesStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
    labels: Path | None = None,
) -> None:
    """Draw the phases of every volume's middle slice, with their agreement with the truth where it is known.

    Args:
        volumes: the truth first, if there is one.
        patches: folder of the full-resolution patch store.
        measure: how phases are told apart.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
        labels: folder of the placed label images, where phases are parted by them.
    """
    store = io.read_patch_store(patches)
    segmenter, why = _segmenter(store, measure, labels)
    if segmenter is None:
        save_reason("Phases", why, outputs, common)
        return
    depth, height, width = np.min([io.open_volume(volume.path).shape for volume in volumes], axis=0)
    z = int(depth) // 2
    maps: list[PhaseMap] = []
    true: NDArray[np.uint8] | None = None
    true_seen: Mask = np.ones((int(height), int(width)), dtype=bool)
    for volume in volumes:
        field = FieldOfView(io.open_volume(volume.path), guess=False)
        plane = field.volume.read(z, z + 1)[0]
        mask = field.of(plane, z)
        phases = segmenter(field.filled(plane, mask))[:height, :width]
        seen: Mask = np.ones(phases.shape, dtype=bool) if mask is None else mask[:height, :width]
        if volume.truth:
            true, true_seen = phases, seen
        both = seen & true_seen
        note = "" if true is None or volume.truth else f"pore Dice {dice((phases == 0)[both], (true == 0)[both]):.2f}"
        maps.append(PhaseMap(volume.label, phases, note, None if seen.all() else seen))
    save(draw_phases(maps, phase_names(segmenter.phases), store.pixel_size_nm, style, common), outputs, common)


def _segmenter(store: io.PatchStore, measure: MeasureSettings, labels: Path | None) -> tuple[Segmenter | None, str]:
    """What parts the phases; or None, and why they cannot be parted."""
    gaps = Gaps("draw_rock")
    with gaps.of("phases"):
        return fit_segmenter(store, measure, labels), ""
    return None, gaps.reasons["phases"]


def phase_names(count: int) -> list[str]:
    """What the phases are called: thresholds know grey levels, not minerals."""
    between = [f"phase {number}" for number in range(1, count - 1)]
    return ["darkest (pores)", *between, "brightest (heavy minerals)"]


def pore_space_figure(
    volumes: Sequence[ShownVolume],
    patches: Path,
    measure: MeasureSettings,
    style: PoreSpaceStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
    labels: Path | None = None,
) -> None:
    """Draw the pores of a block from the middle of each volume, at most three of them.

    Where a part was not measured, from the middle of the largest box that was in all of them.

    The arguments are those of `phases_figure`.
    """
    store = io.read_patch_store(patches)
    segmenter, why = _segmenter(store, measure, labels)
    if segmenter is None:
        save_reason("Pores", why, outputs, common)
        return
    z_nm, y_nm, x_nm = store.voxel_size_nm
    edges = (float(z_nm or 1), float(y_nm or 1), float(x_nm or 1))  # a sample with a volume has them all
    files, spaces, shown = list(outputs), [], volumes[:GREATEST_BLOCKS]
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
