"""The rectangle whose halves are compared: pixel on pixel, and of most of a piece, however it is turned."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import ndimage

from txm2sem_core.geometry import centred_similarity, warp
from txm2sem_core.registration.estimate import _shared_rectangle
from txm2sem_core.registration.similarity import Filtered

FIXED, PIECE = (160, 150), (60, 44)


def whole(image: np.ndarray) -> Filtered:
    return Filtered(image.astype(np.float32), np.ones(image.shape, dtype=bool))


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("turn", [0.0, 3.0, 30.0, 45.0, 93.0, -137.0])
def test_both_show_the_same_rock(turn: float, scale: float) -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=FIXED), 3)
    matrix = centred_similarity(turn, scale, (6.0, -4.0), PIECE, FIXED)
    moving = warp(image, np.linalg.inv(matrix), PIECE)
    one, other = _shared_rectangle(whole(image), whole(moving), matrix)
    assert one.shape == other.shape
    assert one.mask.all()
    assert other.mask.all()
    assert_allclose(one.image, other.image, atol=0.1 * image.std())
    assert one.mask.size > 0.8 * scale**2 * np.prod(PIECE)


def test_what_was_not_measured_is_left_out() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=FIXED), 3)
    matrix = centred_similarity(45.0, 1.0, (0.0, 0.0), PIECE, FIXED)
    moving = whole(warp(image, np.linalg.inv(matrix), PIECE))
    moving.mask[:20] = False
    one, other = _shared_rectangle(whole(image), moving, matrix)
    assert other.mask.all()
    assert 0.8 * 40 * PIECE[1] < one.mask.size <= 40 * PIECE[1]
