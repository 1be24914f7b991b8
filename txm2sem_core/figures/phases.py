"""Maps of the phases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.config.figures import CommonStyle, PhasesStyle
from txm2sem_core.figures.saving import save, save_reason
from txm2sem_core.figures.segmented import fitted_segmenter, shown_volumes
from txm2sem_core.geometry import Mask
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.metrics import dice
from txm2sem_core.plotting import PhaseMap, draw_phases


def phases_figure(
    volumes: Sequence[Path],
    variants: Sequence[str],
    truth: Path | None,
    store: Path,
    measure: MeasureSettings,
    style: PhasesStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
    phase_labels: Path | None = None,
) -> None:
    """Draw the phases of every volume's middle slice, with their agreement with the truth where it is known.

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
    patches, shown = io.read_patch_store(store.parent), shown_volumes(volumes, variants, truth)
    segmenter, why = fitted_segmenter(patches, measure, phase_labels, "draw_phases")
    if segmenter is None:
        save_reason("Phases", why, outputs, common)
        return
    depth, height, width = np.min([io.open_volume(volume.path).shape for volume in shown], axis=0)
    z = int(depth) // 2
    maps: list[PhaseMap] = []
    true: NDArray[np.uint8] | None = None
    true_seen: Mask = np.ones((int(height), int(width)), dtype=bool)
    for volume in shown:
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
    save(draw_phases(maps, phase_names(segmenter.phases), patches.pixel_size_nm, style, common), outputs, common)


def phase_names(count: int) -> list[str]:
    """What the phases are called: thresholds know grey levels, not minerals."""
    between = [f"phase {number}" for number in range(1, count - 1)]
    return ["darkest (pores)", *between, "brightest (heavy minerals)"]
