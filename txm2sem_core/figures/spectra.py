"""Power spectra and resolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from txm2sem_core import io
from txm2sem_core.config.figures import ChartStyle, CommonStyle
from txm2sem_core.figures.lines import lines_of
from txm2sem_core.figures.saving import save, save_reason
from txm2sem_core.plotting import Line, Panel, draw_charts


def spectra_figure(
    spectra: Path,
    resolution: Path,
    variants: Sequence[str],
    style: ChartStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
    volume_spectra: Path | None = None,
) -> None:
    """Draw the power of the test patches, their ring correlation with the FIB-SEM, and the power of volumes along z.

    Args:
        spectra: `spectra.csv`.
        resolution: `resolution.csv`.
        variants: those to draw.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
        volume_spectra: `volume_spectra.csv`, where there are volumes.
    """
    power, correlation = io.read_csv(spectra), io.read_csv(resolution)
    x, label = _frequency(power)
    patches = _relative(lines_of(power, variants, x, "power"))
    rings = lines_of(correlation, variants, x, "correlation")
    if not patches or not rings:
        save_reason("Spectra", "They could not be measured; the report's warnings say why.", outputs, common)
        return
    panels = [
        Panel("Power of test patches", label, "Power / mean", patches, "log", "log"),
        Panel("Ring correlation with the FIB-SEM", label, "Correlation", rings, guides=[(1 / 7, "1/7")]),
    ]
    if volume_spectra is not None:
        table = io.read_csv(volume_spectra)
        x, label = _frequency(table)
        along_z = lines_of(table[table["axis"] == "z"], variants, x, "power")
        if along_z:
            panels.append(
                Panel("Power of volumes along z", label, "Power / squared grey levels", along_z, "log", "log")
            )
    save(draw_charts(panels, style, common), outputs, common)


def _frequency(table: pd.DataFrame) -> tuple[str, str]:
    """The column of the spatial frequency that is known, and the axis' label."""
    if table["frequency_per_nm"].notna().any():
        return "frequency_per_nm", "Spatial frequency / µm⁻¹"
    return "frequency_per_px", "Spatial frequency / px⁻¹"


def _relative(lines: Sequence[Line]) -> list[Line]:
    """Powers of instruments of different depth on one axis: the TXM's over its mean, the others over the FIB-SEM's."""
    reference = next((float(line.y.mean()) for line in lines if line.role == "truth"), 1.0)
    scales = [float(line.y.mean()) if line.role == "input" else reference for line in lines]
    return [replace(line, y=line.y / scale if scale > 0 else line.y) for line, scale in zip(lines, scales, strict=True)]
