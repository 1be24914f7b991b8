"""Surface, Euler number, chords and pore sizes against exact bodies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.measure import euler_number as whole_euler_number

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.chords import chord_lengths
from txm2sem_core.metrics.pores.geometry import euler_number, pore_diameters, specific_surface


def ball(radius: float, size: int, edges: tuple[float, float, float] = (1, 1, 1)) -> np.ndarray:
    z, y, x = (np.arange(round(size / e)) * e - (round(size / e) - 1) * e / 2 for e in edges)
    return z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < radius**2


@pytest.mark.parametrize("edges", [(1, 1, 1), (2, 1, 1)])
def test_surface_of_a_ball(edges: tuple[float, float, float]) -> None:
    body = ball(20, 140, edges)  # far from the faces: pairs further apart have fewer places
    found = specific_surface(body, edges) * 1e-9 * body.size * math.prod(edges)
    assert found == pytest.approx(4 * math.pi * 400, rel=0.05)


def test_euler_number_of_ball_ring_and_shell() -> None:
    solid = ball(14, 80)
    z, y, x = np.ogrid[:80, :80, :80]
    ring = (np.hypot(y - 39.5, x - 39.5) - 20) ** 2 + (z - 39.5) ** 2 < 36
    assert euler_number(solid) == 1
    assert euler_number(ring) == 0
    assert euler_number(solid & ~ball(8, 80)) == 2


def test_euler_number_by_slabs_is_that_of_the_whole() -> None:
    pore = np.random.default_rng(0).random((70, 20, 24)) < 0.4
    assert euler_number(pore) == whole_euler_number(pore, connectivity=1)
    assert euler_number(pore[:33]) == whole_euler_number(pore[:33], connectivity=1)


def test_chords_of_layers() -> None:
    layers = np.zeros((23, 6, 7), dtype=bool)
    for start in range(1, 22, 5):
        layers[start : start + 2] = True
    chords = chord_lengths(layers, 0)
    assert chords.whole[2] == chords.whole.sum() > 0
    assert chords.shares()[2] == 1.0
    across = chord_lengths(layers, 2)  # no end is seen, and so no length
    assert across.whole.sum() == across.cut.sum() == across.shares().sum() == 0


def test_pore_size_of_a_ball() -> None:
    diameters, shares = pore_diameters(ball(12, 33), 10)
    assert shares.sum() == pytest.approx(1.0)
    assert diameters[-1] == pytest.approx(240, rel=0.05)
    assert shares[-1] > 0.85
    assert pore_diameters(np.zeros((4, 4, 4), dtype=bool), 1)[0].size == 0
    with pytest.raises(InputError, match="all voxels"):
        pore_diameters(np.ones((4, 4, 4), dtype=bool), 1)


def test_a_voxel_whose_edges_are_far_too_uneven_has_no_surface() -> None:
    """As where one axis is in nanometres and another in millimetres: nothing stops, and nothing is made up."""
    pore = np.random.default_rng(0).random((4, 5, 6)) < 0.5
    assert np.isnan(specific_surface(pore, (1e6, 1.0, 1.0)))
    assert specific_surface(pore, (1e3, 1.0, 1.0)) > 0
