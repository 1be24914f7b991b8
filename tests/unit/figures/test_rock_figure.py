"""The figure of the rock's metrics from its tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, ComparisonStyle
from txm2sem_core.figures.rock import rock_figure
from txm2sem_core.measure.intervals import COLUMNS
from txm2sem_core.plotting import Measured, RockPanel


def drawn(folder: Path, rock: pd.DataFrame, intervals: pd.DataFrame, variants: list[str]) -> Path:
    io.write_csv(folder / "rock.csv", rock)
    io.write_csv(folder / "rock_intervals.csv", intervals)
    output = folder / "rock.png"
    headings = {"porosity": "Porosity", "euler_per_um3": "Euler number"}
    tables = folder / "rock.csv", folder / "rock_intervals.csv"
    rock_figure(*tables, variants, headings, ComparisonStyle(), CommonStyle(), [output])
    return output


def test_the_metrics_that_there_are_are_drawn(tmp_path: Path, monkeypatch: object) -> None:
    given: list[tuple[list[str], list[RockPanel]]] = []
    import txm2sem_core.figures.rock as module

    whole = module.draw_rock
    monkeypatch.setattr(module, "draw_rock", lambda *own: (given.append(own[:2]), whole(*own))[1])  # type: ignore[attr-defined]
    seeds = ["", 0, 1, "all"]
    rock = pd.DataFrame({"variant": ["truth", *["a_b"] * 3], "seed": seeds, "porosity": [0.1, 0.2, 0.4, 0.3]})
    rows = [
        {"variant": "truth", "metric": "porosity", "mean": 0.1, "rock_low": 0.05, "rock_high": 0.15},
        {"variant": "a_b", "metric": "porosity", "mean": 0.3, "low": 0.1, "high": 0.5},
        {"variant": "a_b", "metric": "porosity_connected_y", "mean": 0.3},
    ]
    assert drawn(tmp_path, rock, pd.DataFrame(rows, columns=COLUMNS), ["a_b"]).stat().st_size
    ((labels, (panel,)),) = given
    assert (labels, panel.heading) == (["a b"], "Porosity")
    assert (panel.measured[0].values, panel.measured[0].volume) == ((0.2, 0.4), (0.1, 0.5))
    assert panel.truth
    assert panel.truth.rock == (0.05, 0.15)
    assert isinstance(panel.truth, Measured)


def test_without_a_metric_the_figure_says_so(tmp_path: Path) -> None:
    rock = pd.DataFrame({"variant": ["a"], "seed": [0], "not_measured": ["rock: no phases."]})
    assert drawn(tmp_path, rock, pd.DataFrame(columns=COLUMNS), ["a"]).stat().st_size
