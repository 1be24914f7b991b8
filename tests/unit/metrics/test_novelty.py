"""Novelty of tiles: against distances computed one by one, and where it must not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.novelty import NUMBERS, TILE_PX, Novelty, choose_next, describe_tiles


def rock(seed: int, grain_px: float = 3.0, shape: tuple[int, int] = (160, 192)) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), grain_px)
    return 100 + 20 * field / field.std()


def described(seed: int, grain_px: float = 3.0) -> np.ndarray:
    return describe_tiles(rock(seed, grain_px))[0]


def test_what_was_shown_is_not_new_and_its_like_is_about_one() -> None:
    novelty = Novelty.of([described(seed) for seed in range(4)])
    assert novelty(described(2)).max() == 0
    assert 0.7 < np.median(novelty(described(9))) < 1.4
    assert np.median(novelty(described(9, grain_px=6.0))) > 3


def test_distances_are_those_of_every_tile_to_every_other() -> None:
    known, own = [described(seed) for seed in range(3)], described(7)
    novelty = Novelty.of(known)
    spread = np.concatenate(known).std(axis=0)
    between = [
        min(np.linalg.norm((tile - other) / spread) for k, one in enumerate(known) if k != at for other in one)
        for at, tiles in enumerate(known)
        for tile in tiles
    ]
    expected = [min(np.linalg.norm((tile - other) / spread) for one in known for other in one) for tile in own]
    assert novelty(own) == pytest.approx(np.array(expected) / np.median(between))
    assert novelty.distances(own, known[0]) == pytest.approx(
        [min(np.linalg.norm((t - o) / spread) for o in known[0]) / np.median(between) for t in own]
    )


def test_the_numbers_of_a_tile_are_its_own() -> None:
    image = rock(1)
    numbers, position = describe_tiles(image)
    assert numbers.shape == (5 * 6, NUMBERS)
    y, x = position[8]
    tile = image[y : y + TILE_PX, x : x + TILE_PX]
    assert numbers[8, :3] == pytest.approx(np.percentile(tile, (10, 50, 90)))
    finest = image - ndimage.gaussian_filter(image, 1)
    assert numbers[8, 3] == pytest.approx(np.sqrt(np.mean(finest[y : y + TILE_PX, x : x + TILE_PX] ** 2)))


def test_tiles_that_were_not_wholly_measured_are_left_out() -> None:
    image, mask = rock(1), np.ones((160, 192), bool)
    mask[40, 70] = False
    image[40, 70] = np.nan
    numbers, position = describe_tiles(image, mask)
    assert len(numbers) == 29
    assert [32, 64] not in position.tolist()
    assert np.isfinite(numbers).all()
    assert len(describe_tiles(image[:20])[0]) == 0


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100), st.floats(-1e4, 1e4))
def test_the_scale_of_the_grey_levels_does_not_matter(scale: float, offset: float) -> None:
    def of(seed: int) -> np.ndarray:
        return describe_tiles(scale * rock(seed) + offset)[0]

    plain = Novelty.of([described(0), described(1)])(described(2))
    assert Novelty.of([of(0), of(1)])(of(2)) == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize(
    ("slices", "message"),
    [([described(0)], "two training slices"), ([np.ones((4, NUMBERS))] * 2, "the same")],
)
def test_what_tells_nothing_is_refused(slices: list[np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Novelty.of(slices)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_each_choice_takes_away_most_of_what_is_left(seed: int) -> None:
    """Against all choices tried one by one, the last place twice, and one that is not free."""
    rng = np.random.default_rng(seed)
    places = [rng.normal(size=(5, NUMBERS)) for _ in range(6)]
    places.append(places[-1])
    weight = rng.uniform(0.5, 1.5, 35)
    novelty = Novelty.of([rng.normal(size=(5, NUMBERS)) for _ in range(2)])
    everything, free = np.concatenate(places), np.arange(7) != 2
    chosen, alone = choose_next(novelty, places, weight, free, 3)

    def left(known: list[int]) -> float:
        distances = [novelty(everything), *(novelty.distances(everything, places[place]) for place in known)]
        return float((np.min(distances, axis=0) * weight).mean())

    for number, place in enumerate(chosen):
        tried = {other: left([*chosen[:number], other]) for other in range(7) if other != 2}
        assert tried[place] == pytest.approx(min(tried.values()))
    assert len(set(chosen) - {2}) == 3
    assert alone == pytest.approx([left([]) - left([place]) for place in range(7)])
    assert len(choose_next(novelty, places, weight, free, 9)[0]) == 6
