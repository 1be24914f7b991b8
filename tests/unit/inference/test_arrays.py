"""Arrays in and out: what `predict_volume` returns is what the command writes, and of the input little is in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from small_models import model, plane, predictor
from small_volumes import SIZE_NM, make_model, make_source
from typer.testing import CliRunner

from txm2sem_core import io
from txm2sem_core.cli import app
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.inference import EnsemblePredictor, predict_volume

DEPTH = 37


class Lazy:
    """An array as dask has it: shape, dtype, chunks, and slices that are made when they are asked for."""

    def __init__(self, array: np.ndarray, chunks: Any = None) -> None:
        self._array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, chunks
        self.asked: list[tuple[int, int]] = []

    def __getitem__(self, key: slice) -> Any:
        self.asked.append((key.start, key.stop))
        return memoryview(np.ascontiguousarray(self._array[key]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a source, and the volume as the command writes it."""
    folder = tmp_path_factory.mktemp("place")
    make_model(folder / "model", in_channels=3)
    make_source(folder / "txm.tif", (DEPTH, 40, 48))
    options = ["--model", folder / "model", "--input", folder / "txm.tif", "--output", folder / "v.ome.zarr"]
    done = CliRunner().invoke(app, ["predict", *map(str, options), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    return folder


def given(place: Path) -> np.ndarray:
    return io.open_volume(place / "txm.tif").read(0, DEPTH)


def written(place: Path) -> np.ndarray:
    return io.open_volume(place / "v.ome.zarr").read(0, DEPTH)


def test_the_array_is_what_the_command_writes(place: Path) -> None:
    made = predict_volume(place / "model", given(place), voxel_size_nm=SIZE_NM, device="cpu")
    assert isinstance(made, np.ndarray)
    assert made.dtype == written(place).dtype
    np.testing.assert_array_equal(made, written(place))


def test_a_path_or_a_volume_is_answered_with_an_array_too(place: Path) -> None:
    np.testing.assert_array_equal(predict_volume(place / "model", place / "txm.tif", device="cpu"), written(place))
    volume = io.open_volume(place / "txm.tif")
    np.testing.assert_array_equal(predict_volume(place / "model", volume, device="cpu"), written(place))


@pytest.mark.parametrize("chunks", [None, ((16, 16, 5), (40,), (48,)), (8, 40, 48)])
def test_a_lazy_array_is_read_a_few_slices_at_a_time(place: Path, chunks: Any) -> None:
    lazy = Lazy(given(place), chunks)
    made = predict_volume(place / "model", lazy, voxel_size_nm=SIZE_NM, device="cpu")
    np.testing.assert_array_equal(made, written(place))
    assert max(stop - start for start, stop in lazy.asked) <= 18  # a unit and its context


def test_a_lazy_array_goes_into_a_file(place: Path, tmp_path: Path) -> None:
    lazy = Lazy(given(place))
    predict_volume(place / "model", lazy, tmp_path / "v.ome.zarr", voxel_size_nm=SIZE_NM, device="cpu")
    made = io.open_volume(tmp_path / "v.ome.zarr")
    np.testing.assert_array_equal(made.read(0, DEPTH), written(place))
    assert made.voxel_size_nm == SIZE_NM


def test_a_zarr_array(place: Path, tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", data=given(place), chunks=(8, 40, 48))
    np.testing.assert_array_equal(
        predict_volume(place / "model", array, voxel_size_nm=SIZE_NM, device="cpu"), written(place)
    )


def test_several_models_answer_with_prediction_and_uncertainty() -> None:
    one, other = (predictor(model("resnet_1blocks", width=2, norm=norm)) for norm in ("batch", "instance"))
    source = plane(3, 40, 48)
    made = predict_volume(EnsemblePredictor([one, other]), source, voxel_size_nm=SIZE_NM)
    alone = [predict_volume(each, source, voxel_size_nm=SIZE_NM).astype(float) for each in (one, other)]
    assert made.shape == (2, 3, 40, 48)
    np.testing.assert_allclose(made[0], (alone[0] + alone[1]) / 2, atol=1)


def test_super_resolution_is_larger() -> None:
    made = predict_volume(predictor(model("sr_resnet_1blocks", width=2, factor=2)), plane(2, 24, 32))
    assert made.shape == (2, 48, 64)


def test_what_was_not_measured_is_not_predicted(place: Path) -> None:
    source = given(place).astype(np.float32)
    source[:, :10] = np.nan
    made = predict_volume(place / "model", source, voxel_size_nm=SIZE_NM, device="cpu")
    assert (made[:, :10] == made[0, 0, 0]).all()


REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "a plane": (np.zeros((8, 8), np.uint8), {}, InputError, r"\[Z, Y, X\] is needed, the array has shape \(8, 8\)"),
    "nothing": (np.zeros((0, 8, 8), np.uint8), {}, InputError, "has shape"),
    "complex": (np.zeros((2, 8, 8), complex), {}, InputError, "complex128 holds no grey levels"),
    "infinite": (np.full((2, 16, 16), np.inf, np.float32), {}, InputError, "infinite voxels"),
    "a slab": (np.zeros((2, 16, 16), np.uint8), {"slab": (1, 2)}, ConfigError, "need a target"),
    "to be stopped": (np.zeros((2, 16, 16), np.uint8), {"should_stop": lambda: True}, ConfigError, "need a target"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_volume_is_refused(case: str) -> None:
    array, options, kind, words = REFUSED[case]
    with pytest.raises(kind, match=words):
        predict_volume(predictor(model("resnet_1blocks", width=2)), array, **options)
