"""What a volume cannot know of its rock: against rocks that are made again and again."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from txm2sem_core.metrics import Thresholds
from txm2sem_core.metrics.pores.blocks import places_of
from txm2sem_core.metrics.pores.finite_size import BlockMeter, PhaseCells, block_grids, doubt_of_share, doubt_of_volume
from txm2sem_core.metrics.pores.streaming import PoreMeter
from txm2sem_core.metrics.pores.summary import measure_pores

EDGES = (10.0, 10.0, 10.0)


def grains(rng: np.random.Generator, cells: int, edge: int) -> np.ndarray:
    """Cubes, each pore with a probability of 0.3: the variance of their share is 0.21 over their number."""
    return np.kron(rng.random((cells,) * 3) < 0.3, np.ones((edge,) * 3)).astype(bool)


@pytest.mark.parametrize("edge", [1, 3])
def test_the_spread_of_a_share_over_rocks_is_found_in_each_of_them(edge: int) -> None:
    rng = np.random.default_rng(edge)
    found = [doubt_of_share(grains(rng, 12, edge).astype(float)) for _ in range(20)]
    expected = math.sqrt(0.21 / 12**3)
    assert np.sqrt(np.mean([one.std**2 for one in found])) == pytest.approx(expected, rel=0.15)
    if edge == 1:
        assert np.median([one.degrees for one in found]) == pytest.approx(12**3, rel=0.2)


@pytest.mark.parametrize("field", [np.zeros((4, 5, 6)), np.ones((4, 5, 6))])
def test_a_share_of_nothing_or_all_says_nothing_of_the_rock(field: np.ndarray) -> None:
    assert math.isnan(doubt_of_share(field).std)


def test_cells_hold_the_shares_of_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (9, 10, 13)).astype(np.uint8)
    monkeypatch.setattr("txm2sem_core.metrics.pores.finite_size.MOST_CELLS", labels.size / 8)
    meter = PhaseCells(labels.shape, 3)
    for plane in labels:
        meter.add(plane)
    field = meter.result()
    assert field.shape == (3, 4, 5, 6)
    for phase in range(3):
        tiles = (labels[:8, :10, :12] == phase).reshape(4, 2, 5, 2, 6, 2)
        np.testing.assert_allclose(field[phase], tiles.mean(axis=(1, 3, 5)))


def test_small_volumes_are_their_own_cells() -> None:
    assert PhaseCells((40, 50, 50), 4).cell == 1
    assert PhaseCells((1024, 1024, 1024), 4).cell == 23
    assert PhaseCells((3, 9000, 9000), 4).cell == 3


def test_blocks_are_about_cubes_and_small_ones_their_eighths() -> None:
    assert block_grids((64, 64, 64), None) == [(2, 2, 2), (4, 4, 4)]
    assert block_grids((48, 256, 256), EDGES) == [(1, 3, 3), (2, 6, 6)]
    assert block_grids((64, 64, 64), (40.0, 10.0, 10.0)) == [(5, 1, 1), (10, 2, 2)]
    assert block_grids((7, 64, 64), None) == []  # too thin to be cut twice


def test_each_block_is_measured_as_if_it_were_alone() -> None:
    pore = np.random.default_rng(1).random((10, 13, 12)) < 0.4
    meter = BlockMeter(pore.shape, (2, 3, 1), EDGES)
    for planes in (pore[:3], pore[3:10]):  # across the end of a layer of blocks
        for task in meter.tasks(list(planes)):
            task()
    alone = []
    for z in (slice(0, 5), slice(5, 10)):
        for y in (slice(0, 4), slice(4, 8), slice(8, 13)):
            one = PoreMeter(0, EDGES, slices=5)
            for plane in pore[z, y]:
                one.add(plane)
            alone.append(one.result())
    of_blocks, of_alone = (
        [(own.porosity, own.connected, own.euler, own.specific_surface, own.mean_chords) for own in each]
        for each in (meter.found, alone)
    )
    assert of_blocks == of_alone


@pytest.mark.parametrize(
    ("large", "small", "expected"),
    [
        (1.0, math.sqrt(8), 1 / math.sqrt(8)),  # independent: as a mean of 8
        (1.0, 1.0, 1.0),  # blocks of any size differ alike
        (1.0, 0.5, 1.0),  # no more than the large ones
        (1.0, 9.0, 1 / math.sqrt(8)),  # nor less than independent ones
        (1.0, 1.5, 1 / 1.5),
    ],
)
def test_the_curve_over_the_blocks_sizes_is_continued(large: float, small: float, expected: float) -> None:
    values = [np.tile([-1.0, 1.0], n) * spread for n, spread in ((4, large), (32, small))]
    scaled = [own * math.sqrt((own.size - 1) / own.size) for own in values]  # standard deviations of a sample
    found = doubt_of_volume(*scaled)
    assert (found.std, found.degrees) == (pytest.approx(expected), 7)


def test_too_few_blocks_say_nothing() -> None:
    assert math.isnan(doubt_of_volume([0.1, 0.2], [0.1] * 9).std)
    assert math.isnan(doubt_of_volume([0.1, math.nan, 0.3], [0.1] * 9).std)


def test_blocks_are_spread_over_the_volume_and_do_not_overlap() -> None:
    (only,) = places_of((9, 64, 65), 20, 1)
    assert [(own.start, own.stop) for own in only] == [(0, 9), (22, 42), (22, 42)]
    assert places_of((9, 20, 30), 0, 8) == [(slice(0, 9), slice(0, 20), slice(0, 30))]
    places = places_of((128, 128, 128), 32, 8)
    assert len(places) == 8
    assert [own.start for own in places[0]] == [16, 16, 16]
    assert [own.start for own in places[-1]] == [80, 80, 80]
    assert len(places_of((48, 256, 256), 64, 9)) == 9
    many = places_of((50, 70, 90), 16, 1000)
    covered = np.zeros((50, 70, 90), int)
    for place in many:
        covered[place] += 1
    assert (len(many), covered.max()) == (3 * 4 * 5, 1)


def measured(pore: np.ndarray, **options: object) -> tuple[dict[str, float], pd.DataFrame]:
    grey = np.where(pore, 10, 200).astype(np.uint8)
    found = measure_pores(iter(grey), pore.shape, EDGES, Thresholds((100.0,)), **options)  # type: ignore[arg-type]
    return found.metrics, found.sizes


def test_several_blocks_are_averaged_and_their_spread_is_given() -> None:
    """A straight channel through every second block; pores of two widths."""
    pore = np.zeros((16, 32, 32), bool)
    pore[:, 4:8, 4:8] = pore[:, 20:22, 20:22] = True
    metrics, sizes = measured(pore, cube_px=16, blocks=4, axes=("z",))
    share = [16 / 256, 0, 0, 4 / 256]
    assert (metrics["blocks"], metrics["block_y_px"]) == (4, 16)
    assert metrics["block_porosity"] == pytest.approx(np.mean(share))
    assert metrics["diffusivity_z_relative"] == pytest.approx(np.mean(share))
    assert metrics["formation_factor_z"] == pytest.approx(1 / np.mean(share))
    assert metrics["tortuosity_z"] == pytest.approx(1)
    assert metrics["pore_diameter_nm_median"] == 40  # of all pores together
    rows = sizes[sizes["metric"] == "diffusivity_z_relative"].set_index("of")
    assert rows["blocks"].tolist() == [4, 4]
    assert rows.loc["blocks", "std"] == pytest.approx(np.std(share, ddof=1))
    assert rows.loc["volume", "std"] == pytest.approx(np.std(share, ddof=1) / 2)
    assert rows.loc["volume", "degrees"] == 3
    in_nd, in_m2 = (sizes[sizes["metric"] == f"permeability_z_{unit}"]["std"] for unit in ("nd", "m2"))
    np.testing.assert_allclose(in_nd, in_m2 / 9.869233e-22)


def test_one_block_has_no_spread() -> None:
    _, sizes = measured(grains(np.random.default_rng(0), 8, 2), cube_px=16, blocks=1, axes=("x",))
    own = sizes[sizes["metric"].isin(["diffusivity_x_relative", "pore_diameter_nm_median"])]
    assert own["std"].isna().all()
    assert sizes[(sizes["metric"] == "porosity") & (sizes["of"] == "volume")]["std"].notna().all()


def test_without_a_voxel_size_shares_and_connections_have_their_doubt() -> None:
    grey = np.where(grains(np.random.default_rng(0), 8, 2), 10, 200).astype(np.uint8)
    sizes = measure_pores(iter(grey), (16, 16, 16), None, Thresholds((100.0,))).sizes
    whole = sizes[sizes["of"] == "volume"].set_index("metric")["std"]
    assert set(whole.index) == {"porosity", "fraction_0", "fraction_1", *(f"porosity_connected_{a}" for a in "zyx")}
    assert whole.notna().all()
