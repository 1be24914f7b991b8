"""Permeability and diffusivity against exact flows."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.connectivity import percolating
from txm2sem_core.metrics.pores.diffusivity import diffusivity
from txm2sem_core.metrics.pores.permeability import nanodarcy, permeability, solve_permeability


@pytest.mark.parametrize("width", [1, 2, 3, 8])
@pytest.mark.parametrize("axis", [0, 2])
def test_parallel_plates(width: int, axis: int) -> None:
    pore = np.zeros((6, width + 4, 7), dtype=bool)
    pore[:, 2:-2] = True
    exact = (width * 10e-9) ** 2 / 12 * width / (width + 4)
    assert permeability(pore, 10, axis) == pytest.approx(exact, rel=1e-4)


def test_plates_of_voxels_that_are_no_cubes() -> None:
    pore = np.zeros((6, 12, 7), dtype=bool)
    pore[:, 2:-2] = True
    assert permeability(pore, (30, 10, 20), 0) == pytest.approx((80e-9) ** 2 / 12 * 8 / 12, rel=1e-4)
    assert permeability(np.moveaxis(pore, 1, 0), (10, 30, 20), 2) == pytest.approx((80e-9) ** 2 / 12 * 8 / 12, rel=1e-4)


@pytest.mark.parametrize(("diameter", "error"), [(8, 0.03), (12, 0.05), (24, 0.03)])
def test_tube_of_equal_area(diameter: int, error: float) -> None:
    side = diameter + 4
    place = np.arange(side) - (side - 1) / 2
    disc = place[:, None] ** 2 + place**2 < (diameter / 2) ** 2
    area = int(disc.sum())
    exact = area**2 / (8 * math.pi) / side**2 * 1e-18
    found = permeability(np.broadcast_to(disc[:, None], (side, 4, side)).copy(), 1, 1)
    assert found == pytest.approx(exact, rel=error)


def test_square_duct() -> None:
    pore = np.zeros((4, 20, 20), dtype=bool)
    pore[:, 2:-2, 2:-2] = True
    # White, Viscous Fluid Flow: flow = 0.0351443 side^4 times the gradient
    assert permeability(pore, 1e9, 0) == pytest.approx(0.0351443 * 16**4 / 20**2, rel=0.01)


@pytest.mark.parametrize(("fraction", "drag"), [(0.125, 4.292), (0.343, 15.4)])
def test_cubic_array_of_spheres(fraction: float, drag: float) -> None:
    """Zick and Homsy, J. Fluid Mech. 115 (1982) 13-26, table 2, within the error of 32 voxels a cell."""
    place = np.arange(32) - 15.5
    radius = (3 * fraction / (4 * math.pi)) ** (1 / 3) * 32
    solid = place[:, None, None] ** 2 + place[:, None] ** 2 + place**2 < radius**2
    assert permeability(~solid, 1e9, 0) == pytest.approx(32**3 / (6 * math.pi * radius * drag), rel=0.1)


def test_a_bend_gives_the_same_along_a_turned_axis() -> None:
    rng = np.random.default_rng(0)
    pore = rng.random((12, 12, 12)) < 0.7
    found = permeability(pore, 5, 0)
    assert permeability(np.moveaxis(pore, 0, 2), 5, 2) == pytest.approx(found, rel=1e-3)
    assert permeability(pore[::-1], 5, 0) == pytest.approx(found, rel=1e-3)
    assert permeability(pore, 10, 0) == pytest.approx(4 * found, rel=1e-6)
    assert 0 < solve_permeability(pore, 5, 0, sides="sealed").permeability_m2 < found


def test_pores_that_lead_nowhere_carry_nothing() -> None:
    pore = np.zeros((8, 8, 8), dtype=bool)
    pore[:5, 2:5, 2:5] = True
    assert permeability(pore, 1, 0) == 0.0
    assert diffusivity(pore, 1, 0).relative == 0.0
    pore[:, 6, 6] = True
    alone = pore & percolating(pore, 0)
    assert np.count_nonzero(alone) == 8
    assert permeability(pore, 1, 0) == permeability(alone, 1, 0) > 0


def test_mistakes_are_refused() -> None:
    pore = np.ones((4, 4, 4), dtype=bool)
    with pytest.raises(InputError, match="no bound"):
        permeability(pore, 1, 0)
    with pytest.raises(InputError, match="axis"):
        permeability(pore, 1, 3)
    with pytest.raises(InputError, match="voxel_size_nm"):
        permeability(pore, -1, 0)
    with pytest.raises(InputError, match="boolean"):
        permeability(pore.astype(np.uint8), 1, 0)  # type: ignore[arg-type]


def test_a_solver_that_is_stopped_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value so far is an upper bound; the plain function gives none that has not converged."""
    pore = np.random.default_rng(0).random((12, 12, 12)) < 0.7
    stopped = solve_permeability(pore, 5, 0, max_iterations=2)
    assert not stopped.converged
    assert stopped.permeability_m2 > solve_permeability(pore, 5, 0).permeability_m2
    module = sys.modules["txm2sem_core.metrics.pores.permeability"]  # the package has the function under this name
    monkeypatch.setattr(module, "solve_permeability", lambda *_: stopped)
    with pytest.raises(InputError, match="not converged after 2"):
        permeability(pore, 5, 0)


def test_nanodarcy() -> None:
    assert nanodarcy(9.869233e-22) == pytest.approx(1.0)


def test_diffusion_in_channels_and_past_spheres() -> None:
    pore = np.zeros((6, 8, 8), dtype=bool)
    pore[:, 2:6, 2:6] = True
    straight = diffusivity(pore, 3, 0)
    assert straight.relative == pytest.approx(0.25)
    assert straight.tortuosity == pytest.approx(1.0)
    place = np.arange(32) - 15.5
    solid = place[:, None, None] ** 2 + place[:, None] ** 2 + place**2 < 9.5**2
    share = float(solid.mean())
    # Maxwell (1873): insulating spheres, exact to the seventh power of their radius in a cubic array
    maxwell = 2 * (1 - share) / (2 + share)
    assert diffusivity(~solid, 3, 1).relative == pytest.approx(maxwell, rel=0.015)


def test_diffusion_through_layers_in_series() -> None:
    """A wide and a narrow stretch: the narrow one's resistance and no less."""
    pore = np.ones((20, 6, 6), dtype=bool)
    pore[5:15, 3:] = False
    assert 0.5 < diffusivity(pore, 1, 0).relative < 1 / (0.5 + 0.5 / 0.5)
