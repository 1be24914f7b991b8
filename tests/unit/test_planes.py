"""Planes in a volume: where pixels lie, what is sampled there, and the angles that say it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from txm2sem_core import planes
from txm2sem_core.registration.plane_cut import upright_grid

ANGLE = st.floats(-180, 180)


def planted(turn: float, tilt: float, towards: float, *, mirrored: bool, aspect: float = 1.0) -> np.ndarray:
    return planes.centred_plane((30, 40, 20), (50, 60), 0.5, turn, tilt, towards, mirrored=mirrored, aspect=aspect)


@settings(deadline=None, max_examples=50)
@given(turn=ANGLE, tilt=st.floats(0.1, 40), towards=ANGLE, mirrored=st.booleans(), aspect=st.floats(0.5, 3))
def test_a_plane_has_the_angles_that_it_was_made_of(
    turn: float, tilt: float, towards: float, mirrored: bool, aspect: float
) -> None:
    plane = planted(turn, tilt, towards, mirrored=mirrored, aspect=aspect)
    assert planes.tilt_deg(plane, aspect) == pytest.approx(tilt, abs=1e-5)
    assert planes.width(plane, aspect) == pytest.approx(0.5)
    assert planes.is_mirrored(plane) == mirrored
    np.testing.assert_allclose(plane @ [29.5, 24.5, 0, 1], [30, 40, 20])
    space = plane[:, :3] * np.array([[1], [1], [aspect]])
    np.testing.assert_allclose(space.T @ space, 0.25 * np.eye(3), atol=1e-9)  # its axes are at right angles
    assert plane[2, 2] > 0


@settings(deadline=None, max_examples=50)
@given(turn=ANGLE, tilt=st.floats(0, 40), towards=ANGLE, mirrored=st.booleans(), aspect=st.floats(0.5, 3))
def test_the_upright_grid_holds_the_slice_where_it_lies(
    turn: float, tilt: float, towards: float, mirrored: bool, aspect: float
) -> None:
    plane = planted(turn, tilt, towards, mirrored=mirrored, aspect=aspect)
    grid, shape, matrix = upright_grid(plane, (50, 60), aspect)
    pixels = np.array([[0, 0, 1], [59, 0, 1], [0, 49, 1], [59, 49, 1], [7, 11, 1]], dtype=float).T
    on_grid = matrix @ pixels
    assert (on_grid[:2] > -1e-5).all()
    assert (on_grid[:2].max(axis=1) < [shape[1] - 1 + 1e-5, shape[0] - 1 + 1e-5]).all()
    by_grid = grid @ np.stack([on_grid[0], on_grid[1], np.zeros(5), np.ones(5)])
    by_plane = plane @ np.stack([pixels[0], pixels[1], np.zeros(5), np.ones(5)])
    np.testing.assert_allclose(by_grid, by_plane, atol=1e-8)
    assert planes.width(grid, aspect) == pytest.approx(1)
    assert min(grid[0, 0], grid[1, 1]) > 0
    assert not planes.is_mirrored(grid)


def test_the_grid_of_an_untilted_plane_is_that_of_the_slices() -> None:
    plane = planes.centred_plane((30, 40, 20.25), (50, 60), 0.5, turn_deg=33)
    grid, _, _ = upright_grid(plane, (50, 60), 1.0)
    np.testing.assert_allclose(grid[:, :3], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(grid[:, 3], [*np.rint(grid[:2, 3]), 20.25], atol=1e-9)


@pytest.mark.parametrize("shape", [(40, 50), (300, 270)])  # one tile, and several
def test_sampling_is_a_spline_through_the_whole_volume(shape: tuple[int, int]) -> None:
    volume = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(30, 90, 100)), 1.5)
    plane = planes.centred_plane((50, 45, 14), shape, 60 / max(shape), 20, 9, 70)
    found = planes.sample(lambda z, y, x: volume[z, y, x], volume.shape, plane, shape)
    expected = ndimage.map_coordinates(volume, planes.positions_zyx(plane, shape), order=3, mode="mirror")
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.ptp(volume))  # the filter of a tile sees no further


def test_whole_numbers_give_the_voxels_themselves() -> None:
    volume = np.random.default_rng(0).integers(0, 60000, (9, 20, 21)).astype(np.uint16)
    flat = planes.with_normal(np.array([[1.0, 0], [0, 1], [0, 0]]), np.array([3.0, 2, 4]))
    found = planes.sample(lambda z, y, x: volume[z, y, x], volume.shape, flat, (10, 12), normal=1)
    np.testing.assert_array_equal(found, volume[5, 2:12, 3:15])
    assert found.dtype == np.uint16


def test_what_lies_beyond_the_volume_is_not_covered() -> None:
    flat = planes.with_normal(np.array([[1.0, 0], [0, 1], [0, 0]]), np.array([-2.0, 0, 4]))
    assert planes.covered(flat, (5, 6), (9, 5, 21)).sum() == 5 * 4
    assert not planes.covered(flat, (5, 6), (9, 5, 21), normal=5).any()


def test_the_corner_error_is_that_of_a_shift() -> None:
    plane = planted(10, 5, 3, mirrored=False)
    moved = plane.copy()
    moved[:, 3] += (0, 3, 2)
    assert planes.corner_rms(moved, plane, (50, 60)) == pytest.approx(np.sqrt(13))
    assert planes.corner_rms(moved, plane, (50, 60), aspect=2.0) == pytest.approx(5)


@pytest.mark.parametrize("tilt", [0.0, 7.0])
def test_voxels_without_a_value_take_none_from_those_beside(tilt: float) -> None:
    """Outside of a tomogram's circle, as some programs write it."""
    volume = np.random.default_rng(0).normal(size=(24, 60, 60)).astype(np.float32)
    y, x = np.mgrid[:60, :60] - 29.5
    partly = np.where(np.hypot(y, x) > 24, np.nan, volume).astype(np.float32)
    plane = planes.centred_plane((30, 29, 12), (40, 50), 1.0, 20, tilt, 40)
    whole, found = (planes.sample(lambda *box: of[box], of.shape, plane, (40, 50)) for of in (volume, partly))  # noqa: B023
    at = planes.positions_zyx(plane, (40, 50))
    from_centre = np.hypot(at[1] - 29.5, at[2] - 29.5)
    assert np.isnan(found[from_centre > 24]).all()
    assert np.isfinite(found[from_centre < 22.5]).all()
    within = from_centre < 15  # beyond, a spline feels the border
    np.testing.assert_allclose(found[within], whole[within], atol=2e-4)
    nothing = np.full_like(volume, np.nan)
    assert np.isnan(planes.sample(lambda *box: nothing[box], nothing.shape, plane, (40, 50))).all()
