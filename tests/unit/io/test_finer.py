"""Volumes on a finer grid: whole, in parts, with masks, and back again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.geometry import Crop
from txm2sem_core.io.finer import finer_image, finer_points, finer_volume, split_finer
from txm2sem_core.patches.downsample import downsample_area

FACTORS = st.sampled_from(io.FINER)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    voxels = np.random.default_rng(0).integers(0, 65535, (5, 40, 56)).astype(np.uint16)
    io.write_tiff(tmp_path / "v.tif", voxels, (30.0, 20.0, 10.0))
    io.write_ome_zarr(tmp_path / "v.ome.zarr", iter(voxels), voxels.shape, np.uint16, (30.0, 20.0, 10.0), {})
    return tmp_path


@settings(max_examples=30, deadline=None)
@given(FACTORS, st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_means_of_blocks_give_the_image_back_to_the_last_bit(factor: int, seed: int, dtype: type) -> None:
    image = (np.random.default_rng(seed).random((9, 7)) * 65535).astype(dtype)
    assert_array_equal(downsample_area(finer_image(image, factor), factor), image.astype(np.float32))


@pytest.mark.parametrize("name", ["v.tif", "v.ome.zarr"])
@pytest.mark.parametrize("factor", io.FINER)
def test_a_volume_is_opened_on_the_finer_grid_by_its_name(stack: Path, name: str, factor: int) -> None:
    plain = io.open_volume(stack / name).read(0, 5)
    with io.open_volume(io.finer_path(stack / name, factor)) as volume:
        assert volume.shape == (5, 40 * factor, 56 * factor)
        assert volume.voxel_size_nm == pytest.approx((30.0, 20.0 / factor, 10.0 / factor))
        assert volume.finer == factor
        whole = volume.read(0, 5)
        assert_array_equal(whole, np.kron(plain, np.ones((1, factor, factor), plain.dtype)))
        for box in ((slice(1, 4), slice(3, 37), slice(5, 6)), (slice(0, 1), slice(0, 40), slice(17, 56))):
            assert_array_equal(volume.read_part(*box), whole[box])


def test_a_mask_may_fit_the_file_or_the_finer_grid(stack: Path) -> None:
    mask = np.random.default_rng(1).random((5, 40, 56)) > 0.3
    io.write_tiff(stack / "file.tif", mask.astype(np.uint8))
    io.write_tiff(stack / "grid.tif", finer_image(mask, 2).astype(np.uint8))
    for name in ("file.tif", "grid.tif"):
        volume = io.with_mask(io.open_volume(f"{stack}/v.tif:x2"), stack / name)
        assert volume.mask is not None
        assert_array_equal(volume.mask.read(0, 5), finer_image(mask, 2))
    masked = finer_volume(io.with_mask(io.open_volume(stack / "v.tif"), stack / "file.tif"), 2)
    assert masked.mask is not None
    assert_array_equal(masked.mask.read(2, 3), finer_image(mask[2:3], 2))


def test_a_file_of_such_a_name_is_that_file(stack: Path) -> None:
    odd = (stack / "v.tif").rename(stack / "v.tif:x2")
    assert split_finer(odd) == (odd, 1)
    assert split_finer(stack / "v.tif:x4") == (stack / "v.tif", 4)
    assert split_finer(stack / "v.tif:x3") == (stack / "v.tif:x3", 1)
    with pytest.raises(InputError, match=r"v\.tif: there is no such file"):
        io.open_volume(stack / "v.tif:x4")


def test_an_output_that_is_the_volume_on_a_finer_grid_is_refused(stack: Path) -> None:
    with pytest.raises(InputError, match="the output is the input"):
        io.check_output([f"{stack}/v.tif:x2"], files=[stack / "v.tif"])


@given(FACTORS, st.integers(0, 500))
def test_the_centre_of_a_block_is_the_centre_of_its_pixel(factor: int, pixel: int) -> None:
    block = np.arange(pixel * factor, (pixel + 1) * factor)
    assert finer_points(np.array([[pixel, pixel]]), factor) == pytest.approx(block.mean())


@given(FACTORS, st.lists(st.integers(0, 60), min_size=4, max_size=4))
def test_a_crop_on_the_grid_is_the_largest_of_whole_blocks(step: int, ends: list[int]) -> None:
    (y0, y1), (x0, x1) = sorted(ends[:2]), sorted(ends[2:])
    found = Crop(y0, y1, x0, x1).on_grid(step)
    blocks = [k for k in range(y0, y1) if k % step == 0 and k + step <= y1]
    assert found.y1 - found.y0 == len(blocks) * step
    assert all(end % step == 0 for end in found)
    assert found.y0 >= y0
    assert found.x0 >= x0
