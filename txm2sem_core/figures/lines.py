"""A line of a chart for what was measured once, and for each variant over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from txm2sem_core.plotting import Line

Role = Literal["truth", "input", "variant"]
_PER_UM = 1000.0  # 1/nm to 1/um
_MEASURED: tuple[tuple[str, str, Role], ...] = (
    ("sem", "FIB-SEM", "truth"),
    ("truth", "Truth", "truth"),
    ("txm", "TXM", "input"),
)


def lines_of(table: pd.DataFrame, variants: Sequence[str], x: str, y: str, *, cumulative: bool = False) -> list[Line]:
    """What was measured once (FIB-SEM, truth, TXM), then a line a variant over its seeds and samples."""
    lines, of_run = [], [key for key in ("seed", "sample") if key in table]
    for source, name, role in _MEASURED:
        own = table[table["source"] == source]
        if len(own):
            lines.append(_line(name, [own], x, y, role, cumulative=cumulative))
    predicted = table[table["source"] == "prediction"]
    for place, variant in enumerate(variants):
        runs = [run for _, run in predicted[predicted["variant"] == variant].groupby(of_run, sort=False)]
        if runs:
            lines.append(_line(variant.replace("_", " "), runs, x, y, "variant", place, cumulative=cumulative))
    return lines


def _line(
    label: str, runs: Sequence[pd.DataFrame], x: str, y: str, role: Role, place: int = 0, *, cumulative: bool
) -> Line:
    """Bring the runs to one x: seeds may differ in which lengths occur."""
    curves = [run.sort_values(x, kind="stable")[[x, y]].to_numpy(dtype=np.float64).T for run in runs]
    positions = np.unique(np.concatenate([own_x for own_x, _ in curves]))
    values = []
    for own_x, own_y in curves:
        if cumulative:
            reached = np.concatenate([[0.0], np.cumsum(own_y)])
            values.append(reached[np.searchsorted(own_x, positions, side="right")])
        else:
            values.append(np.interp(positions, own_x, own_y))
    return Line(label, positions * (_PER_UM if x == "frequency_per_nm" else 1.0), np.stack(values), role, place)
