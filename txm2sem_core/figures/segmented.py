"""Volumes drawn by phase, and the segmenter that separates the phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.metrics import Segmenter
from txm2sem_core.metrics.gaps import Gaps
from txm2sem_core.phases import fit_segmenter


@dataclass(frozen=True)
class ShownVolume:
    """A volume that is drawn, and its label; `truth` where it is the known one."""

    label: str
    path: Path
    truth: bool = False


def shown_volumes(volumes: Sequence[Path], variants: Sequence[str], truth: Path | None) -> list[ShownVolume]:
    """The truth first, where it is known, then a volume of each variant."""
    known = [] if truth is None else [ShownVolume("Truth", truth, truth=True)]
    return known + [ShownVolume(name.replace("_", " "), file) for name, file in zip(variants, volumes, strict=True)]


def fitted_segmenter(
    store: io.PatchStore, measure: MeasureSettings, labels: Path | None, rule: str
) -> tuple[Segmenter | None, str]:
    """The segmenter of the phases; or None, and why they cannot be separated."""
    gaps = Gaps(rule)
    with gaps.of("phases"):
        return fit_segmenter(store, measure, labels), ""
    return None, gaps.reasons["phases"]
