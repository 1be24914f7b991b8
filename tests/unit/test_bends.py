"""A displacement by B-splines is that of SimpleITK, is as short as its coefficients, and images follow it."""

from __future__ import annotations

import json

import numpy as np
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from txm2sem_core.bends import Bend, bend_of_record
from txm2sem_core.geometry import centred_similarity, coverage, covered_by, touched_by, warp

SHAPE = (50, 70)


def bend_of(seed: int, origin_xy: tuple[float, float] = (0, 0), cells: tuple[int, int] = (4, 5)) -> Bend:
    coefficients = np.random.default_rng(seed).uniform(-3, 3, (2, cells[0] + 3, cells[1] + 3))
    return Bend(origin_xy, 16.0, coefficients)


def test_the_displacement_is_that_of_simpleitk() -> None:
    bend = bend_of(0)
    spline = sitk.BSplineTransform(2, 3)
    spline.SetTransformDomainOrigin((0.0, 0.0))
    spline.SetTransformDomainPhysicalDimensions((5 * 16.0, 4 * 16.0))
    spline.SetTransformDomainMeshSize((5, 4))
    spline.SetParameters(bend.coefficients[::-1].ravel().tolist())
    image = sitk.Image(SHAPE[1], SHAPE[0], sitk.sitkFloat32)
    field = sitk.TransformToDisplacementFieldFilter()
    field.SetReferenceImage(image)
    theirs = sitk.GetArrayFromImage(field.Execute(spline))[..., ::-1]
    assert_allclose(np.moveaxis(bend.displacement(SHAPE), 0, -1), theirs, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), y=st.floats(-30, 60), x=st.floats(-30, 60))
def test_no_displacement_is_longer_than_the_longest_coefficient(seed: int, y: float, x: float) -> None:
    bend = bend_of(seed, (x, y))
    field = bend.displacement(SHAPE)
    assert np.hypot(*field).max() <= np.hypot(*bend.coefficients).max() + 1e-9
    again = bend_of_record(json.loads(json.dumps(bend.record())))
    assert again is not None
    assert_array_equal(again.displacement(SHAPE), field)


def test_beyond_its_rectangle_it_is_that_of_the_edge() -> None:
    field = bend_of(1, (20, 10), (1, 1)).displacement(SHAPE)
    assert_array_equal(field[:, 0], field[:, 10])
    assert_array_equal(field[:, :, -1], field[:, :, 36])
    assert not np.array_equal(field[:, :, 20], field[:, :, 36])


def test_images_and_masks_follow_it() -> None:
    """Of a plane that is linear in y and x, and of a bend that is the same everywhere, all is known exactly."""
    matrix = centred_similarity(5.0, 1.02, (1.5, -0.5), (60, 80), SHAPE)
    y, x = np.mgrid[:60, :80].astype(float)
    moving = 3 * y + 5 * x
    bend = bend_of(2)
    shown = warp(moving, matrix, SHAPE, order=1, fill=np.nan, bend=bend)
    fixed = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1]]).astype(float) + bend.displacement(SHAPE)
    at = np.linalg.inv(matrix) @ np.stack([fixed[1].ravel(), fixed[0].ravel(), np.ones(fixed[0].size)])
    expected = (3 * at[1] + 5 * at[0]).reshape(SHAPE)
    known = coverage(matrix, moving.shape, SHAPE, bend)
    assert known.mean() > 0.8
    assert_array_equal(np.isfinite(shown), known)
    assert_allclose(shown[known], expected[known], atol=1e-6)

    still = np.eye(3)
    three_down = Bend((0, 0), 16.0, np.stack([np.full((7, 8), 3.0), np.zeros((7, 8))]))
    mask = np.zeros(SHAPE, dtype=bool)
    mask[20, 30] = True
    assert np.argwhere(touched_by(mask, still, SHAPE, three_down)).tolist() == [[17, 30]]
    assert np.argwhere(~covered_by(~mask, still, SHAPE, three_down)[:47]).tolist() == [[17, 30]]
    assert not covered_by(~mask, still, SHAPE, three_down)[47:].any()
