"""Measures against other libraries that have them too: PoreSpy, torchmetrics. `make test-second` installs those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rocks
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.measure.laboratory import laboratory_text, measure_laboratory
from txm2sem_core.metrics import ms_ssim, psnr, ssim
from txm2sem_core.metrics.pores.chords import chord_lengths
from txm2sem_core.metrics.pores.connectivity import connected_porosity
from txm2sem_core.metrics.pores.geometry import specific_surface
from txm2sem_core.metrics.pores.laboratory import mercury_intrusion, pore_network

SEEDS = st.integers(0, 10_000)


def media(seed: int, sigma: float, porosity: float, size: int = 40) -> rocks.Pores:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size,) * 3), sigma, mode="wrap")
    return field < np.quantile(field, porosity)


def image_pair(seed: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = 120 + 400 * ndimage.gaussian_filter(rng.normal(size=(192, 200)), 2)
    return target + rng.normal(0, noise, target.shape), target


@given(SEEDS, st.floats(0.5, 40))
@settings(max_examples=8, deadline=None)
def test_scores_of_images_are_those_of_torchmetrics(seed: int, noise: float) -> None:
    image = pytest.importorskip("torchmetrics.functional.image", reason="make test-second installs torchmetrics")
    prediction, target = image_pair(seed, noise)
    pair = [torch.from_numpy(each)[None, None] for each in (prediction, target)]
    assert psnr(prediction, target, 255.0) == pytest.approx(
        float(image.peak_signal_noise_ratio(*pair, 255.0)), abs=1e-4
    )
    theirs = float(image.structural_similarity_index_measure(*pair, data_range=255.0))
    assert ssim(prediction, target, 255.0) == pytest.approx(theirs, abs=5e-3)  # it counts the border too
    theirs = float(image.multiscale_structural_similarity_index_measure(*pair, data_range=255.0))
    assert ms_ssim(prediction, target, 255.0) == pytest.approx(theirs, abs=5e-4)


@given(SEEDS, st.floats(1.5, 4), st.floats(0.05, 0.6), st.sampled_from([0, 1, 2]))
@settings(max_examples=12, deadline=None)
@pytest.mark.filterwarnings("ignore:spacing=0")
def test_connected_porosity_and_chords_are_those_of_porespy(
    seed: int, sigma: float, porosity: float, axis: int
) -> None:
    porespy = pytest.importorskip("porespy", reason="make test-second installs PoreSpy")
    pore = media(seed, sigma, porosity)
    theirs = porespy.metrics.percolating_porosity(pore, axis=axis, conn="min")
    assert connected_porosity(pore, axis) == pytest.approx(theirs, abs=1e-12)
    sides = [(0, 0) if side == axis else (1, 1) for side in range(3)]  # its trimming takes chords at all faces
    chords = porespy.filters.apply_chords(np.pad(pore, sides), spacing=0, axis=axis, trim_edges=True, label=True)
    lengths = np.bincount(chords.ravel())[1:]
    counted = np.bincount(lengths[lengths > 0], minlength=len(pore) + 1)
    np.testing.assert_array_equal(chord_lengths(pore, axis).whole[1:], counted[1:])


@given(SEEDS, st.floats(2, 4), st.floats(0.2, 0.6))
@settings(max_examples=8, deadline=None)
def test_surfaces_are_near_those_of_marching_cubes(seed: int, sigma: float, porosity: float) -> None:
    """Marching cubes follow the steps of binary voxels, and read about a tenth more than the surface that was cut."""
    measure = pytest.importorskip("porespy.metrics", reason="make test-second installs PoreSpy")
    from skimage.measure import marching_cubes

    pore = media(seed, sigma, porosity)
    vertices, faces, *_ = marching_cubes(pore.astype(np.float32), 0.5)
    theirs = measure.mesh_surface_area(verts=vertices, faces=faces) / (len(pore) - 1) ** 3
    assert 0.88 < specific_surface(pore, 1.0) * 1e-9 / theirs < 0.94


def test_mercury_fills_cracks_at_their_width_and_wide_pores_behind_throats_at_the_throats() -> None:
    """A crack of 7 and one of 3 voxels; then two balls of 20 voxels behind a channel of 5."""
    pytest.importorskip("porespy", reason="make test-second installs PoreSpy")
    pore = np.zeros((40, 40, 40), bool)
    pore[:, 10:17] = pore[:, 25:28] = True
    curve = mercury_intrusion(pore, 10)
    assert curve["diameter_nm"].tolist() == [70, 30]
    assert curve["saturation"].tolist() == pytest.approx([0.7, 1])
    assert curve["pressure_mpa"].tolist() == pytest.approx([21.23, 49.54], rel=1e-3)
    bottle = two_balls()
    curve = mercury_intrusion(bottle, 10)
    assert curve["diameter_nm"].max() == 50
    bottle[:, :, :3] = False  # nothing leads in any more
    assert mercury_intrusion(bottle, 10).empty


def test_a_network_of_two_pores_and_a_throat() -> None:
    pytest.importorskip("porespy", reason="make test-second installs PoreSpy")
    found = pore_network(two_balls(), 10)
    assert (found["pores"], found["throats"], found["coordination_mean"]) == (2, 1, 1)
    assert found["pore_diameter_nm_median"] == pytest.approx(190, abs=15)
    assert found["throat_diameter_nm_median"] == pytest.approx(50, abs=15)
    assert found["pores_per_um3"] == pytest.approx(2 / (30 * 30 * 60 * 1e-6))


def test_the_command_measures_a_block_of_a_volume(tmp_path: Path) -> None:
    pytest.importorskip("porespy", reason="make test-second installs PoreSpy")
    io.write_tiff(tmp_path / "v.tif", np.where(two_balls(), 20, 200).astype(np.uint8), (10.0, 10.0, 10.0))
    found = measure_laboratory(tmp_path / "v.tif", 100, tmp_path / "l.json", cube_px=0)
    assert (found["pores"], found["block_px"]) == (2, [30, 30, 60])
    assert found["mercury_half_filled_mpa"] == pytest.approx(29.72, rel=1e-3)
    assert io.read_json(tmp_path / "l.json")["mercury"]["diameter_nm"][0] == 50
    assert "pressure that fills half of them / MPa   29.72" in laboratory_text(found)


def two_balls() -> np.ndarray:
    """Balls of 20 voxels, joined by a channel of 5 that leads to one face."""
    z, y, x = np.ogrid[:30, :30, :60]
    pore = ((z - 15) ** 2 + (y - 15) ** 2 + (x - 15) ** 2 < 100) | ((z - 15) ** 2 + (y - 15) ** 2 + (x - 40) ** 2 < 100)
    pore[13:18, 13:18, :40] = True
    return pore
