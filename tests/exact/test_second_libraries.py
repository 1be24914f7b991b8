"""Measures against other libraries that have them too: PoreSpy, torchmetrics. `make test-second` installs those."""

from __future__ import annotations

import numpy as np
import pytest
import rocks
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from txm2sem_core.metrics import ms_ssim, psnr, ssim
from txm2sem_core.metrics.pores.chords import chord_lengths
from txm2sem_core.metrics.pores.connectivity import connected_porosity
from txm2sem_core.metrics.pores.geometry import specific_surface

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
