"""Charts of the measures: power spectra and resolution, and the distributions of the rock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config.figures import ChartStyle, CommonStyle
from txm2sem_core.figures.saving import save, save_reason
from txm2sem_core.plotting import Line, Panel, draw_charts

Role = Literal["truth", "input", "variant"]
_PER_UM = 1000.0  # 1/nm to 1/um
_MEASURED: tuple[tuple[str, str, Role], ...] = (
    ("sem", "FIB-SEM", "truth"),
    ("truth", "Truth", "truth"),
    ("txm", "TXM", "input"),
)
_DISTRIBUTIONS = (
    ("two_point", "z", "Two-point probability along z", "Distance / nm", "Probability"),
    ("two_point", "y", "Two-point probability along y", "Distance / nm", "Probability"),
    ("two_point", "x", "Two-point probability along x", "Distance / nm", "Probability"),
    ("chord", "z", "Pore chords along z", "Length / nm", "Share not longer"),
    ("chord", "x", "Pore chords along x", "Length / nm", "Share not longer"),
    ("pore_diameter", "", "Pore sizes", "Diameter / nm", "Share of volume not wider"),
)


def spectra_figure(
    spectra: Path,
    resolution: Path,
    volume_spectra: Path | None,
    variants: Sequence[str],
    style: ChartStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw the power of the test patches, their ring correlation with the FIB-SEM, and the power of volumes along z.

    Args:
        spectra: `spectra.csv`.
        resolution: `resolution.csv`.
        volume_spectra: `volume_spectra.csv`, where there are volumes.
        variants: those to draw.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
    """
    power, correlation = io.read_csv(spectra), io.read_csv(resolution)
    x, label = _frequency(power)
    patches = _relative(_lines(power, variants, x, "power"))
    rings = _lines(correlation, variants, x, "correlation")
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
        along_z = _lines(table[table["axis"] == "z"], variants, x, "power")
        if along_z:
            panels.append(
                Panel("Power of volumes along z", label, "Power / squared grey levels", along_z, "log", "log")
            )
    save(draw_charts(panels, style, common), outputs, common)


def distributions_figure(
    distributions: Path, variants: Sequence[str], style: ChartStyle, common: CommonStyle, outputs: Iterable[Path]
) -> None:
    """Draw two-point probabilities, chord lengths and pore sizes from `rock_distributions.csv`, as far as they go."""
    table = io.read_csv(distributions).fillna({"axis": ""})
    table["source"] = np.where(table["variant"] == "truth", "truth", "prediction")
    panels = []
    for what, axis, title, x_label, y_label in _DISTRIBUTIONS:
        own = table[(table["what"] == what) & (table["axis"] == axis)]
        if lines := _lines(own, variants, "x_nm", "value", cumulative=what != "two_point"):
            panels.append(Panel(title, x_label, y_label, lines))
    if table.empty:
        save_reason("Distributions", "The pores could not be measured; the report's warnings say why.", outputs, common)
        return
    if not panels:  # no volume holds pores: a figure that is empty says so, and does not stop the others
        nothing = Line("no pores were found", np.zeros(1), np.zeros((1, 1)))
        panels = [Panel("Two-point probability", "Distance / nm", "Probability", [nothing])]
    save(draw_charts(panels, style, common), outputs, common)


def _frequency(table: pd.DataFrame) -> tuple[str, str]:
    """The column of the spatial frequency that is known, and the axis' label."""
    if table["frequency_per_nm"].notna().any():
        return "frequency_per_nm", "Spatial frequency / µm⁻¹"
    return "frequency_per_px", "Spatial frequency / px⁻¹"


def _lines(table: pd.DataFrame, variants: Sequence[str], x: str, y: str, *, cumulative: bool = False) -> list[Line]:
    """What was measured once (FIB-SEM, truth, TXM), then a line a variant over its seeds."""
    lines = []
    for source, name, role in _MEASURED:
        own = table[table["source"] == source]
        if len(own):
            lines.append(_line(name, [own], x, y, role, cumulative=cumulative))
    predicted = table[table["source"] == "prediction"]
    for variant in variants:
        runs = [run for _, run in predicted[predicted["variant"] == variant].groupby("seed", sort=False)]
        if runs:
            lines.append(_line(variant.replace("_", " "), runs, x, y, "variant", cumulative=cumulative))
    return lines


def _line(label: str, runs: Sequence[pd.DataFrame], x: str, y: str, role: Role, *, cumulative: bool) -> Line:
    """Bring the runs to one x: seeds may differ in which lengths occur."""
    curves = [run.sort_values(x, kind="stable")[[x, y]].to_numpy(dtype=np.float64).T for run in runs]
    places = np.unique(np.concatenate([own_x for own_x, _ in curves]))
    values = []
    for own_x, own_y in curves:
        if cumulative:
            reached = np.concatenate([[0.0], np.cumsum(own_y)])
            values.append(reached[np.searchsorted(own_x, places, side="right")])
        else:
            values.append(np.interp(places, own_x, own_y))
    return Line(label, places * (_PER_UM if x == "frequency_per_nm" else 1.0), np.stack(values), role)


def _relative(lines: Sequence[Line]) -> list[Line]:
    """Powers of instruments of different depth on one axis: the TXM's over its mean, the others over the FIB-SEM's."""
    reference = next((float(line.y.mean()) for line in lines if line.role == "truth"), 1.0)
    scales = [float(line.y.mean()) if line.role == "input" else reference for line in lines]
    return [
        Line(line.label, line.x, line.y / scale if scale > 0 else line.y, line.role)
        for line, scale in zip(lines, scales, strict=True)
    ]
