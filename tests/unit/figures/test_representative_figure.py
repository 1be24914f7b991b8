"""The figure of the representative volume from its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from txm2sem_core import io
from txm2sem_core.config.figures import ChartStyle, CommonStyle
from txm2sem_core.figures import representative
from txm2sem_core.metrics.pores.sizes import SIZES
from txm2sem_core.plotting import Panel

COLUMNS = ["variant", "seed", "sample", *SIZES]
VARIANTS = ["not_measured", "a_b"]
HEADINGS = {"porosity": "Porosity", "specific_surface_per_um": "Surface / um^-1", "permeability_x_nd": "Permeability"}


def row(variant: str, seed: object, metric: str, of: str, edge: int, mean: float, std: float) -> list[object]:
    return [variant, seed, "" if variant == "truth" else 1, metric, of, edge, edge, edge, 8, mean, std, np.nan]


def drawn(folder: Path, rows: list[list[object]], monkeypatch: pytest.MonkeyPatch) -> list[Panel]:
    given: list[Panel] = []
    whole = representative.draw_charts
    monkeypatch.setattr(
        representative, "draw_charts", lambda panels, *more: (given.extend(panels), whole(panels, *more))[1]
    )
    io.write_csv(folder / "sizes.csv", pd.DataFrame(rows, columns=COLUMNS))
    output = folder / "figure.png"
    representative.representative_figure(
        folder / "sizes.csv", VARIANTS, HEADINGS, ChartStyle(), CommonStyle(), [output]
    )
    assert output.stat().st_size
    return given


def test_each_line_is_the_deviation_as_a_share_of_the_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        row(variant, seed, "porosity", of, edge, 0.2, std * factor)
        for variant, seed, factor in (("truth", "", 1), ("a_b", 0, 2), ("a_b", 1, 3))
        for of, edge, std in (("blocks", 64, 0.02), ("blocks", 32, 0.05), ("volume", 128, 0.01))
    ]
    rows.append(row("a_b", 0, "permeability_x_nd", "blocks", 64, 3.0, 1.0))  # of one size alone
    (panel,) = drawn(tmp_path, rows, monkeypatch)
    truth, variant = panel.lines
    assert (truth.label, truth.role, variant.label, variant.place) == ("Truth", "truth", "a b", 1)
    assert truth.x == pytest.approx([32, 64, 128])
    assert truth.y == pytest.approx(np.array([[25, 10, 5]]))
    assert variant.y == pytest.approx(np.array([[50, 20, 10], [75, 30, 15]]))


def test_what_has_no_deviation_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that is 0, constant, or known of some volumes in one size alone."""
    rows = [
        row("a_b", seed, metric, "blocks", edge, mean, std)
        for metric, mean, std in (("porosity", 0.0, 0.0), ("specific_surface_per_um", -2.0, 0.5))
        for seed in (0, 1)
        for edge in (16, 32, 64)
    ]
    rows[-1][-2] = np.nan
    (panel,) = drawn(tmp_path, rows, monkeypatch)
    assert panel.title == "Surface"
    assert panel.lines[0].x == pytest.approx([16, 32])
    assert panel.lines[0].y == pytest.approx(25)


def test_without_a_metric_the_figure_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(tmp_path, [], monkeypatch) == []
