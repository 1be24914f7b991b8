"""The figures of a rock from grey levels, and their tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from small_data import make_store

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings, RockSettings
from txm2sem_core.errors import InputError
from txm2sem_core.measure.rock import measure_rock, summarise_rock
from txm2sem_core.metrics import Thresholds
from txm2sem_core.metrics.pores.permeability import Permeability
from txm2sem_core.metrics.pores.sizes import SIZES
from txm2sem_core.metrics.pores.summary import middle, rock_metrics

SLIT = Thresholds((100.0,))


def channel() -> np.ndarray:
    grey = np.full((10, 20, 24), 200, dtype=np.uint8)
    grey[:, 6:14, :] = 10
    grey[4, 1, 1] = 10
    return grey


def test_figures_of_a_slit() -> None:
    metrics, table = rock_metrics(iter(channel()), (10, 20, 24), (10, 10, 10), SLIT, flow=True)
    assert metrics["porosity"] == pytest.approx(0.4 + 1 / 4800)
    assert metrics["porosity_connected_x"] == pytest.approx(0.4)
    assert metrics["porosity_connected_y"] == metrics["permeability_y_m2"] == 0
    assert metrics["permeability_x_m2"] == pytest.approx(80e-9**2 / 12 * 0.4, rel=1e-4)
    assert metrics["permeability_x_nd"] == pytest.approx(metrics["permeability_x_m2"] / 9.869233e-22)
    assert math.isinf(metrics["tortuosity_y"])
    own = table[(table["what"] == "two_point") & (table["axis"] == "y")]
    assert own["value"].iloc[0] == pytest.approx(metrics["porosity"])
    assert own["x_nm"].iloc[1] == 10
    chords = table[(table["what"] == "chord") & (table["axis"] == "y")]
    assert chords["x_nm"].tolist() == [10, 80]


def test_without_a_voxel_size_only_shares_are_given() -> None:
    metrics, table = rock_metrics(iter(channel()), (10, 20, 24), None, SLIT)
    assert set(metrics) == {"fraction_0", "fraction_1", "porosity", *(f"porosity_connected_{a}" for a in "zyx")}
    assert table.empty


def test_the_block_is_from_the_middle() -> None:
    assert middle((4, 9, 10), 3) == (slice(0, 3), slice(3, 6), slice(3, 6))
    assert middle((4, 9, 9), 0) == (slice(0, 4), slice(0, 9), slice(0, 9))
    metrics, _ = rock_metrics(iter(channel()), (10, 20, 24), (10, 10, 10), SLIT, cube_px=8)
    assert metrics["block_porosity"] == 1
    assert math.isnan(metrics["pore_diameter_nm_median"])


def test_a_solver_that_does_not_converge_leaves_a_gap_and_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "txm2sem_core.metrics.pores.blocks.solve_permeability",
        lambda *_: Permeability(3e-18, 300, 0.02, False, 0.1),
    )
    with pytest.warns(UserWarning, match=r"along x: not converged after 300 .* upper bound, is 3e-18"):
        metrics, _ = rock_metrics(iter(channel()), (10, 20, 24), (10, 10, 10), SLIT, flow=True)
    assert math.isnan(metrics["permeability_x_m2"])
    assert math.isnan(metrics["permeability_x_nd"])
    assert metrics["porosity"] > 0


def test_other_slices_than_the_shape_says_are_refused() -> None:
    with pytest.raises(InputError, match="9 slices came of a volume of 10"):
        rock_metrics(iter(channel()[:9]), (10, 20, 24), None, SLIT)
    with pytest.raises(InputError, match="slice 0 has shape"):
        rock_metrics(iter(channel()), (10, 20, 25), None, SLIT)


def rock_file(folder: Path, **metrics: object) -> Path:
    folder.mkdir()
    io.write_json(folder / "rock.json", metrics)
    (folder / "rock_distributions.csv").write_text("what,axis,x_nm,value\ntwo_point,z,0,0.1\n")
    (folder / "rock_sizes.csv").write_text(f"{','.join(SIZES)}\nporosity,volume,8,8,8,1,0.1,0.03,20\n")
    return folder / "rock.json"


def test_the_tables_of_several_volumes(tmp_path: Path) -> None:
    """Two seeds of `a`, two samples of the seed of `b`, one volume of `c`."""
    runs = [("truth", "", 1), ("a", 0, 1), ("a", 1, 1), ("b", 0, 1), ("b", 0, 2), ("c", 0, 1)]
    porosities = [0.15, 0.1, 0.3, 0.2, 0.22, 0.4]
    files = [
        rock_file(tmp_path / str(n), porosity=porosity, permeability_x_m2=None, block_z_px=8.0)
        for n, porosity in enumerate(porosities)
    ]
    summarise_rock(runs, files, tmp_path)
    table = io.read_csv(tmp_path / "rock_intervals.csv").set_index(["variant", "metric"])
    rocks = ["truth", *"abc"]
    assert set(table.index) == {(name, metric) for name in rocks for metric in ("porosity", "permeability_x_m2")}
    reach = 0.03 * t.ppf(0.95, 20)
    expected = [0.15, math.nan, 0.15 - reach, 0.15 + reach, 0.03]
    columns = ["mean", "low", "rock_low", "rock_high", "finite_size"]
    assert table.loc[("truth", "porosity"), columns].tolist() == pytest.approx(expected, nan_ok=True)
    assert table.loc[("b", "porosity"), columns[1:4]].isna().all()
    columns = ["seeds", "n", "mean", "least", "greatest", "truth"]
    assert table.loc[("a", "porosity"), columns].tolist() == pytest.approx([2, 2, 0.2, 0.1, 0.3, 0.15])
    half = t.ppf(0.95, 1) * math.sqrt(1.5) * 0.2 / math.sqrt(2)
    assert table.loc[("a", "porosity"), ["low", "high"]].tolist() == pytest.approx([0.2 - half, 0.2 + half])
    assert table.loc[("b", "porosity"), ["mean", "samples"]].tolist() == pytest.approx([0.21, 0.02 / math.sqrt(2)])
    assert table.loc[["b", "c"], ["low", "trainings", "holds"]].isna().all(axis=None)  # of one training
    assert table.loc[("a", "permeability_x_m2"), "n"] == 0
    assert io.read_csv(tmp_path / "rock_distributions.csv")["sample"].tolist() == [1, 1, 1, 1, 2, 1]
    rock = io.read_csv(tmp_path / "rock.csv")
    assert io.read_csv(tmp_path / "rock_sizes.csv")["variant"].tolist() == [variant for variant, *_ in runs]
    assert rock["seed"].fillna("").tolist() == ["", "0", "1", "all", "0", "0", "all", "0"]
    means = rock[rock["seed"] == "all"].set_index("variant")
    assert means["porosity"].tolist() == pytest.approx([0.2, 0.21])
    assert means.loc["a", ["porosity_low", "porosity_high"]].tolist() == pytest.approx([0.2 - half, 0.2 + half])
    assert math.isnan(means.loc["b", "porosity_low"])


def of_seeds(folder: Path, depths: list[int]) -> pd.DataFrame:
    """Intervals over seeds whose channel along z is so deep; the volume has 12 slices."""
    make_store(folder / "patches")
    files = []
    for seed, depth in enumerate(depths):
        grey = np.full((12, 12, 12), 200, np.uint8)
        grey[:depth, 4:8, 4:8] = 10
        io.write_tiff(folder / f"{seed}.tif", grey, (10, 10, 10))
        files.append(folder / str(seed) / "rock.json")
        settings = MeasureSettings(thresholds=(100.0,), phases=2, rock=RockSettings(flow=True))
        measure_rock(folder / f"{seed}.tif", folder / "patches", settings, files[-1])
    summarise_rock([("net", seed, 1) for seed in range(len(depths))], files, folder / "out")
    return io.read_csv(folder / "out" / "rock_intervals.csv").set_index("metric")


def test_seeds_without_a_path_count_in_the_means(tmp_path: Path) -> None:
    """The mean of 1 / F over four seeds, of which three have no path, is a quarter of the one's."""
    rows = of_seeds(tmp_path, [9, 9, 9, 12])
    formation, tortuosity = rows.loc["formation_factor_z"], rows.loc["tortuosity_z"]
    assert rows.loc["diffusivity_z_relative", "mean"] == pytest.approx(1 / 36)
    assert formation[["n", "without_path", "mean", "least"]].tolist() == pytest.approx([4, 3, 36, 9])
    assert math.isinf(formation["greatest"])
    assert math.isinf(formation["high"])
    assert formation["low"] == pytest.approx(1 / (1 / 36 + t.ppf(0.95, 3) * math.sqrt(1 + 1 / 4) / 18))
    assert tortuosity["mean"] == pytest.approx(4)  # straight, of one in four
    assert math.isnan(rows.loc["porosity", "without_path"])
    shown = io.read_csv(tmp_path / "out" / "rock.csv").set_index("seed")["formation_factor_z"]
    assert shown.tolist() == pytest.approx([*[math.inf] * 3, 9, 36])


@pytest.mark.parametrize(("depths", "mean"), [([9, 9, 9], math.inf), ([12, 12, 12], 9.0)])
def test_seeds_that_all_have_a_path_or_none(tmp_path: Path, depths: list[int], mean: float) -> None:
    rows = of_seeds(tmp_path, depths)
    assert rows.loc["formation_factor_z", "mean"] == pytest.approx(mean)
    assert rows.loc["formation_factor_z", "without_path"] == (3 if math.isinf(mean) else 0)
