"""Volumes in OME-Zarr 0.4 and 0.5: the same voxels, marks and pyramid, each as its specification has it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import model, plane

from txm2sem_core import io
from txm2sem_core.config import PredictSettings
from txm2sem_core.costs.disk import volume_files
from txm2sem_core.errors import InputError
from txm2sem_core.inference import Predictor, predict_volume
from txm2sem_core.io.coarse import coarsest_level
from txm2sem_core.io.ownership import first_foreign
from txm2sem_core.io.results import check_results
from txm2sem_core.io.zarr_levels import Version

VERSIONS: tuple[Version, ...] = ("0.4", "0.5")
SIZE_NM = (40.0, 20.0, 10.0)
SHAPE = (19, 300, 280)
CHANNELS = (io.Channel("prediction"), io.Channel("uncertainty", from_zero=True))


def voxels(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 60000, shape).astype(np.uint16)


def written(path: Path, version: Version, array: np.ndarray, channels: Any = ()) -> Path:
    planes = iter(array.swapaxes(0, 1)) if channels else iter(array)
    io.write_ome_zarr(path, planes, array.shape[-3:], array.dtype, SIZE_NM, {"txm2sem": {"a": 1}}, channels, version)
    return path


@pytest.fixture(params=VERSIONS)
def volume(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path / "v.ome.zarr", request.param, voxels())


def test_voxels_sizes_marks_and_levels_come_back(volume: Path) -> None:
    opened = io.open_volume(volume)
    assert (opened.shape, opened.dtype, opened.voxel_size_nm) == (SHAPE, np.uint16, SIZE_NM)
    np.testing.assert_array_equal(opened.read(0, 19), voxels())
    assert io.read_marks(volume) == {"a": 1}
    assert first_foreign(volume) is None
    level = coarsest_level(opened, volume, 0, 2, (100, 100))
    assert level.factor == 2
    assert level.volume.shape == (10, 150, 140)


def test_both_have_the_same_voxels_on_every_level(tmp_path: Path) -> None:
    first, second = (zarr.open_group(written(tmp_path / f"{v}.ome.zarr", v, voxels()), mode="r") for v in VERSIONS)
    for level in ("0", "1"):
        np.testing.assert_array_equal(np.asarray(first[level]), np.asarray(second[level]))


def test_0_4_is_zarr_2_without_shards_and_its_metadata_stand_at_the_top(tmp_path: Path) -> None:
    path = written(tmp_path / "v.ome.zarr", "0.4", np.stack([voxels(), voxels()]), CHANNELS)
    assert json.loads((path / ".zgroup").read_text()) == {"zarr_format": 2}
    assert not list(path.rglob("zarr.json"))
    array = json.loads((path / "0" / ".zarray").read_text())
    assert array["chunks"] == [1, 16, 256, 256]
    assert array["dimension_separator"] == "/"
    assert array["compressor"]["id"] == "blosc"
    assert array["filters"] is None
    attributes = json.loads((path / ".zattrs").read_text())
    (multiscale,) = attributes["multiscales"]
    assert multiscale["version"] == "0.4"
    assert [axis["name"] for axis in multiscale["axes"]] == ["c", "z", "y", "x"]
    assert multiscale["datasets"][1]["coordinateTransformations"][0]["scale"] == [1.0, 80.0, 40.0, 20.0]
    assert [channel["label"] for channel in attributes["omero"]["channels"]] == ["prediction", "uncertainty"]
    assert "ome" not in attributes


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(VERSIONS), st.integers(1, 35), st.integers(1, 9), st.integers(1, 9))
def test_volumes_of_any_shape_come_back(
    tmp_path_factory: pytest.TempPathFactory, version: Version, depth: int, height: int, width: int
) -> None:
    array = voxels((depth, height, width))
    path = written(tmp_path_factory.mktemp("zarr") / "v.ome.zarr", version, array)
    np.testing.assert_array_equal(io.open_volume(path).read(0, depth), array)


def test_a_file_that_is_gone_is_not_read_as_zeros(volume: Path) -> None:
    next(file for file in sorted((volume / "0").rglob("*")) if file.is_file() and file.name == "0").unlink()
    with pytest.raises(InputError, match=r"its (shard|chunk) 0/.* is missing"):
        io.open_volume(volume)


@pytest.mark.parametrize("version", VERSIONS)
def test_black_is_written_like_any_other_grey(tmp_path: Path, version: Version) -> None:
    """zarr leaves out what is empty unless it is told, and then a whole volume looked like one with files missing."""
    array = voxels((20, 32, 32))
    array[:16] = 0
    np.testing.assert_array_equal(io.open_volume(written(tmp_path / "v.ome.zarr", version, array)).read(0, 20), array)


def test_what_is_not_ours_in_it_is_seen(volume: Path, tmp_path: Path) -> None:
    (volume / "0" / "notes.txt").write_text("mine")
    assert first_foreign(volume) == volume / "0" / "notes.txt"
    results = tmp_path / "results"
    (results / "rock" / "volumes").mkdir(parents=True)
    (results / ".txm2sem-results").touch()
    shutil.move(volume, results / "rock" / "volumes" / "sem.ome.zarr")
    with pytest.raises(InputError, match=r"notes\.txt"):
        check_results(results, ["rock"])
    (results / "rock" / "volumes" / "sem.ome.zarr" / "0" / "notes.txt").unlink()
    check_results(results, ["rock"])


@pytest.mark.parametrize("channels", [(), CHANNELS])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_number_of_files_is_the_forecast_one(tmp_path: Path, version: Version, channels: Any) -> None:
    array = np.stack([voxels(), voxels()]) if channels else voxels()
    path = written(tmp_path / "v.ome.zarr", version, array, channels)
    found = [file for file in path.rglob("*") if file.is_file()]
    shards = volume_files(SHAPE, version, max(1, len(channels)))
    assert len(found) == shards


# --- predictions


def predicted(folder: Path, version: Version, **more: Any) -> Path:
    loaded = model("resnet_1blocks", width=2)
    chosen = Predictor(loaded, PredictSettings(ome_zarr=version), "cpu")
    source = io.Volume.of_array(plane(18, 40, 48), SIZE_NM)
    predict_volume(chosen, source, folder / "v.ome.zarr", **more)
    return folder / "v.ome.zarr"


def test_a_prediction_in_either_version_has_the_same_voxels(tmp_path: Path) -> None:
    first, second = (io.open_volume(predicted(tmp_path / version, version)) for version in VERSIONS)
    np.testing.assert_array_equal(first.read(0, 18), second.read(0, 18))
    assert first.voxel_size_nm == second.voxel_size_nm == SIZE_NM
    assert (tmp_path / "0.4/v.ome.zarr/.zgroup").exists()


def test_the_same_prediction_in_another_version_is_made_again_and_in_the_same_one_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted(tmp_path, "0.5")
    predicted(tmp_path, "0.4")
    assert (tmp_path / "v.ome.zarr/.zgroup").exists()
    assert not (tmp_path / "v.ome.zarr/zarr.json").exists()
    predicted(tmp_path, "0.4", overwrite=False)
    assert "is there already, of the same model and input" in capsys.readouterr().err
    with pytest.raises(InputError, match="overwrite"):
        predicted(tmp_path, "0.5", overwrite=False)


def test_one_that_was_stopped_goes_on(tmp_path: Path) -> None:
    whole = io.open_volume(predicted(tmp_path / "whole", "0.4")).read(0, 18)
    seen: list[int] = []

    def stop() -> bool:
        seen.append(1)
        return len(seen) > 17

    predicted(tmp_path, "0.4", should_stop=stop)
    assert not (tmp_path / "v.ome.zarr").exists()
    np.testing.assert_array_equal(io.open_volume(predicted(tmp_path, "0.4")).read(0, 18), whole)


def test_a_tiff_is_the_same_whatever_the_version(tmp_path: Path) -> None:
    source = io.Volume.of_array(plane(3, 40, 48), SIZE_NM)
    for version in VERSIONS:
        chosen = Predictor(model("resnet_1blocks", width=2), PredictSettings(ome_zarr=version), "cpu")
        predict_volume(chosen, source, tmp_path / f"{version}.tif")
    assert (tmp_path / "0.4.tif").read_bytes() == (tmp_path / "0.5.tif").read_bytes()
