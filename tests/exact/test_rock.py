"""Measures of the rock against media in which they are exact, cut by the faces of the volume."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import rocks
from hypothesis import given, settings
from hypothesis import strategies as st
from rocks import CUBES, Edges, Rock, Shape
from scipy import ndimage
from skimage.measure import euler_number as whole_euler_number

from txm2sem_core.metrics import NeighbourMeter, self_continuity
from txm2sem_core.metrics.lags import plane_step
from txm2sem_core.metrics.pores.cells import CellMeter
from txm2sem_core.metrics.pores.chords import chord_lengths
from txm2sem_core.metrics.pores.crossings import wall_steps
from txm2sem_core.metrics.pores.geometry import pore_diameters, specific_surface
from txm2sem_core.metrics.pores.local_thickness import thickness_classes
from txm2sem_core.metrics.pores.streaming import PoreMeter, PoreShape


def shape_of(pore: rocks.Pores, edges: Edges = CUBES) -> PoreShape:
    meter = PoreMeter(1, edges, slices=len(pore))
    for plane in pore:
        meter.add(plane)
    return meter.result()


def mean_over_blocks(rock: Rock, shape: Shape, number: int, edges: Edges = CUBES) -> dict[str, float]:
    rng = np.random.default_rng(0)
    found = [shape_of(rock.make(shape, edges, rng), edges) for _ in range(number)]
    volume = math.prod(edges)
    return {
        "euler": float(np.mean([f.euler_per_voxel for f in found])) / volume,
        "surface": float(np.mean([f.specific_surface for f in found])) * 1e-9,
        "chord": float(np.mean([f.mean_chords[0] for f in found])) * edges[0],
        "porosity": float(np.mean([f.porosity for f in found])),
    }


@pytest.mark.parametrize("shape", [(16, 64, 64), (48, 40, 40)])
def test_euler_number_of_pores_that_faces_cut(shape: Shape) -> None:
    balls = rocks.lone_balls(5)
    assert mean_over_blocks(balls, shape, 40)["euler"] == pytest.approx(balls.exact["euler"], rel=0.06)


def test_euler_number_of_pores_that_hang_together() -> None:
    """Most of a random field's Euler number is negative; taken as whole, what faces cut made it positive."""
    rock = rocks.gaussian_field(4, 0.2)
    assert mean_over_blocks(rock, (48, 64, 64), 12)["euler"] == pytest.approx(rock.exact["euler"], rel=0.2)
    dense = rocks.gaussian_field(4, 0.4)
    assert mean_over_blocks(dense, (32, 64, 64), 12)["euler"] == pytest.approx(dense.exact["euler"], rel=0.1)


@given(st.floats(0.05, 0.95), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_euler_number_of_independent_voxels(porosity: float, seed: int) -> None:
    pore = np.random.default_rng(seed).random((40, 60, 60)) < porosity
    exact = porosity - 3 * porosity**2 + 3 * porosity**4 - porosity**8
    assert shape_of(pore).euler_per_voxel == pytest.approx(exact, abs=0.006)


@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
@settings(max_examples=25, deadline=None)
def test_euler_number_of_bodies_that_touch_no_face(seed: int, porosity: float) -> None:
    pore = np.pad(np.random.default_rng(seed).random((7, 8, 9)) < porosity, 1)
    cells = CellMeter()
    for plane in pore:
        cells.add(plane)
    assert cells.euler_number() == whole_euler_number(pore, connectivity=1)


def test_a_periodic_rock_has_the_euler_number_of_its_cell() -> None:
    """Rods along all axes that cross once a cell: 1 - 3. The mean over all places of any window is exact."""
    cell = np.zeros((8, 8, 8), dtype=bool)
    cell[3:5, 3:5] = cell[3:5, :, 3:5] = cell[:, 3:5, 3:5] = True
    rock = np.tile(cell, (3, 3, 3))
    found = []
    for z, y, x in np.ndindex(8, 8, 8):
        cells = CellMeter()
        for plane in rock[z : z + 5, y : y + 11, x : x + 7]:
            cells.add(plane)
        found.append(cells.euler_per_voxel())
    assert np.mean(found) * 8**3 == pytest.approx(-2, rel=1e-9)


@pytest.mark.parametrize("depth", [24, 48, 96])
def test_mean_chord_in_thin_volumes(depth: int) -> None:
    rock = rocks.chains()
    assert mean_over_blocks(rock, (depth, 128, 128), 2)["chord"] == pytest.approx(12, rel=0.03)


@pytest.mark.parametrize("depth", [12, 24, 60])
def test_distribution_of_chords_in_thin_volumes(depth: int) -> None:
    """Of a chain that leaves the pore by chance 1/12, P(longer than n) = (11/12)^n, as far as the volume can show."""
    pore = rocks.chains().make((depth, 160, 160), CUBES, np.random.default_rng(1))
    for chords in (chord_lengths(pore, 0), shape_of(pore).chords[0]):
        not_longer = np.cumsum(chords.shares())
        for length in (1, 3, 6, depth - 4):
            assert not_longer[length] == pytest.approx(1 - (11 / 12) ** length, abs=0.02)
    assert not_longer[-1] < 1


def test_chords_of_two_lengths_keep_their_shares_when_long_ones_are_cut() -> None:
    """Chords of 3 and 15, alike in number; a volume of 20 cuts most of the long ones."""
    rng = np.random.default_rng(0)
    pore = np.zeros((20, 60, 60), dtype=bool)
    for line in pore.reshape(20, -1).T:
        place = -40 - int(rng.integers(0, 40))
        while place < 20:
            length = int(rng.choice([3, 15]))
            line[max(place, 0) : max(place + length, 0)] = True
            place += length + int(rng.geometric(0.2))
    shares = chord_lengths(pore, 0).shares()
    assert shares[3] == pytest.approx(0.5, abs=0.04)
    assert shares[15] == pytest.approx(0.5, abs=0.05)


UNEVEN = [CUBES, (2.0, 1.0, 1.0), (5.0, 1.0, 1.0), (1.0, 5.0, 5.0), (1.0, 2.0, 5.0), (1.4, 1.0, 1.2)]


@pytest.mark.parametrize("edges", UNEVEN)
def test_planes_of_any_direction_have_their_area(edges: Edges) -> None:
    """Crossings of a plane are known for every direction: the weights make the same area of all, within 5 %."""
    normals = np.random.default_rng(0).normal(size=(3000, 3))
    normals = np.concatenate([normals, np.eye(3), [[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]]])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    steps, weights = wall_steps(edges)
    areas = np.abs(normals @ (steps * edges).T) @ weights
    assert areas.min() > 0.95
    assert areas.max() < 1.05
    assert areas.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("edges", UNEVEN)
def test_thin_cracks_have_as_much_wall_as_wide_ones(edges: Edges) -> None:
    """Across each axis, of 1 to 8 voxels: in voxels of 5 : 1 a step spans several of their short edges."""
    for axis in range(3):
        found = []
        for width in (1, 2, 3, 8):
            pore = np.zeros((48, 48, 48), dtype=bool)
            np.moveaxis(pore, axis, 0)[20 : 20 + width] = True
            found.append(specific_surface(pore, edges) * 1e-9 * 48 * edges[axis] / 2)
        assert found == pytest.approx(found[:1] * 4)
        assert found[0] == pytest.approx(1, abs=0.08)  # fewer places for longer steps; and the crack is in the middle


@pytest.mark.parametrize("shape", [(2, 40, 40), (3, 9, 40), (5, 60, 60)])
def test_few_slices_have_a_surface(shape: Shape) -> None:
    rock = rocks.overlapping_balls(10, 0.3)
    assert mean_over_blocks(rock, shape, 60)["surface"] == pytest.approx(rock.exact["surface"], rel=0.15)


@pytest.mark.parametrize("edges", UNEVEN[:4])
def test_surface_of_wide_cracks(edges: Edges) -> None:
    for normal in ((1, 0, 0), (0, 0, 1), (1, 0.4, 0.2), (0.3, 1, -0.7)):
        rock = rocks.cracks(14, 28, normal)
        shape = tuple(int(120 / e) for e in edges)
        found = mean_over_blocks(rock, (shape[0], shape[1], shape[2]), 6, edges)
        assert found["surface"] == pytest.approx(rock.exact["surface"], rel=0.08), normal


@pytest.mark.parametrize("edges", [CUBES, (2.0, 1.0, 1.0), (1.0, 2.0, 2.0)])
def test_surface_porosity_and_chord_of_overlapping_balls(edges: Edges) -> None:
    rock = rocks.overlapping_balls(10, 0.3)
    found = mean_over_blocks(rock, (48, 48, 48), 12, edges)
    for name in ("porosity", "surface", "chord"):
        assert found[name] == pytest.approx(rock.exact[name], rel=0.06), name


def test_turned_voxels_have_the_same_surface() -> None:
    pore = rocks.gaussian_field(3).make((30, 34, 38), CUBES, np.random.default_rng(0))
    for axes in ((1, 0, 2), (2, 1, 0), (1, 2, 0)):
        edges = (5.0, 1.0, 2.0)
        turned = tuple(edges[axis] for axis in axes)
        assert specific_surface(pore.transpose(axes), turned) == pytest.approx(specific_surface(pore, edges))
        assert specific_surface(pore.transpose(axes), 3) == pytest.approx(specific_surface(pore, 3))


def median(pore: rocks.Pores, edges: Edges) -> float:
    diameters, shares = pore_diameters(pore, edges)
    return float(diameters[np.searchsorted(np.cumsum(shares), 0.5)])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("edges", [(10.0, 10.0, 10.0), (30.0, 10.0, 10.0), (10.0, 30.0, 20.0), (50.0, 10.0, 10.0)])
def test_cracks_of_any_width_across_any_edge_are_exact(edges: Edges, axis: int) -> None:
    for width in (1, 2, 3, 4, 7):
        pore = np.zeros((20, 20, 20), dtype=bool)
        np.moveaxis(pore, axis, 0)[8 : 8 + width] = True
        assert median(pore, edges) == pytest.approx(width * edges[axis], rel=1e-6)


@pytest.mark.parametrize("sides", [(1, 2), (2, 2), (3, 2), (2, 5), (4, 3), (6, 6)])
def test_channels_are_as_wide_as_their_shorter_side(sides: tuple[int, int]) -> None:
    pore = np.zeros((6, 20, 20), dtype=bool)
    pore[:, 5 : 5 + sides[0], 5 : 5 + sides[1]] = True
    diameters, shares = pore_diameters(pore, 10)
    assert diameters[-1] == pytest.approx(10 * min(sides))
    assert shares[-1] > 0.5


def test_a_vug_does_not_change_the_size_of_cracks() -> None:
    pore = np.zeros((84, 64, 64), dtype=bool)
    for start in range(1, 30, 6):
        pore[start : start + 3] = True
    sizes = []
    for radius in (0, 8, 24):
        vug = rocks.union_of_balls(np.array([[58.0, 32, 32]]), radius, (84, 64, 64), CUBES)
        diameters, counts = thickness_classes(pore | vug, CUBES)
        sizes.append(counts[np.argmin(np.abs(diameters - 3))])
        assert diameters[np.argmin(np.abs(diameters - 3))] == pytest.approx(3, abs=0.02)
    assert sizes == sizes[:1] * 3


@pytest.mark.parametrize("edges", [CUBES, (2.0, 1.0, 1.0)])
@pytest.mark.parametrize("normal", [(0.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.3, 1.0, 0.5)])
def test_oblique_cracks_are_as_wide_as_they_are(normal: tuple[float, float, float], edges: Edges) -> None:
    """Within half of the longest edge, wherever they lie between the voxels."""
    for width, shift in ((5.0, 0.0), (5.0, 0.4), (9.0, 0.2)):
        pore = rocks.one_crack(width, normal, shift, (int(36 / edges[0]), 36, 36), edges)
        assert median(pore, edges) == pytest.approx(width, abs=0.5 * max(edges) + 0.05)


def test_the_same_rock_in_finer_voxels_has_the_same_sizes() -> None:
    for make in (rocks.lone_balls(7, 18), rocks.gaussian_field(5, 0.3), rocks.cracks(5, 15, (1, 0, 0))):
        rng = np.random.default_rng(0)
        coarse = make.make((24, 24, 24), CUBES, rng)
        fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        assert median(fine, (0.5, 0.5, 0.5)) == pytest.approx(median(coarse, CUBES), abs=0.75)
        flat = coarse.repeat(2, 0)
        assert median(flat, (0.5, 1.0, 1.0)) == pytest.approx(median(coarse, CUBES), abs=0.75)


@given(st.integers(0, 10_000), st.sampled_from([CUBES, (3.0, 1.0, 1.0), (1.0, 2.0, 4.0)]), st.floats(0.2, 0.8))
@settings(max_examples=10, deadline=None)
def test_sizes_are_those_of_the_largest_balls_one_by_one(seed: int, edges: Edges, porosity: float) -> None:
    """Distances by scipy on the half steps, and every ball tried for every voxel."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(9, 10, 11)), 1)
    pore = noise < np.quantile(noise, porosity)
    solid = ndimage.zoom((~pore).astype(float), [(2 * n - 1) / n for n in pore.shape], order=1, grid_mode=False)
    half = np.array(edges) / 2
    radii = ndimage.distance_transform_edt(solid < 0.5 - 1e-9, sampling=half)
    balls = np.argwhere(radii > 0)
    own = radii[tuple(balls.T)]
    distances = [np.linalg.norm((balls - 2 * voxel) * half, axis=1) for voxel in np.argwhere(pore)]
    largest = np.sort([2 * own[d < own * (1 - 1e-5)].max() for d in distances])  # what touches is not covered
    diameters, counts = thickness_classes(pore, edges)
    found = np.repeat(diameters, counts)
    assert counts.sum() == pore.sum()
    assert np.abs(found - largest).max() <= max(0.5 * min(edges), 0.04 * largest.max()) + 1e-6


STEPS: list[Edges] = [(10, 10, 10), (14, 10, 10), (25, 10, 10), (50, 10, 10), (10, 25, 25), (20, 10, 15), (17, 20, 12)]


@pytest.mark.parametrize("edges", STEPS)
def test_a_rock_without_direction_has_none_in_any_voxels(edges: Edges) -> None:
    """Change, jitter, similarity and spectrum along z and in the plane, of one random rock sampled in these voxels."""
    rng, widths = np.random.default_rng(0), [40 / e for e in edges]
    pads = [int(4 * w) + 2 for w in widths]
    shape = (64, 112, 112)
    noise = rng.normal(size=[n + 2 * p for n, p in zip(shape, pads, strict=True)])
    smooth = ndimage.gaussian_filter(noise, widths)[tuple(slice(p, -p) for p in pads)]
    smooth /= smooth.std()
    grains = np.digitize(smooth, (-1, 0, 1)) * 60.0 + rng.normal(0, 8, shape)
    assert self_continuity(smooth, plane_step(edges)).ratio == pytest.approx(1, abs=0.07)
    meter = NeighbourMeter.of_volume(shape, edges, 255.0)
    for plane in grains:
        meter.add(plane)
    found = meter.result()
    assert found.high_ratio == pytest.approx(1, abs=0.2)
    assert found.ssim_plane == pytest.approx(found.ssim_z, rel=0.05)
    assert found.jitter_plane == pytest.approx(found.jitter_z, rel=0.06)


# Twice the radii of PoreSpy 3.2.0, `filters.local_thickness(pore)` with its defaults: median, mean, greatest.
PORESPY = {
    (48, 3.0, 0.3): (8.0, 7.4953, 14.0),
    (48, 4.0, 0.5): (14.0, 12.5997, 18.0),
    (64, 3.0, 0.2): (6.0, 6.2161, 12.0),
}


def porespy_media() -> Iterator[tuple[tuple[int, float, float], rocks.Pores]]:
    """Those of which the numbers above are, in their order."""
    rng = np.random.default_rng(0)
    for size, sigma, porosity in PORESPY:
        field = ndimage.gaussian_filter(rng.normal(size=(size,) * 3), sigma, mode="wrap")
        yield (size, sigma, porosity), field > np.quantile(field, 1 - porosity)


def test_sizes_beside_porespy() -> None:
    """Its radii are whole and reach to the centres of the solid: a voxel more at most, in cracks of odd width."""
    for key, pore in porespy_media():
        diameters, shares = pore_diameters(pore, 1)
        found = median(pore, CUBES), float(diameters @ shares), float(diameters[-1])
        for own, other in zip(found, PORESPY[key], strict=True):
            assert own == pytest.approx(other, abs=1.25), key
        assert float(diameters @ shares) == pytest.approx(PORESPY[key][1], abs=0.25), key


def test_the_numbers_of_porespy_are_its_own() -> None:
    filters = pytest.importorskip("porespy.filters", reason="make test-second installs PoreSpy")
    for key, pore in porespy_media():
        sizes = 2.0 * filters.local_thickness(pore)[pore]
        assert (np.median(sizes), sizes.mean(), sizes.max()) == pytest.approx(PORESPY[key], abs=1e-3)
