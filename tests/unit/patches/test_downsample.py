"""Coarser TXM images against scikit-image and against what each method promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import downscale_local_mean
from small_data import VOXEL_SIZE_NM, make_store, sharp

from txm2sem_core import io
from txm2sem_core.config import DownsampleSettings
from txm2sem_core.errors import InputError
from txm2sem_core.patches.downsample import (
    downsample,
    downsample_area,
    downsample_nearest,
    downsample_patches,
    downsample_psf,
    downsample_volume,
)

RNG = np.random.default_rng(0)


def centre(image: np.ndarray) -> np.ndarray:
    return np.array(ndimage.center_of_mass(image))


@settings(max_examples=30)
@given(st.sampled_from([2, 4, 8]), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32))
def test_area_against_scikit_image(factor: int, height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 65535, (3, height * factor, width * factor)).astype(np.uint16)
    expected = downscale_local_mean(image, (1, factor, factor))
    np.testing.assert_allclose(downsample_area(image, factor), expected, rtol=1e-5)
    same_dtype = downsample(image, factor, DownsampleSettings(method="area"), 1.0, RNG)
    assert same_dtype.dtype == np.uint16
    np.testing.assert_allclose(same_dtype, expected, atol=0.51)


@pytest.mark.parametrize("factor", [2, 4])
def test_nearest_is_shifted_by_half_of_factor_minus_one_and_area_is_not(factor: int) -> None:
    y, x = np.mgrid[:64, :64]
    blob = np.exp(-((y - 30.5) ** 2 + (x - 28.5) ** 2) / (2 * 6.0**2))
    place = centre(blob)
    for method, shift in ((downsample_nearest, 0.0), (downsample_area, (factor - 1) / 2)):
        # a pixel of `area` stands amid the fine pixels that it is the mean of, one of `nearest` on the first
        np.testing.assert_allclose(centre(method(blob, factor)) * factor + shift, place, atol=1e-3)


def test_nearest_aliases_and_area_does_not() -> None:
    stripes = np.tile([0, 255], (8, 8)).astype(np.uint8)
    assert set(np.unique(downsample_nearest(stripes, 2))) == {0}
    np.testing.assert_array_equal(downsample_area(stripes, 2), 127.5)


@pytest.mark.parametrize("sigma_px", [0.3, 0.5, 1.0])
def test_psf_conserves_the_mean_and_blurs_the_more_the_wider(sigma_px: float) -> None:
    image = sharp((64, 64), 0)
    coarse = downsample_psf(image, 2, sigma_px)
    assert coarse.mean() == pytest.approx(image.mean(), rel=0.005)
    assert coarse.std() < downsample_area(image, 2).std()
    assert coarse.std() > downsample_psf(image, 2, sigma_px + 0.3).std()


def test_psf_does_not_mix_slices() -> None:
    stack = np.zeros((3, 16, 16), np.float32)
    stack[1] = 1
    np.testing.assert_allclose(downsample_psf(stack, 2, 1.0).mean(axis=(1, 2)), [0, 1, 0], atol=1e-6)


def test_the_level_of_noise() -> None:
    image = np.full((256, 256), 30000, np.uint16)
    noisy = downsample(image, 2, DownsampleSettings(method="psf", noise_sigma=0.02), 10000.0, np.random.default_rng(1))
    assert noisy.std() == pytest.approx(200, rel=0.05)
    assert noisy.mean() == pytest.approx(30000, abs=10)
    quiet = downsample(image, 2, DownsampleSettings(method="psf"), 10000.0, np.random.default_rng(1))
    assert (quiet == 30000).all()


@pytest.mark.parametrize("method", ["nearest", "area", "psf"])
def test_sixteen_bits_stay_sixteen_bits_and_the_ends_are_clipped(method: str) -> None:
    image = np.where(np.indices((16, 16)).sum(axis=0) % 4 < 2, 65535, 0).astype(np.uint16)
    coarse = downsample(image, 2, DownsampleSettings(method=method, noise_sigma=0.2), 65535.0, RNG)
    assert coarse.dtype == np.uint16
    assert coarse.shape == (8, 8)


# --- stores and volumes


def test_a_coarser_store(tmp_path: Path) -> None:
    store = make_store(tmp_path / "fine", context=1)
    coarse = downsample_patches(tmp_path / "fine", 2, DownsampleSettings(), tmp_path / "coarse")
    back = io.read_patch_store(tmp_path / "coarse")
    assert back.factor == coarse.factor == 2
    assert back.index.equals(store.index)
    for name, images in back.pairs.items():
        np.testing.assert_allclose(images.txm, downscale_local_mean(store.pairs[name].txm, (1, 2, 2)), atol=0.51)
        np.testing.assert_array_equal(images.sem, store.pairs[name].sem)
    row = back.of_split("test").iloc[0]
    assert back.txm_patch(row["pair"], row["y"], row["x"], 1).shape == (3, 16, 16)


def test_noise_follows_from_the_seed_and_differs_between_pairs(tmp_path: Path) -> None:
    make_store(tmp_path / "fine")
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        settings = DownsampleSettings(method="psf", noise_sigma=0.05, seed=seed)
        downsample_patches(tmp_path / "fine", 2, settings, tmp_path / name)
    a, b, c = ((tmp_path / name / "store.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_coarser_volume_has_coarser_voxels(tmp_path: Path) -> None:
    make_store(tmp_path / "p")
    fine = sharp((5, 43, 50), 0, np.uint16)
    downsample_volume(io.Volume.of_array(fine), 4, DownsampleSettings(), tmp_path / "p", tmp_path / "v.ome.zarr")
    coarse = io.open_volume(tmp_path / "v.ome.zarr")
    z_nm, y_nm, x_nm = VOXEL_SIZE_NM
    assert coarse.voxel_size_nm == (z_nm, 4 * y_nm, 4 * x_nm)
    assert (coarse.shape, coarse.dtype) == ((5, 10, 12), np.uint16)  # rows and columns beyond a multiple are left out
    expected = downscale_local_mean(fine[:, :40, :48], (1, 4, 4))
    np.testing.assert_allclose(coarse.read(0, 5), expected, atol=0.51)


def test_a_volume_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    make_store(tmp_path / "p")
    broken = sharp((12, 16, 16), 0).astype(np.float32)
    broken[4] = np.inf  # none of those that are looked at first
    with pytest.raises(InputError, match="slices 4 to 4"):
        downsample_volume(
            io.Volume.of_array(broken), 2, DownsampleSettings(), tmp_path / "p", tmp_path / "out" / "v.ome.zarr"
        )
    assert list((tmp_path / "out").iterdir()) == []
