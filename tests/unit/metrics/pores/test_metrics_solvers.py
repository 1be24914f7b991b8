"""The solvers of diffusion and flow, against direct ones and what an earlier solver found."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from txm2sem_core.metrics.pores.connectivity import percolating
from txm2sem_core.metrics.pores.diffusivity import diffusivity
from txm2sem_core.metrics.pores.geometry import pore_diameters
from txm2sem_core.metrics.pores.permeability import permeability, solve_permeability
from txm2sem_core.metrics.pores.solvers import Multigrid, conjugate_gradients, dot
from txm2sem_core.metrics.pores.stokes import Faces, Friction, faces_of, friction_of, network, places_of_pores
from txm2sem_core.metrics.pores.stokes import pore_numbers as numbers_of

Pores = NDArray[np.bool_]
Edges = tuple[float, float, float]
SEEDS, AXES = st.integers(0, 10_000), st.sampled_from([0, 1, 2])
SHAPES: list[Edges] = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (1.0, 2.5, 4.0)]


def field(shape: tuple[int, ...], sigma: float, porosity: float, seed: int = 0) -> Pores:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return np.asarray(noise < np.quantile(noise, porosity))


def small(seed: int) -> Pores:
    """Of any porosity, smooth or rough."""
    rng = np.random.default_rng(seed)
    return field((7, 8, 9), float(rng.uniform(0.4, 1.5)), float(rng.uniform(0.3, 0.9)), seed)


def columns(product: Callable[[Any], Any], count: int) -> NDArray[np.float64]:
    """A matrix of its products with unit vectors."""
    return np.stack([product(unit) for unit in np.eye(count, dtype=np.float32)], axis=1).astype(np.float64)


def dense_friction(own: Friction) -> NDArray[np.float64]:
    matrix = np.eye(own.scale.size)
    matrix[np.ix_(own.first, ~own.first)] = own.links.toarray()
    matrix[np.ix_(~own.first, own.first)] = own.links.toarray().T
    return matrix / own.scale / own.scale[:, None].astype(np.float64)


def equations(pore: Pores, axis: int, edges: Edges) -> tuple[list[Faces], list[NDArray[np.float64]], list[Any]]:
    """Faces, gradients and friction of each direction."""
    size, count = np.array(edges), int(np.count_nonzero(pore))
    found = [faces_of(numbers_of(pore), component, axis, size) for component in range(3)]
    gradients = [columns(own.gradient, count) for own, _ in found]
    frictions = [dense_friction(friction_of(*own, k, axis, size)) for k, own in enumerate(found)]
    return [own for own, _ in found], gradients, frictions


@given(SEEDS, AXES, st.sampled_from(SHAPES))
@settings(max_examples=30, deadline=None)
def test_diffusion_is_that_of_a_direct_solver(seed: int, axis: int, edges: Edges) -> None:
    pore = small(seed)
    connected = percolating(pore, axis)
    if not connected.any():
        assert diffusivity(pore, edges, axis).relative == 0
        return
    faces, gradients, _ = equations(connected, axis, edges)
    weights = [own.weights().astype(np.float64) for own in faces]
    matrix = sum(g.T @ (g / w[:, None]) for g, w in zip(gradients, weights, strict=True))
    source = gradients[axis].sum(axis=0)
    flux = weights[axis].sum() - source @ np.linalg.solve(matrix, source)
    assert diffusivity(pore, edges, axis).relative == pytest.approx(flux / pore.size, rel=1e-5)


@given(SEEDS, AXES, st.sampled_from(SHAPES))
@settings(max_examples=30, deadline=None)
def test_flow_is_that_of_a_direct_solver(seed: int, axis: int, edges: Edges) -> None:
    pore = small(seed)
    connected = percolating(pore, axis)
    if not connected.any() or connected.all():
        return
    faces, gradients, frictions = equations(connected, axis, edges)
    drive = faces[axis].weights().astype(np.float64)
    response = [np.linalg.solve(a, g) if len(a) else g for a, g in zip(frictions, gradients, strict=True)]
    steady = np.linalg.solve(frictions[axis], drive)
    schur = sum(g.T @ r for g, r in zip(gradients, response, strict=True))
    pressure = np.linalg.lstsq(schur, gradients[axis].T @ steady, rcond=1e-10)[0]
    flow = drive @ steady - drive @ response[axis] @ pressure
    found = permeability(pore, tuple(1e9 * np.array(edges)), axis)
    assert found == pytest.approx(flow / pore.size, rel=1e-3)


# What the solvers up to version 0.2.0 found, in float64 with pyamg's smoothed aggregation: of flow to 1e-6 a step.
EARLIER: list[tuple[float, float, Edges, int, float, float]] = [
    (2, 0.2, (10, 10, 10), 0, 8.78266e-19, 0.01824746),
    (1, 0.4, (10, 10, 10), 2, 2.07438e-18, 0.1089104),
    (6, 0.4, (10, 10, 10), 1, 3.43233e-16, 0.1871847),
    (3, 0.3, (10, 25, 40), 0, 4.43392e-17, 0.0534274),
    (2, 0.3, (50, 10, 10), 2, 8.02227e-19, 0.01417668),
]


@pytest.mark.parametrize(("sigma", "porosity", "edges", "axis", "flow", "diffusion"), EARLIER)
def test_numbers_are_those_of_the_earlier_solvers(
    sigma: float, porosity: float, edges: Edges, axis: int, flow: float, diffusion: float
) -> None:
    pore = field((40, 44, 48), sigma, porosity)
    found = solve_permeability(pore, edges, axis)
    assert found.permeability_m2 == pytest.approx(flow, rel=1e-3)
    assert found.iterations <= 12
    assert diffusivity(pore, edges, axis).relative == pytest.approx(diffusion, rel=2e-6)


@given(SEEDS, st.floats(0.35, 0.9), st.floats(0, 2))
@settings(max_examples=15, deadline=None)
def test_the_multigrid_is_a_good_symmetric_and_positive_inverse(seed: int, porosity: float, contrast: float) -> None:
    """Of networks whose conductances differ by as much as two decades."""
    pore = percolating(field((14, 15, 16), 0.7, porosity, seed), 0)
    count = int(np.count_nonzero(pore))
    if not count:
        return
    rng = np.random.default_rng(seed)
    faces = [faces_of(numbers_of(pore), k, 0, np.ones(3))[0] for k in range(3)]
    conductances = [np.float32(10) ** rng.uniform(-contrast, 0, f.before.size).astype(np.float32) for f in faces]
    matrix = network(faces, conductances, count)
    assert abs(matrix - matrix.T).max() == 0
    multigrid = Multigrid(matrix, places_of_pores(pore))
    a, b = (rng.normal(size=count).astype(np.float32) for _ in range(2))
    assert dot(a, multigrid @ b) == pytest.approx(dot(multigrid @ a, b), rel=1e-3, abs=1e-3 * dot(a, multigrid @ a))
    assert dot(a, multigrid @ a) > 0
    solved, iterations = conjugate_gradients(
        matrix.__matmul__, a, tolerance=1e-4, most=100, precondition=multigrid.__matmul__
    )
    assert iterations <= 60
    assert np.linalg.norm(matrix @ solved - a) <= 1e-2 * np.linalg.norm(a)


def test_so_many_channels_side_by_side_that_none_is_left_to_merge() -> None:
    pore = np.zeros((6, 60, 60), dtype=bool)
    pore[:, ::2, ::2] = True
    pore[3, 0, :3] = True  # one that is not straight
    assert diffusivity(pore, 1, 0).relative == pytest.approx(0.25, rel=1e-3)
    pore = pore[:, 1:, 1:]
    assert permeability(pore, 1e9, 0) == pytest.approx(0.25 * 0.0416, rel=0.05)


def test_a_volume_of_one_slice() -> None:
    pore = field((1, 30, 30), 2, 0.6)
    thick = np.repeat(pore, 2, axis=0)
    for axis in (1, 2):
        assert diffusivity(pore, 1, axis).relative == pytest.approx(diffusivity(thick, 1, axis).relative, rel=1e-5)
        assert permeability(pore, 1, axis) == pytest.approx(permeability(thick, 1, axis), rel=1e-3)


@pytest.mark.parametrize(
    "measure", [pore_diameters, lambda p, e: diffusivity(p, e, 0), lambda p, e: permeability(p, e, 0)]
)
def test_512_cubed_fits_into_8_gb(measure: Callable[..., object]) -> None:
    """So does what takes 59 bytes a voxel, of which the pores themselves are one."""
    pore = field((96, 96, 96), 2, 0.2)
    tracemalloc.start()
    measure(pore, 10.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 55 * pore.size


def test_numbers_do_not_depend_on_threads() -> None:
    pore, found = field((32, 32, 32), 2, 0.5), []
    for threads in (1, 2, 2):
        with threadpool_limits(threads):
            found.append((diffusivity(pore, 1, 0).relative, permeability(pore, 1, 0)))
    assert found[0] == found[1] == found[2]
