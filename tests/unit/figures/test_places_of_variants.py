"""A variant's place among those of the run decides its colour, whichever of them a figure shows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, CurvesStyle
from txm2sem_core.figures import curves
from txm2sem_core.figures.lines import lines_of

VARIANTS = ["not_measured", "second", "third"]


def test_lines_have_the_places_of_their_variants() -> None:
    table = pd.DataFrame(
        [("sem", "", x, 1.0) for x in (1, 2)] + [("prediction", name, x, 2.0) for name in VARIANTS[1:] for x in (1, 2)],
        columns=["source", "variant", "x", "y"],
    ).assign(seed=0)
    measured, *lines = lines_of(table, VARIANTS, "x", "y")
    assert measured.role == "truth"
    assert [(line.label, line.place) for line in lines] == [("second", 1), ("third", 2)]


def test_training_curves_have_the_places_of_their_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[curves.History] = []
    whole = curves.draw_curves
    monkeypatch.setattr(curves, "draw_curves", lambda runs, *more: (given.extend(runs), whole(runs, *more))[1])
    history = tmp_path / "history.csv"
    io.write_csv(
        history, pd.DataFrame({"epoch": [1, 2], "validation_psnr": [20.0, 21.0], "validation_ssim": [0.5, 0.6]})
    )
    runs = [("third", 0), ("second", 0), ("second", 1)]
    output = tmp_path / "curves.png"
    curves.curves_figure([history] * 3, runs, VARIANTS, CurvesStyle(), CommonStyle(), [output])
    assert [(run.label, run.seed, run.place) for run in given] == [("third", 0, 2), ("second", 0, 1), ("second", 1, 1)]
    assert output.stat().st_size
