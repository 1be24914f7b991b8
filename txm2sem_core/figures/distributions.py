"""Two-point probabilities, chord lengths and pore sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from txm2sem_core import io
from txm2sem_core.config.figures import ChartStyle, CommonStyle
from txm2sem_core.figures.lines import lines_of
from txm2sem_core.figures.saving import save, save_reason
from txm2sem_core.plotting import Line, Panel, draw_charts

_DISTRIBUTIONS = (
    ("two_point", "z", "Two-point probability along z", "Distance / nm", "Probability"),
    ("two_point", "y", "Two-point probability along y", "Distance / nm", "Probability"),
    ("two_point", "x", "Two-point probability along x", "Distance / nm", "Probability"),
    ("chord", "z", "Pore chords along z", "Length / nm", "Share not longer"),
    ("chord", "x", "Pore chords along x", "Length / nm", "Share not longer"),
    ("pore_diameter", "", "Pore sizes", "Diameter / nm", "Share of volume not wider"),
)


def distributions_figure(
    distributions: Path, variants: Sequence[str], style: ChartStyle, common: CommonStyle, outputs: Iterable[Path]
) -> None:
    """Draw two-point probabilities, chord lengths and pore sizes from `rock_distributions.csv`, as far as they go."""
    table = io.read_csv(distributions).fillna({"axis": ""})
    table["source"] = np.where(table["variant"] == "truth", "truth", "prediction")
    panels = []
    for what, axis, title, x_label, y_label in _DISTRIBUTIONS:
        own = table[(table["what"] == what) & (table["axis"] == axis)]
        if lines := lines_of(own, variants, "x_nm", "value", cumulative=what != "two_point"):
            panels.append(Panel(title, x_label, y_label, lines))
    if table.empty:
        save_reason("Distributions", "The pores could not be measured; the report's warnings say why.", outputs, common)
        return
    if not panels:  # no volume holds pores: a figure that is empty says so, and does not stop the others
        nothing = Line("no pores were found", np.zeros(1), np.zeros((1, 1)))
        panels = [Panel("Two-point probability", "Distance / nm", "Probability", [nothing])]
    save(draw_charts(panels, style, common), outputs, common)
