"""The synthetic shale: its rock, its two microscopes, and the folder that it leaves."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
import xraydb
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import measure, transform

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.phantom import make_phantom, phases, placing, sem, stage, txm
from txm2sem_core.phantom.fields import random_field
from txm2sem_core.phantom.grains import Grain, GrainSections, as_generator, make_framboid, make_grain
from txm2sem_core.phantom.placement import place_grains
from txm2sem_core.phantom.rock import Rock, RockSlice

VOXEL = (32.0, 32.0, 32.0)
SMALL = PhantomSettings(shape=(12, 64, 72), pair_every=4, max_shift_px=4.0, seed=3)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@lru_cache(maxsize=8)
def rock_labels(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    rock = Rock(seed, shape, VOXEL)
    return np.stack([rock.cut(z).labels for z in range(shape[0])])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("phantom") / "raw"
    make_phantom(SMALL, output)
    return output


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- phases


@pytest.mark.parametrize("energy_kev", [5.4, 8.0, 11.0])
def test_attenuation_is_the_sum_over_elements(energy_kev: float) -> None:
    """By hand: density times the mass-weighted sum of the elements' mass attenuation."""
    expected = []
    for phase in phases.PHASES:
        counts = xraydb.chemparse(phase.formula) if phase.formula else {}
        mass = sum(count * xraydb.atomic_mass(element) for element, count in counts.items())
        expected.append(
            sum(
                phase.density * count * xraydb.atomic_mass(element) / mass * xraydb.mu_elam(element, energy_kev * 1e3)
                for element, count in counts.items()
            )
        )
    values = phases.attenuation_per_cm(energy_kev)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert np.argsort(values).tolist() == np.argsort(expected).tolist()


def test_backscatter_of_quartz_by_hand() -> None:
    silicon, oxygen = 0.1644, 0.0911  # Reuter's cubic at Z = 14 and 8
    assert phases.element_backscatter(14) == pytest.approx(silicon, abs=2e-4)
    assert phases.element_backscatter(8) == pytest.approx(oxygen, abs=2e-4)
    assert phases.backscatter_coefficients()[phases.QUARTZ] == pytest.approx(
        0.4674 * silicon + 0.5326 * oxygen, abs=3e-4
    )


def test_the_two_microscopes_order_clay_and_quartz_differently() -> None:
    """Porous clay is darker than quartz to electrons, but its iron and potassium absorb more X-rays."""
    rock = RockSlice(np.array([[phases.CLAY, phases.QUARTZ]], dtype=np.uint8), np.full((1, 2), 0.19, dtype=np.float32))
    grey = sem.face_grey(rock, None, 32.0)
    absorbed = txm.slice_attenuation(rock, phases.attenuation_per_cm(8.0))
    assert grey[0, 0] < grey[0, 1] - 10
    assert absorbed[0, 0] > absorbed[0, 1] + 5


# --- fields and grains


def test_fields_are_standardised_and_seeded() -> None:
    shape = (20, 200, 210)
    field = random_field(generator(1), shape, (3.0, 4.0, 2.5))
    values = np.stack([field.plane(z) for z in range(shape[0])])
    assert abs(values.mean()) < 0.05
    assert values.std() == pytest.approx(1.0, abs=0.04)
    np.testing.assert_allclose(field.row(7, 33), values[7, 33], atol=1e-5)
    np.testing.assert_array_equal(random_field(generator(1), shape, (3.0, 4.0, 2.5)).plane(5), values[5])


def test_field_is_smooth_on_the_scale_of_its_cells() -> None:
    field = random_field(generator(2), (4, 300, 300), (4.0, 12.0, 3.0)).plane(1)
    along_y, along_x = np.abs(np.diff(field, axis=0)).mean(), np.abs(np.diff(field, axis=1)).mean()
    assert along_x / along_y == pytest.approx(4.0, rel=0.25)  # the ratio of the cells


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), phase=st.sampled_from([phases.QUARTZ, phases.CARBONATE, phases.PYRITE]))
def test_grain_sections_agree_with_testing_every_voxel(seed: int, phase: int) -> None:
    shape, voxel = (9, 30, 34), (40.0, 30.0, 25.0)
    grains = [make_grain(generator(seed + i), phase, np.array([180.0, 400.0 + 90 * i, 420.0]), 260.0) for i in (0, 1)]
    points = np.stack(np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, voxel, strict=True)), indexing="ij"))

    def inside(grain: Grain) -> np.ndarray:
        offset = np.moveaxis(points, 0, -1) - grain.centre
        faces = np.all(offset @ grain.normals.T < grain.offsets, axis=-1)
        return faces & (np.linalg.norm(offset, axis=-1) < grain.radius)

    sections = GrainSections(grains, shape, voxel)
    cuts = [sections.cut(z, 50.0) for z in range(shape[0])]
    best, second = np.stack([cut[0] for cut in cuts]), np.stack([cut[1] for cut in cuts])
    either, both = inside(grains[0]) | inside(grains[1]), inside(grains[0]) & inside(grains[1])
    certain = np.abs(best) > 0.01  # rounding decides on a face itself
    np.testing.assert_array_equal((best > 0)[certain], either[certain])
    np.testing.assert_array_equal((second > 0)[np.abs(second) > 0.01], both[np.abs(second) > 0.01])
    assert set(np.unique(np.stack([cut[2] for cut in cuts])[best > 0])) <= {phase}


def test_framboid_is_a_ball_packed_with_crystals() -> None:
    ball = make_framboid(generator(4), np.array([900.0, 900.0, 900.0]), 500.0, 90.0)
    distances = [np.linalg.norm(crystal.centre - ball.centre) for crystal in ball.crystals]
    assert max(distances) < 500.0
    shape = (56, 56, 56)
    sections = GrainSections(list(ball.crystals), shape, VOXEL)
    filled = sum(int((sections.cut(z, 0.0)[0] > 0).sum()) for z in range(shape[0])) * 32.0**3
    assert 0.4 < filled / (4 / 3 * np.pi * 500.0**3) < 0.85


def test_grains_avoid_one_another() -> None:
    """Centres lie within another grain far less often than if they were thrown without looking."""
    size = np.array([1600.0, 6400.0, 6400.0])
    grains = place_grains(0, size, [3200.0]).loose
    big = [grain for grain in grains if grain.radius > 300.0]
    centres, radii = np.array([g.centre for g in big]), np.array([g.radius for g in big])
    thrown = generator(5).uniform(centres.min(axis=0), centres.max(axis=0), centres.shape)

    def buried(points: np.ndarray) -> float:
        apart = np.linalg.norm(points[:, None] - points, axis=2) + 1e9 * np.eye(len(points))
        return float(np.mean(np.any(apart < 0.8 * radii, axis=1)))

    assert buried(centres) < 0.5 * buried(thrown)


# --- rock


def test_rock_is_the_same_for_one_seed_in_any_order() -> None:
    shape = (6, 60, 60)
    again = Rock(1, shape, VOXEL)
    backwards = np.stack([again.cut(z).labels for z in reversed(range(6))])[::-1]
    np.testing.assert_array_equal(backwards, rock_labels(1, shape))
    assert np.mean(rock_labels(2, shape) != rock_labels(1, shape)) > 0.3


def test_fractions_of_an_organic_rich_mudstone() -> None:
    labels = rock_labels(0, (32, 200, 200))
    share = np.bincount(labels.ravel(), minlength=6) / labels.size
    bands = {
        phases.PORE: (0.03, 0.09),
        phases.ORGANIC: (0.06, 0.16),
        phases.CLAY: (0.30, 0.52),
        phases.QUARTZ: (0.18, 0.35),
        phases.CARBONATE: (0.09, 0.24),
        phases.PYRITE: (0.01, 0.06),
    }
    for phase, (low, high) in bands.items():
        assert low < share[phase] < high, phases.PHASE_NAMES[phase]


@pytest.mark.parametrize("seed", range(5))
def test_pores_percolate_along_x(seed: int) -> None:
    """Against a second implementation of labelling: one body touches both ends."""
    pore = rock_labels(seed, (24, 96, 96)) == phases.PORE
    assert "x" in stage.percolating_axes(pore)
    bodies = measure.label(pore, connectivity=1)
    assert set(bodies[:, :, 0].ravel()) & set(bodies[:, :, -1].ravel()) - {0}


def test_percolating_axes_of_exact_cases() -> None:
    pore = np.zeros((4, 5, 6), dtype=bool)
    assert stage.percolating_axes(pore) == []
    pore[:, 2, 3] = True
    assert stage.percolating_axes(pore) == ["z"]
    pore[1, :, 3] = True
    assert stage.percolating_axes(pore) == ["z", "y"]
    pore[1, 2, :3] = True
    pore[0, 2, 4:] = True  # meets the rest only along an edge of voxel (1, 2, 4): not a face
    pore[0, 2, 3] = False
    assert stage.percolating_axes(pore) == ["y"]


def test_bedding_lies_across_y() -> None:
    """Clay and organic matter change faster across the bedding (y) than along it (x and z)."""
    soft = np.isin(rock_labels(0, (32, 200, 200)), (phases.CLAY, phases.ORGANIC, phases.PORE))
    organic = rock_labels(0, (32, 200, 200)) == phases.ORGANIC
    changes = [np.mean(np.diff(organic.astype(int), axis=axis) != 0) for axis in range(3)]
    assert changes[1] > 1.3 * changes[2]
    assert changes[1] > 1.3 * changes[0]
    assert soft.mean() > 0.4


def test_organic_matter_holds_nanopores() -> None:
    """Organic matter is spongy: a tenth or so of it is void, in strands a few voxels thick."""
    labels = rock_labels(0, (32, 200, 200))
    organic, pore = labels == phases.ORGANIC, labels == phases.PORE
    near_organic = ndimage.uniform_filter(organic.astype(np.float32), 7)
    near_other = ndimage.uniform_filter((labels > phases.ORGANIC).astype(np.float32), 7)
    hosted = pore & (near_organic > 2.0 * near_other)
    assert 0.03 < hosted.sum() / (hosted.sum() + organic.sum()) < 0.3
    thickness = 2.0 * 32.0 * ndimage.distance_transform_edt(pore)[hosted]
    assert 50.0 < np.percentile(thickness, 90) < 350.0  # nanometres


# --- FIB-SEM


def test_pore_shows_what_lies_behind_it() -> None:
    pore = RockSlice(np.full((2, 2), phases.PORE, dtype=np.uint8), np.zeros((2, 2), dtype=np.float32))
    levels = sem.grey_levels()
    behind = np.array([[levels[phases.PYRITE], levels[phases.QUARTZ]], [levels[phases.ORGANIC], sem.GREY_BLACK]])
    seen = sem.face_grey(pore, behind.astype(np.float32), 32.0)
    assert np.all(np.diff(seen.ravel()) < 0)
    assert np.all(seen[:1] < behind[:1])
    assert np.all(sem.face_grey(pore, behind.astype(np.float32), 320.0) <= seen)
    np.testing.assert_array_equal(sem.face_grey(pore, None, 32.0), sem.GREY_BLACK)


@pytest.mark.parametrize("grey", [30.0, 120.0, 210.0])
def test_shot_noise_is_poisson(grey: float) -> None:
    electrons = 300.0
    counted = sem.count_electrons(np.full((400, 400), grey, dtype=np.float32), electrons, generator(0))
    assert counted.mean() == pytest.approx(grey, rel=0.005)
    assert counted.var() == pytest.approx(grey * 255.0 / electrons, rel=0.03)
    steps = counted * electrons / 255.0
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)


def test_curtains_fall_from_rough_edges() -> None:
    labels = np.full((120, 300), phases.CLAY, dtype=np.uint8)
    labels[40:44, 100:200] = phases.PORE
    quiet = sem.curtain(np.full_like(labels, phases.CLAY), 32.0, generator(0))
    stripes = sem.curtain(labels, 32.0, generator(0))
    assert np.abs(np.diff(quiet, axis=0)).mean() < 0.1 * np.abs(np.diff(quiet, axis=1)).mean()
    begun = np.abs(stripes[60] - stripes[39] * np.exp(-21 * 32.0 / sem.STRIPE_NM))
    assert begun[110:190].mean() > 100 * begun[:90].mean()


def test_charge_mask_marks_what_glows() -> None:
    labels = np.full((160, 200), phases.CLAY, dtype=np.uint8)
    labels[40:70, 30:110] = phases.ORGANIC
    labels[110:130, 60:150] = phases.PORE
    clean = np.full(labels.shape, 110.0, dtype=np.float32)
    glow = sem.charging(labels, 32.0, generator(1), share=1.0)
    assert glow.min() >= 0
    assert 0.002 < np.mean(glow > sem.CHARGE_MARKED) < 0.3
    for seed in range(40):
        image = sem.acquire(clean, labels, 32.0, 1e6, generator(seed))
        if image.charge.any():
            break
    assert image.charge.any()
    usual = image.grey[~image.charge].astype(float)
    assert image.grey[image.charge].mean() > usual.mean() + 4.0
    unmarked = ndimage.binary_dilation(image.charge, iterations=8) & ~image.charge
    assert image.grey[unmarked].mean() < usual.mean() + 4.0


def test_nothing_to_charge_gives_an_empty_mask() -> None:
    labels = np.full((50, 50), phases.QUARTZ, dtype=np.uint8)
    assert not sem.acquire(np.full((50, 50), 100.0, np.float32), labels, 32.0, 300.0, generator(0)).charge.any()


def test_saturation_is_counted() -> None:
    labels = np.full((80, 80), phases.PYRITE, dtype=np.uint8)
    image = sem.acquire(np.full((80, 80), 250.0, dtype=np.float32), labels, 32.0, 100.0, generator(0))
    assert image.saturated > 0.2
    assert image.grey.max() == 255


# --- TXM


@pytest.mark.parametrize("fwhm_nm", [(120.0, 90.0, 90.0), (200.0, 160.0, 110.0)])
def test_psf_width_on_a_point(fwhm_nm: tuple[float, float, float]) -> None:
    """Full width at half maximum of a blurred point, by linear interpolation of its profile."""
    voxel = (12.0, 8.0, 10.0)
    volume = np.zeros((81, 91, 85), dtype=np.float32)
    volume[40, 45, 42] = 1.0
    txm.blur_by_psf(volume, fwhm_nm, voxel)
    assert volume.sum() == pytest.approx(1.0, rel=1e-3)
    for axis, profile in enumerate((volume[:, 45, 42], volume[40, :, 42], volume[40, 45, :])):
        half = profile.max() / 2.0
        above = np.flatnonzero(profile >= half)
        first, last = above[0], above[-1]
        left = first - (profile[first] - half) / (profile[first] - profile[first - 1])
        right = last + (profile[last] - half) / (profile[last] - profile[last + 1])
        assert (right - left) * voxel[axis] == pytest.approx(fwhm_nm[axis], rel=0.02)


def test_reconstruction_noise_is_photon_noise() -> None:
    """Four times the photons halve it; and before smoothing it has the variance of the ramp filter's formula."""
    assert txm.voxel_noise_per_cm(4e4, 32e-7, 100.0) == pytest.approx(0.5 * txm.voxel_noise_per_cm(1e4, 32e-7, 100.0))
    noise = txm.ramp_noise((6, 128, 140), (0.0, 0.0, 0.0), generator(0))
    assert noise.std() == pytest.approx(1.0, rel=0.02)
    smooth = txm.ramp_noise((6, 128, 140), (1.0, 1.0, 1.0), generator(0))
    assert smooth.std() < 0.5


def test_voxel_noise_against_a_filtered_back_projection() -> None:
    """A second implementation: scikit-image's ramp-filtered reconstruction of pure Poisson projections."""
    photons, size, angles = 1000.0, 64, 180
    counts = generator(0).poisson(photons, (size, angles))
    projections = -np.log(counts / photons)
    image = transform.iradon(projections, theta=np.arange(angles) * 180.0 / angles, filter_name="ramp", circle=True)
    core = image[20:44, 20:44]
    expected = txm.voxel_noise_per_cm(photons, 1.0, 0.0) * np.sqrt(txm.PROJECTIONS / angles)
    # Linear interpolation between detector pixels takes away about a third of the variance.
    assert 0.6 < core.std() / expected < 1.05


def test_rings_are_circles_that_change_slowly_along_z() -> None:
    profiles, radius = txm.ring_artefacts((40, 100, 110), generator(0))
    assert profiles.shape == (40, int(radius.max()) + 2)
    assert np.abs(np.diff(profiles, axis=0)).mean() < 0.4 * np.abs(np.diff(profiles, axis=1)).mean()
    volume = np.zeros((40, 100, 110), dtype=np.float32)
    txm.add_rings(volume, generator(0))
    shell = (radius > 20.9) & (radius < 21.1)
    assert volume[7][shell].std() < 0.2 * volume[7].std()


@settings(max_examples=25, deadline=None)
@given(low=st.floats(-3000, 100), high=st.floats(200, 5000))
def test_storage_clips_nothing(low: float, high: float) -> None:
    volume = np.linspace(low, high, 60, dtype=np.float32).reshape(3, 4, 5)
    scale = txm.storage_scale(volume, phases.attenuation_per_cm(8.0))
    stored = np.stack([txm.to_uint16(plane, scale) for plane in volume])
    back = scale.low_per_cm + stored / 65535.0 * (scale.high_per_cm - scale.low_per_cm)
    np.testing.assert_allclose(back, volume, atol=0.51 * (scale.high_per_cm - scale.low_per_cm) / 65535.0 + 1e-3)


# --- placing


def test_matrix_turns_about_the_centre() -> None:
    matrix = placing.similarity(90.0, 2.0, (3.0, -1.0), (21, 31), (41, 51))
    np.testing.assert_allclose(matrix @ [15.0, 10.0, 1.0], [24.0, 23.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(matrix @ [16.0, 10.0, 1.0], [24.0, 25.0, 1.0], atol=1e-12)  # x turns towards +y


def test_frame_agrees_with_a_library_warp() -> None:
    plane = ndimage.gaussian_filter(generator(0).standard_normal((100, 110)), 3.0)
    margin = 20
    matrix = placing.similarity(5.0, 1.03, (2.5, -4.0), (56, 70), (60, 70))
    frame = placing.sample_frame(plane, matrix, (56, 70), margin, order=3)
    shifted = transform.AffineTransform(translation=(margin, margin)).params @ matrix
    expected = transform.warp(plane, transform.AffineTransform(matrix=shifted), output_shape=(56, 70), order=3)
    np.testing.assert_allclose(frame, expected, atol=2e-3)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(32, 300),
    width=st.integers(32, 300),
    rotation=st.floats(0, 20),
    scale=st.floats(0, 15),
    shift=st.floats(0, 30),
    seed=st.integers(0, 1000),
)
def test_margin_covers_every_frame(
    height: int, width: int, rotation: float, scale: float, shift: float, seed: int
) -> None:
    chosen = PhantomSettings(
        shape=(8, height, width), max_rotation_deg=rotation, max_scale_percent=scale, max_shift_px=shift
    )
    matrix = placing.random_placing(chosen, generator(seed))
    rows, columns = placing.frame_shape(chosen.shape)
    corners = np.array([[x, y, 1.0] for x in (0, columns - 1) for y in (0, rows - 1)]) @ matrix.T
    margin = placing.margin_px(chosen)
    assert corners.min() >= -margin
    assert corners[:, 0].max() <= width - 1 + margin
    assert corners[:, 1].max() <= height - 1 + margin


@settings(max_examples=20, deadline=None)
@example(size=1.0, height=32, width=32, seed=791)
@given(size=st.floats(0.1, 8), height=st.integers(32, 200), width=st.integers(32, 200), seed=st.integers(0, 1000))
def test_misfit_has_the_stated_size_and_no_affine_part(size: float, height: int, width: int, seed: int) -> None:
    chosen = PhantomSettings(shape=(8, height, width), misfit_px=size)
    field = placing.random_misfit(chosen, generator(seed))
    assert field is not None
    assert field.shape == (2, *placing.frame_shape(chosen.shape))
    farthest = np.float32(placing.MISFIT_REACH * size)
    assert np.abs(field).max() <= farthest
    if np.abs(field).max() == farthest:  # in a small frame, which was cut off there
        return
    assert np.sqrt(np.mean(np.sum(field.astype(float) ** 2, axis=0))) == pytest.approx(size, rel=1e-4)
    y, x = np.mgrid[: field.shape[1], : field.shape[2]]
    for plane in (np.ones_like(y), y - y.mean(), x - x.mean()):
        assert np.abs(np.mean(field * (plane / plane.max()), axis=(1, 2))).max() < 1e-4 * size


def test_a_frame_shows_what_lies_where_matrix_and_misfit_say() -> None:
    """On a plane that is linear in y and x, interpolation is exact."""
    matrix = placing.similarity(2.0, 1.01, (0.5, -0.5), (20, 24), (24, 28))
    misfit = generator().normal(size=(2, 20, 24)).astype(np.float32)
    y, x = np.mgrid[:40, :44].astype(float)
    seen = placing.sample_frame(3 * y + 5 * x, matrix, (20, 24), margin=8, order=1, misfit=misfit)
    at = np.moveaxis(np.mgrid[:20, :24], 0, -1)[..., ::-1] @ matrix[:2, :2].T + matrix[:2, 2]
    expected = 3 * (at[..., 1] + misfit[0] + 8) + 5 * (at[..., 0] + misfit[1] + 8)
    np.testing.assert_allclose(seen, expected, atol=1e-4)


# --- the stage


def test_bent_slices_are_those_of_the_same_rock_and_the_field_is_kept(folder: Path, tmp_path: Path) -> None:
    reach = placing.MISFIT_REACH  # the margin about the field decides the rock's random numbers: kept the same
    bent = SMALL.model_copy(update={"misfit_px": 1.0, "max_shift_px": SMALL.max_shift_px - reach})
    make_phantom(bent, tmp_path / "raw")
    changed = {name for name, one in digests(tmp_path / "raw").items() if digests(folder).get(name) != one}
    assert {name for name in changed if name.startswith("tx")} == set()
    assert "truth/sem.tif" not in changed
    assert "sem/SEM000.tif" in changed
    field = tifffile.imread(tmp_path / "raw/truth/misfit/misfit000.tif")
    assert field.shape == (2, 60, 72)
    assert np.sqrt(np.mean(np.sum(field.astype(float) ** 2, axis=0))) == pytest.approx(1.0, rel=1e-4)
    assert not (folder / "truth/misfit").exists()


@pytest.mark.parametrize(
    ("depth", "every", "expected"), [(48, 8, [4, 12, 20, 28, 36, 44]), (3, 8, [2]), (3, 1, [0, 1, 2])]
)
def test_pair_slices(depth: int, every: int, expected: list[int]) -> None:
    assert stage.pair_slices(depth, every) == expected


def test_folder_is_laid_out_as_an_instrument_leaves_it(folder: Path) -> None:
    assert [path.name for path in io.list_images(folder / "txm")] == ["TXM000.tif", "TXM001.tif", "TXM002.tif"]
    assert [path.name for path in io.list_images(folder / "sem")] == ["SEM000.tif", "SEM001.tif", "SEM002.tif"]
    assert next(path.name for path in io.list_images(folder / "charge")) == "charge000.tif"
    volume = io.open_volume(folder / "txm_volume")
    assert volume.shape == SMALL.shape
    assert volume.dtype == np.uint16
    assert volume.voxel_size_nm == pytest.approx(VOXEL, rel=1e-4)
    table = io.read_csv(folder / "pairs.csv")
    assert table["z"].tolist() == [2, 6, 10]
    for name, z in zip(table["pair"], table["z"], strict=True):
        partner = io.read_image(folder / "txm" / f"TXM{name}.tif")
        np.testing.assert_array_equal(partner, volume.read(z, z + 1)[0])
        grey = io.read_image(folder / "sem" / f"SEM{name}.tif")
        assert grey.dtype == np.uint8
        assert grey.shape == placing.frame_shape(SMALL.shape)
        charge = io.read_image(folder / "charge" / f"charge{name}.tif")
        assert charge.shape == grey.shape
        assert set(np.unique(charge)) <= {0, 255}


def test_truth_and_description_agree(folder: Path) -> None:
    labels = io.open_volume(folder / "truth" / "labels.tif")
    described = io.read_json(folder / "phantom.json")
    phase = labels.read(0, SMALL.shape[0])
    assert labels.shape == io.open_volume(folder / "truth" / "sem.tif").shape == SMALL.shape
    for index, name in enumerate(described["phases"]):
        assert described["fractions"][name] == pytest.approx(np.mean(phase == index))
    assert described["porosity"] == described["fractions"]["pore"]
    assert described["settings"]["seed"] == SMALL.seed
    scale = described["txm_scale"]
    stored = io.open_volume(folder / "txm_volume").read(0, SMALL.shape[0]).astype(float)
    attenuation = scale["low_per_cm"] + stored / 65535.0 * (scale["high_per_cm"] - scale["low_per_cm"])
    deep = ndimage.binary_erosion(phase == phases.QUARTZ, iterations=4)
    assert attenuation[deep].mean() == pytest.approx(described["attenuation_per_cm"]["quartz"], rel=0.06)


def test_truth_warped_by_the_recorded_matrix_is_the_frame(tmp_path: Path) -> None:
    """With electrons to spare, a FIB-SEM image is the truth on the TXM's grid, placed by the recorded matrix."""
    make_phantom(SMALL.model_copy(update={"sem_electrons": 1e6}), tmp_path / "raw")
    truth = io.open_volume(tmp_path / "raw" / "truth" / "sem.tif")
    for name, entry in io.read_json(tmp_path / "raw" / "truth" / "transforms.json").items():
        frame = io.read_image(tmp_path / "raw" / "sem" / f"SEM{name}.tif").astype(float)
        valid = io.read_image(tmp_path / "raw" / "charge" / f"charge{name}.tif") == 0
        plane = truth.read(entry["z"], entry["z"] + 1)[0].astype(float)

        def mismatch(
            matrix: np.ndarray, plane: np.ndarray = plane, frame: np.ndarray = frame, valid: np.ndarray = valid
        ) -> float:
            placed = transform.warp(
                plane, transform.AffineTransform(matrix=matrix), output_shape=frame.shape, order=3, cval=np.nan
            )
            difference = (frame - placed)[valid & np.isfinite(placed)]
            return float(difference.std())

        matrix = np.array(entry["matrix"])
        assert mismatch(matrix) < 5.0  # curtains and drift remain
        for shift in ((0.7, 0.0), (-0.7, 0.0), (0.0, 0.7), (0.0, -0.7)):
            moved = matrix.copy()
            moved[:2, 2] += shift
            assert mismatch(moved) > mismatch(matrix) + 1.0


def test_same_seed_same_bytes_and_another_seed_another_rock(folder: Path, tmp_path: Path) -> None:
    make_phantom(SMALL, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(folder)
    make_phantom(SMALL.model_copy(update={"seed": 4}), tmp_path / "other")
    other = digests(tmp_path / "other")
    same = {name for name, digest in digests(folder).items() if other[name] == digest}
    assert same <= {"pairs.csv"} | {name for name in other if name.startswith("charge/")}  # a mask may be empty


def test_too_small_a_shape_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shape"):
        make_phantom(PhantomSettings(shape=(4, 8, 64)), tmp_path / "raw")
    assert not list(tmp_path.iterdir())


def test_seeds_are_independent_by_purpose() -> None:
    assert as_generator(0, "grains").random() != as_generator(0, "sem").random()
    assert as_generator(0, "sem", 1).random() == as_generator(0, "sem", 1).random()
