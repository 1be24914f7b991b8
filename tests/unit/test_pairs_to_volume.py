"""How often intervals hold the truth, of the benchmark of volumes: counted by hand on three rocks."""

from __future__ import annotations

from pathlib import Path

import pairs_to_volume
import pandas as pd
import pytest


def write_sample(results: Path, sample: str, rows: list[tuple[float, ...]]) -> None:
    columns = ["low", "high", "rock_low", "rock_high", "truth"]
    table = pd.DataFrame(rows, columns=columns).assign(variant="flow", metric=["porosity", "euler_per_um3"])
    (results / sample / "metrics").mkdir(parents=True)
    table.to_csv(results / sample / "metrics/rock_intervals.csv", index=False)


def test_each_interval_is_compared_with_what_it_is_for(tmp_path: Path) -> None:
    none = (float("nan"), float("nan"), 2.0, 9.0, 5.0)  # one training gives no interval
    write_sample(tmp_path, "rock1", [(0.09, 0.11, 0.05, 0.15, 0.10), (3.0, 4.0, 2.0, 5.0, 4.5)])
    write_sample(tmp_path, "rock2", [(0.19, 0.21, 0.18, 0.22, 0.20), (3.0, 4.0, 2.0, 5.0, 3.5)])
    write_sample(tmp_path, "rock3", [(0.17, 0.18, 0.12, 0.23, 0.12), none])
    write_sample(tmp_path, "noisy", [(0.10, 0.12, 0.08, 0.14, 0.20), none])
    found = pairs_to_volume.coverage(tmp_path).set_index("metric")
    # means of the other rocks: 0.16, 0.11 and 0.15 of the porosity; of too few in the Euler number
    assert dict(found.loc["porosity", ["cases", "volume", "rock", "of_rock"]]) == pytest.approx(
        {"cases": 4, "volume": 2 / 4, "rock": 3 / 4, "of_rock": 1 / 3}
    )
    euler = found.loc["euler_per_um3"]
    assert (euler["cases"], euler["volume"], euler["rock"]) == (2, 0.5, 1.0)
    assert pd.isna(euler["of_rock"])
    table = pairs_to_volume.coverage_table(found.reset_index())
    assert "| flow: porosity | 4 | 50% | 75% | 33% |" in table
    assert "| flow: euler_per_um3 | 2 | 50% | 100% |  |" in table
