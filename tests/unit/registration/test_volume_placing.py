"""FIB-SEM slices found in a volume: planted planes of a phantom, and slices of another rock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from txm2sem_core import io, planes
from txm2sem_core.config import PhantomSettings, RegisterSettings
from txm2sem_core.geometry import Array, Matrix
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.phantom import make_phantom
from txm2sem_core.phantom.oblique import cut_plane
from txm2sem_core.registration.frames import Scaled
from txm2sem_core.registration.volume_levels import VolumeLevels, seen
from txm2sem_core.registration.volume_placing import (
    CERTAIN,
    PlacedPlane,
    _scales,
    certain,
    find_plane,
    judged,
    place_in_volume,
)
from txm2sem_core.registration.volume_search import Bounds, find_starts
from txm2sem_core.samples.sought import Depths

SHAPE = (56, 176, 176)


@dataclass(frozen=True)
class Rock:
    levels: VolumeLevels
    sem: Array
    labels: Array

    def cut(self, plane: Matrix, shape: tuple[int, int]) -> Slice:
        rng = np.random.default_rng(7)
        return Slice(cut_plane(self.sem, self.labels, plane, shape, 32 * planes.width(plane), 300, rng).grey)

    def place(self, sem: Slice, scale: float, **changes: object) -> PlacedPlane:
        return place_in_volume(self.levels, sem, RegisterSettings(**changes), stated_scale=scale)


def make_rock(folder: Path, seed: int) -> Rock:
    make_phantom(PhantomSettings(shape=SHAPE, seed=seed, pair_every=56), folder)
    txm, sem, labels = (
        io.open_volume(folder / name).read(0, SHAPE[0]) for name in ("txm_volume", "truth/sem.tif", "truth/labels.tif")
    )
    return Rock(VolumeLevels(io.Volume.of_array(txm)), sem, labels)


@pytest.fixture(scope="module")
def rock(tmp_path_factory: pytest.TempPathFactory) -> Rock:
    return make_rock(tmp_path_factory.mktemp("rock") / "one", 5)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Rock:
    return make_rock(tmp_path_factory.mktemp("rock") / "other", 6)


@pytest.mark.parametrize(
    ("turn", "tilt", "towards", "scale", "mirrored"),
    [(0, 0, 0, 1.0, False), (100, 8, 30, 0.4, True), (-35, 14, -120, 1.2, False), (170, 11, 80, 0.25, False)],
)
def test_a_planted_plane_is_found(
    rock: Rock, turn: float, tilt: float, towards: float, scale: float, mirrored: bool
) -> None:
    shape = int(105 / scale), int(120 / scale)
    plane = planes.centred_plane((88, 85, 29.3), shape, scale, turn, tilt, towards, mirrored=mirrored)
    placed = rock.place(rock.cut(plane, shape), 1.03 * scale)
    assert placed.accepted, placed.reasons
    assert placed.plane is not None
    assert placed.found is not None
    assert placed.cut is not None
    assert planes.corner_rms(placed.plane, plane, shape) < 1.0
    assert placed.found.mirrored == mirrored
    assert placed.found.correlation_after > 0.5
    by_grid = placed.cut.grid @ [*(placed.cut.matrix @ [3, 4, 1])[:2], 0, 1]
    np.testing.assert_allclose(by_grid, placed.plane @ [3, 4, 0, 1], atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_slice_that_is_larger_than_the_volume_has_no_place(rock: Rock) -> None:
    """As at scales that are far too large, where none is stated."""
    whole = Slice(rock.sem[28])
    here = seen(Scaled(whole), 3.0, 10)
    assert here is not None
    assert find_starts(rock.levels.at(10), here, Bounds((0, 55)), rock.levels.aspect) == []
    assert find_starts(rock.levels.at(10), here, Bounds((0, 55)), rock.levels.aspect, (9.0, 30.0)) == []
    assert find_plane(rock.levels, whole, [3.0], Bounds((0, 55))) is None


def test_a_plane_outside_of_the_range_that_is_asked_for_is_refused(rock: Rock) -> None:
    shape = (110, 120)
    sem = rock.cut(planes.centred_plane((88, 85, 28), shape, 1.0, 10, 6, 40), shape)

    def reasons(z: Depths) -> list[str]:
        placed = place_in_volume(rock.levels, sem, RegisterSettings(max_rotation_deg=20), z, 1.0)
        assert placed.centre_z == pytest.approx(28, abs=0.5)
        return placed.reasons

    (said,) = reasons(Depths(18, 24))
    assert "centre is found at z 28" in said
    assert "sought from 18 to 24 only" in said
    for fits in (Depths(18, 24, guessed=True), Depths(18, 27.5), Depths(28, 40)):
        assert reasons(fits) == []


def test_small_scales_are_tried_last_and_are_not_believed_by_chance(rock: Rock) -> None:
    """Of a slice without pixel sizes; one of 24 x 30 pixels reached a correlation of 0.477 by chance."""
    sem = Scaled(Slice(rock.sem[28]))
    first, *others = _scales(RegisterSettings(), float("nan"), sem.slice, rock.levels)
    assert first == 1.0
    assert others == sorted(others, reverse=True)
    assert _scales(RegisterSettings(), 0.3, sem.slice, rock.levels) == [0.3]
    small, large = (seen(sem, scale, 1) for scale in (24 / 176, 40 / 176))
    assert small is not None
    assert large is not None
    assert min(small.mask.shape) == 24
    assert certain(small) > 0.6
    assert certain(large) == CERTAIN


def test_a_slice_without_pixel_sizes_is_found(rock: Rock) -> None:
    shape = (190, 200)
    plane = planes.centred_plane((88, 85, 28), shape, 0.6, 10, 3, 40)
    changes = {"max_rotation_deg": 20, "mirrored": False, "scales": (0.5, 0.7)}
    placed = rock.place(rock.cut(plane, shape), float("nan"), **changes)
    assert placed.accepted, placed.reasons
    assert placed.plane is not None
    assert planes.corner_rms(placed.plane, plane, shape) < 1.0


@pytest.mark.parametrize("last", [False, True])
def test_a_slice_from_beyond_the_volume_is_doubtful(rock: Rock, last: bool) -> None:
    """Three slices beyond it, at its end, and ten slices within."""
    txm, shape = rock.levels.volume.read(0, SHAPE[0]), (110, 120)
    cut = slice(0, 40) if last else slice(16, None)
    levels = VolumeLevels(io.Volume.of_array(txm[cut]))

    def ends(depth: float) -> tuple[bool, bool]:
        sem = rock.cut(planes.centred_plane((88, 85, depth), shape, 1.0, 10, 0, 0), shape)
        settings = RegisterSettings(max_rotation_deg=20, mirrored=False)
        placed = place_in_volume(levels, sem, settings, stated_scale=1.0)
        return placed.accepted, placed.at_end

    beyond, at, well_within = (42, 39, 29) if last else (13, 16, 26)
    assert ends(beyond) != (True, False)
    assert ends(at) == (True, True)
    assert ends(well_within) == (True, False)


def test_the_share_of_a_plane_beyond_the_volume() -> None:
    plane = planes.centred_plane((88, 85, 0), (100, 121), 1.0, 0, 10, 0)
    assert planes.share_beyond(plane, (100, 121), 40) == pytest.approx(0.5, abs=0.01)
    assert planes.share_beyond(plane, (100, 121), 5) > 0.7
    plane[2, 3] += 15
    assert planes.share_beyond(plane, (100, 121), 40) == 0


def in_air(volume: Array) -> Array:
    """A round pillar along z, with nothing around it."""
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    noise = np.random.default_rng(3).normal(0, 0.02 * volume.std(), volume.shape)  # a constant would be no measurement
    air = np.clip(np.percentile(volume, 1) + noise, 0, None)
    return np.where(np.hypot(y - 87, x - 88) < 55, volume, air).astype(volume.dtype)


@pytest.fixture(scope="module")
def pillars(rock: Rock, other: Rock) -> tuple[Rock, Rock]:
    """Of two rocks, with one outline."""
    txm = in_air(rock.levels.volume.read(0, SHAPE[0]))
    first = Rock(VolumeLevels(io.Volume.of_array(txm)), in_air(rock.sem), rock.labels)
    return first, Rock(first.levels, in_air(other.sem), other.labels)


def test_a_slice_of_a_round_sample_is_placed_by_the_rock_within(pillars: tuple[Rock, Rock]) -> None:
    plane = planes.centred_plane((88, 87, 27), (140, 150), 1.0, 130, 3, 40, mirrored=True)
    placed = pillars[0].place(pillars[0].cut(plane, (140, 150)), 1.0)
    assert placed.accepted, placed.reasons
    assert placed.plane is not None
    assert planes.corner_rms(placed.plane, plane, (140, 150)) < 1.0


def test_another_rock_of_the_same_round_outline_is_refused(pillars: tuple[Rock, Rock]) -> None:
    plane = planes.centred_plane((88, 87, 28), (140, 150), 1.0, 130, 3, 40)
    placed = pillars[0].place(pillars[1].cut(plane, (140, 150)), 1.0)
    assert not placed.accepted


def test_another_rock_is_refused(rock: Rock, other: Rock) -> None:
    plane = planes.centred_plane((88, 85, 28), (110, 120), 1.0, 130, 6, 40)
    placed = rock.place(other.cut(plane, (110, 120)), 1.0)
    assert not placed.accepted
    assert placed.found is not None
    assert placed.found.disagreement_px > RegisterSettings().max_disagreement_px


def test_a_blank_slice_is_refused(rock: Rock) -> None:
    placed = rock.place(Slice(np.full((100, 110), 7, dtype=np.uint8)), 1.0)
    assert placed.plane is None
    assert not placed.accepted


def test_what_the_settings_forbid_is_not_found(rock: Rock) -> None:
    shape = (110, 120)
    sem = rock.cut(planes.centred_plane((88, 85, 28), shape, 1.0, 10, 3, 40, mirrored=True), shape)
    assert not rock.place(sem, 1.0, mirrored=False).accepted


def test_the_same_input_gives_the_same_plane(rock: Rock) -> None:
    shape = (110, 120)
    sem = rock.cut(planes.centred_plane((88, 85, 28), shape, 1.0, 10, 3, 40), shape)
    one, two = (rock.place(sem, 1.0, max_rotation_deg=20).plane for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_voxels_without_a_value_are_not_measured(rock: Rock) -> None:
    """NaN outside of a tomogram's circle: the slice is found by what lies within."""
    txm = rock.levels.volume.read(0, SHAPE[0]).astype(np.float32)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]] - 87.5
    txm[:, np.hypot(y, x) > 80] = np.nan
    levels = VolumeLevels(io.Volume.of_array(txm))
    shape = (110, 120)
    plane = planes.centred_plane((84, 85, 28), shape, 1.0, 100, 5, 30)
    placed = place_in_volume(levels, rock.cut(plane, shape), RegisterSettings(), stated_scale=1.0)
    assert placed.accepted, placed.reasons
    assert placed.plane is not None
    assert placed.found is not None
    assert planes.corner_rms(placed.plane, plane, shape) < 1.0
    txm[:] = np.nan
    nowhere = VolumeLevels(io.Volume.of_array(txm))
    placed = judged(nowhere, rock.cut(plane, shape), plane, 1.0, RegisterSettings())
    assert "nothing of the volume was measured" in placed.reasons[0]
