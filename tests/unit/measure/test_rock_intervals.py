"""The rock's interval holds one more sample as often as it says; the table, with and without a truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from txm2sem_core.measure.intervals import Spread, rock_intervals


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("between", [0.7, 0.1])
def test_the_interval_holds_a_sample_of_one_more_training_as_often_as_it_says(seeds: int, between: float) -> None:
    """At least: where trainings hardly differ it is a little too wide."""
    rng = np.random.default_rng(seeds)
    held = []
    for _ in range(3000):
        means = rng.normal(3.0, between, seeds + 1)
        values = [rng.normal(mean, 0.3, 4) for mean in means]
        low, high = Spread.of(values[:seeds]).interval()
        held.append(low <= values[seeds][0] <= high)
    assert 0.84 < np.mean(held) < 0.96


@pytest.mark.parametrize("values", [[], [[1.0, 2.0, 3.0]], [[1.0], [math.inf]]])
def test_one_training_has_no_interval(values: list[list[float]]) -> None:
    assert np.isnan(Spread.of([np.array(one) for one in values]).interval()).all()


def of_volumes(*rows: tuple[str, int, float], **others: object) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["variant", "seed", "porosity"]).assign(**others)
    return rock_intervals(table).set_index("metric")


def test_the_parts_of_an_interval() -> None:
    """Two samples of the first seed, one of the second."""
    rows = [("truth", 0, 0.13), ("flow", 0, 0.10), ("flow", 0, 0.12), ("flow", 1, 0.14)]
    table = of_volumes(*rows, tortuosity_z=[2.0, math.inf, math.inf, math.inf], block_z_px=8.0, blocks=2)
    assert table["variant"].unique().tolist() == ["truth", "flow"]
    table = table[table["variant"] == "flow"]
    row = table.loc["porosity"]
    assert (row["variant"], row["seeds"], row["n"], row["truth"]) == ("flow", 2, 3, 0.13)
    assert row["mean"] == pytest.approx(0.125)  # of the seeds' means
    between, within = (0.14 - 0.11) ** 2 / 2, (0.02**2 / 2 + 0) / 2
    parts = between * 1.5, within * (1 - 1 / 1.5)
    degrees = sum(parts) ** 2 / (parts[0] ** 2 + parts[1] ** 2)  # one of each: 2 seeds, 3 samples
    half = t.ppf(0.95, degrees) * math.sqrt(sum(parts))
    assert (row["low"], row["high"]) == pytest.approx((0.125 - half, 0.125 + half))
    assert row["trainings"] ** 2 + row["samples"] ** 2 == pytest.approx(sum(parts))
    assert row["holds"] is True
    assert math.isnan(table.loc["tortuosity_z", "low"])
    assert set(table.index) == {"porosity", "tortuosity_z"}


def test_samples_of_one_training_say_how_far_they_lie_apart_and_no_more() -> None:
    table = of_volumes(("flow", 0, 0.1), ("flow", 0, 0.2))
    assert table.loc["porosity", "samples"] == pytest.approx(0.1 / math.sqrt(2))
    assert table.loc["porosity", ["low", "high", "trainings", "truth", "holds"]].isna().all()


def test_the_interval_of_the_rock_holds_its_finite_size_too() -> None:
    """The truth has no trainings: its interval is of its size alone; one training has none."""
    columns = ["variant", "metric", "of", "blocks", "mean", "std", "degrees"]
    std = {"truth": [0.02], "flow": [0.01, 0.03], "net": [0.02]}
    sizes = [[name, "porosity", "volume", 1, 0.1, one, 50] for name, own in std.items() for one in own]
    sizes.append(["flow", "porosity", "blocks", 8, 0.1, 0.4, math.nan])
    volumes = [("truth", 0, 0.13), ("flow", 0, 0.10), ("flow", 1, 0.14), ("net", 0, 0.2)]
    table = rock_intervals(
        pd.DataFrame(volumes, columns=["variant", "seed", "porosity"]), pd.DataFrame(sizes, columns=columns)
    ).set_index("variant")
    half = t.ppf(0.95, 50) * 0.02
    assert table.loc["truth", ["rock_low", "rock_high"]].tolist() == pytest.approx([0.13 - half, 0.13 + half])
    flow = table.loc["flow"]
    assert flow["finite_size"] == pytest.approx(math.sqrt((0.01**2 + 0.03**2) / 2))
    parts = 1.5 * 0.04**2 / 2, flow["finite_size"] ** 2
    degrees = sum(parts) ** 2 / (parts[0] ** 2 / 1 + parts[1] ** 2 / 50)
    alone = t.ppf(0.95, 1) * math.sqrt(parts[0])
    assert flow["rock_high"] - 0.12 == pytest.approx(max(t.ppf(0.95, degrees) * math.sqrt(sum(parts)), alone))
    assert flow["rock_high"] >= flow["high"]
    assert table.loc["net", "finite_size"] == 0.02
    assert table.loc["net", ["low", "rock_low"]].isna().all()


def test_a_true_volume_alone_has_neither_trainings_nor_a_truth_beside_it() -> None:
    row = of_volumes(("truth", 0, 0.1)).loc["porosity"]
    assert row["mean"] == 0.1
    assert row[["low", "trainings", "truth", "holds", "rock_low"]].isna().all()
