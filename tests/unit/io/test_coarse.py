"""Levels of our volumes for pictures: the coarsest that suffices, with what the volume states of what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from txm2sem_core import io
from txm2sem_core.io.coarse import coarsest_level
from txm2sem_core.io.field_of_view import FieldOfView

SHAPE = (9, 40, 1000)  # levels of 1000, 500 and 250 pixels along x


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A prediction with 0 where nothing was measured, the first 500 pixels along x, but for its last five slices."""
    voxels = np.random.default_rng(0).integers(1, 255, SHAPE).astype(np.uint8)
    voxels[:4, :, :500] = 0
    voxels[4:, ::2] = 0  # a grey level there
    marks = {"result_sha256": "a", io.UNMEASURED: 0, io.WHOLE_SLICES: "4-8"}
    io.write_ome_zarr(tmp_path / "p.ome.zarr", voxels, SHAPE, np.uint8, (9.0, 9.0, 9.0), {"txm2sem": marks})
    return tmp_path / "p.ome.zarr"


@pytest.mark.parametrize(
    ("z_step", "least_yx", "factor"),
    [(1, (1, 1), 1), (2, (1, 1), 2), (3, (1, 1), 2), (4, (10, 250), 4), (9, (10, 251), 2), (9, (11, 250), 2)],
)
def test_a_level_has_the_slices_and_pixels_that_are_needed(
    path: Path, z_step: int, least_yx: tuple[int, int], factor: int
) -> None:
    volume = io.open_volume(path)
    level = coarsest_level(volume, path, 0, z_step, least_yx)
    assert level.factor == factor
    assert level.volume.shape == tuple(-(-n // factor) for n in SHAPE)
    shown = [level.index(position) for position in range(0, SHAPE[0], z_step)]
    assert len(set(shown)) == len(shown)
    assert max(shown) < level.volume.shape[0]
    assert (level.length(SHAPE[1]), level.length(SHAPE[2])) == level.volume.shape[1:]


@pytest.mark.parametrize("z_step", [1, 2, 4])
def test_what_was_measured_is_that_of_the_volume(path: Path, z_step: int) -> None:
    level = coarsest_level(io.open_volume(path), path, 0, z_step, (1, 1))
    field = FieldOfView(level.volume, guess=False)
    for z, plane in enumerate(level.volume.slices()):
        mask = field.of(plane, z)
        if (z + 1) * level.factor <= 4:
            assert mask is not None
            expected = np.arange(plane.shape[1]) >= 500 // level.factor
            np.testing.assert_array_equal(mask, np.broadcast_to(expected, plane.shape))
        else:
            assert mask is None


@pytest.mark.parametrize("change", ["mask", "level gone", "level of another shape", "none of ours"])
def test_the_volume_itself_is_taken_where_its_levels_cannot_be_relied_on(path: Path, change: str) -> None:
    group = zarr.open_group(path, mode="r+")
    if change == "level gone":
        (path / "1/zarr.json").unlink()
    elif change == "level of another shape":
        group.create_array("1", shape=(3, 3, 3), dtype="uint8", overwrite=True)[:] = 1
    elif change == "none of ours":
        group.attrs.put({name: value for name, value in group.attrs.items() if name != "txm2sem"})
    volume = io.open_volume(path)
    if change == "mask":
        volume = replace(volume, mask=io.Volume.of_array(np.ones(SHAPE, dtype=bool)))
    level = coarsest_level(volume, path, 0, 2, (1, 1))
    assert (level.volume, level.factor) == (volume, 1)
