"""Arrays of dask and xarray go through a prediction as files do, a few slices at a time; `make test-second`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_volumes import SIZE_NM, make_model

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.inference import predict_volume

SHAPE = (35, 24, 28)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    make_model(folder / "model", in_channels=3)
    io.write_volume_tiff(folder / "txm.tif", iter(voxels()), SIZE_NM)
    predict_volume(folder / "model", folder / "txm.tif", folder / "v.ome.zarr", device="cpu")
    return folder


def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)


def written(place: Path) -> np.ndarray:
    return io.open_volume(place / "v.ome.zarr").read(0, SHAPE[0])


def test_second_dask(place: Path) -> None:
    dask = pytest.importorskip("dask", reason="make test-second installs it")
    array = pytest.importorskip("dask.array")
    asked: list[int] = []

    def block(block_info: dict) -> np.ndarray:  # type: ignore[type-arg]
        (z0, z1), *_ = block_info[None]["array-location"]
        asked.append(z1 - z0)
        return voxels()[z0:z1]

    source = array.map_blocks(block, chunks=((8,) * 4 + (3,), (24,), (28,)), dtype=np.uint8)
    with dask.config.set(scheduler="synchronous"):
        made = predict_volume(place / "model", source, voxel_size_nm=SIZE_NM, device="cpu")
    np.testing.assert_array_equal(made, written(place))
    assert max(asked) == 8


def test_second_xarray_has_its_axes_and_size_from_its_names(place: Path, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray", reason="make test-second installs it")
    steps = dict(zip("zyx", SIZE_NM, strict=True))
    coordinates = {
        axis: (axis, np.arange(length) * steps[axis] / 1000, {"units": "um"})
        for axis, length in zip("zyx", SHAPE, strict=True)
    }
    source = xarray.DataArray(voxels(), dims=("z", "y", "x"), coords=coordinates).transpose("x", "z", "y")
    np.testing.assert_array_equal(predict_volume(place / "model", source, device="cpu"), written(place))
    predict_volume(place / "model", source, tmp_path / "v.ome.zarr", device="cpu")
    assert io.open_volume(tmp_path / "v.ome.zarr").voxel_size_nm == pytest.approx(SIZE_NM)
    with pytest.raises(InputError, match="dimensions z, y and x is needed, this one has t, y, x"):
        predict_volume(place / "model", xarray.DataArray(voxels(), dims=("t", "y", "x")), device="cpu")
