"""Ensembles and Monte-Carlo dropout: against numpy, reproducible, in the OME-Zarr and as TIFF, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from sequential_networks import randomise
from small_data import VOXEL_SIZE_NM, make_store
from torch import nn

from txm2sem_core import io
from txm2sem_core.checkpoint import save_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.inference import (
    EnsemblePredictor,
    Predictor,
    load_ensemble,
    mean_and_deviation,
    predict_test_with_uncertainty,
    predict_volume_with_uncertainty,
    read_calibration,
)
from txm2sem_core.intensity import deviation_to_dtype
from txm2sem_core.io import Volume
from txm2sem_core.measure.uncertainty import measure_uncertainty, summarise_uncertainty
from txm2sem_core.metrics import Calibration, fit_calibration
from txm2sem_core.networks import build_generator, has_dropout, inference
from txm2sem_core.report.warnings import gaps_of

RANGE = {"low": 0.0, "high": 200.0}


def saved(folder: Path, seed: int = 0, *, mode: str = "evaluation", sem_dtype: str = "uint8", **options: Any) -> Path:
    """A model folder of random weights."""
    arguments = {"name": "resnet_1blocks", "width": 8, **options}
    generator = build_generator(seed=seed, **arguments)
    randomise(generator, seed=seed)
    description = {
        "generator": arguments,
        "normalisation": {"txm": RANGE, "sem": RANGE},
        "sem_dtype": sem_dtype,
        "inference_mode": mode,
    }
    save_model(folder, generator, description)
    return folder


def ensemble(folder: Path, count: int = 3, **options: Any) -> EnsemblePredictor:
    paths = [saved(folder / f"m{seed}", seed, **options) for seed in range(count)]
    return load_ensemble(paths, PredictSettings(), "cpu")


def dropping(folder: Path, samples: int = 4, seed: int = 0, tile: int = 0, **options: Any) -> EnsemblePredictor:
    path = saved(folder / "dropping", dropout=True, **options)
    return load_ensemble([path], PredictSettings(tile_px=tile), "cpu", samples, seed)


def source(*shape: int, seed: int = 0) -> Volume:
    voxels = np.random.default_rng(seed).uniform(0, 200, shape).astype(np.float32)
    return Volume.of_array(voxels, VOXEL_SIZE_NM)


# --- mean and spread


@pytest.mark.parametrize("count", [2, 3, 17])
def test_mean_and_deviation_are_numpys(count: int) -> None:
    images = np.random.default_rng(0).normal(1000, 3, (count, 20, 30)).astype(np.float32)
    mean, spread = mean_and_deviation(iter(images))
    np.testing.assert_allclose(mean, images.astype(float).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(spread, images.astype(float).std(axis=0, ddof=1), rtol=1e-5)
    assert mean.dtype == spread.dtype == np.float32


def test_an_ensemble_is_the_mean_and_spread_of_its_models(tmp_path: Path) -> None:
    several = ensemble(tmp_path)
    txm = source(1, 40, 44).read(0, 1)
    alone = np.stack([member.predict_plane(txm) for member in several.members])
    assert alone.std(axis=0).mean() > 1
    mean, spread = several.predict_plane(txm)
    np.testing.assert_allclose(mean, alone.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(spread, alone.std(axis=0, ddof=1), rtol=1e-4, atol=1e-4)


def test_networks_may_differ_as_long_as_they_predict_the_same(tmp_path: Path) -> None:
    paths = [saved(tmp_path / "a"), saved(tmp_path / "b", name="unet_32", width=2)]
    mean, _ = load_ensemble(paths, PredictSettings(), "cpu").predict_plane(source(1, 33, 40).read(0, 1))
    assert mean.shape == (33, 40)


# --- dropout


def test_dropout_leaves_batch_norm_in_evaluation_and_the_network_as_it_was() -> None:
    generator = build_generator("resnet_1blocks", width=4, dropout=True, seed=0).eval()
    with inference(generator, "dropout"):
        active = {type(layer) for layer in generator.modules() if layer.training}
        assert active == {nn.Dropout}
    assert not any(layer.training for layer in generator.modules())


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(tmp_path: Path) -> None:
    volume = source(3, 24, 28)
    written = {}
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        torch.rand(7)  # what was drawn before does not matter
        predict_volume_with_uncertainty(dropping(tmp_path, seed=seed), volume, tmp_path / name / "v.ome.zarr")
        files = [file for file in sorted((tmp_path / name).rglob("*")) if file.is_file()]
        written[name] = {str(file.relative_to(tmp_path / name)): file.read_bytes() for file in files}
    assert written["one"] == written["same"]
    assert written["one"] != written["other"]


def test_dropout_is_one_thinned_network_for_the_whole_volume(tmp_path: Path) -> None:
    """Equal slices get equal predictions: passes bring no jitter along z."""
    several = dropping(tmp_path)
    plane = source(1, 24, 28).read(0, 1)
    first, second = several.predict_plane(plane), several.predict_plane(plane)
    np.testing.assert_array_equal(first, second)
    assert first[1].mean() > 0.1


def test_more_passes_come_closer_to_the_mean(tmp_path: Path) -> None:
    plane = source(1, 24, 28).read(0, 1)
    limit = dropping(tmp_path, samples=200, seed=9).predict_plane(plane)[0]
    few, many = (np.abs(dropping(tmp_path, samples=n).predict_plane(plane)[0] - limit).mean() for n in (2, 50))
    assert many < few / 2


def test_which_networks_have_dropout() -> None:
    assert has_dropout(build_generator("resnet_1blocks", width=2, dropout=True))
    assert not has_dropout(build_generator("resnet_1blocks", width=2, dropout=False))
    assert not has_dropout(build_generator("unet_32", width=2, dropout=True))  # too flat: it drops from level 4 on


# --- volumes


def test_an_ome_zarr_holds_prediction_and_uncertainty_as_channels(tmp_path: Path) -> None:
    several, volume = ensemble(tmp_path), source(19, 30, 34)
    predict_volume_with_uncertainty(several, volume, tmp_path / "v.ome.zarr")
    group = zarr.open_group(tmp_path / "v.ome.zarr", mode="r")
    ome: Any = group.attrs["ome"]
    assert [axis["name"] for axis in ome["multiscales"][0]["axes"]] == ["c", "z", "y", "x"]
    assert [channel["label"] for channel in ome["omero"]["channels"]] == ["prediction", "uncertainty"]
    described: Any = group.attrs["txm2sem"]
    assert described["uncertainty"]["models"] == 3
    assert described["uncertainty"]["calibration"] is None
    prediction, uncertainty = (io.open_volume(tmp_path / "v.ome.zarr", channel) for channel in (0, 1))
    assert prediction.shape == uncertainty.shape == (19, 30, 34)
    assert prediction.dtype == np.uint8
    assert prediction.voxel_size_nm == VOXEL_SIZE_NM
    for z in (0, 18):
        mean, spread = several.predict_plane(volume.read(z, z + 1))
        np.testing.assert_array_equal(prediction.read(z, z + 1)[0], np.rint(mean).clip(0, 255))
        np.testing.assert_array_equal(uncertainty.read(z, z + 1)[0], np.rint(spread).clip(1, 255))


def test_a_calibrated_uncertainty_stands_before_the_spread_it_was_made_of(tmp_path: Path) -> None:
    several, volume = ensemble(tmp_path, sem_dtype="float32"), source(2, 24, 28)
    calibration = Calibration(1.5, 6.0)
    predict_volume_with_uncertainty(several, volume, tmp_path / "v.ome.zarr", calibration=calibration)
    group = zarr.open_group(tmp_path / "v.ome.zarr", mode="r")
    ome: Any = group.attrs["ome"]
    described: Any = group.attrs["txm2sem"]
    assert [channel["label"] for channel in ome["omero"]["channels"]] == ["prediction", "uncertainty", "spread"]
    assert described["uncertainty"]["calibration"] == {"scale": 1.5, "floor": 6.0}
    uncertainty, spread = (io.open_volume(tmp_path / "v.ome.zarr", channel).read(0, 2) for channel in (1, 2))
    np.testing.assert_allclose(uncertainty, np.sqrt((1.5 * spread) ** 2 + 36), rtol=1e-5)


def test_a_tiff_has_the_uncertainty_beside_it(tmp_path: Path) -> None:
    several, volume = ensemble(tmp_path), source(3, 24, 28)
    predict_volume_with_uncertainty(several, volume, tmp_path / "v.ome.zarr")
    predict_volume_with_uncertainty(several, volume, tmp_path / "v.tif")
    for channel, name in enumerate(("v.tif", "v_uncertainty.tif")):
        as_tiff, as_zarr = io.open_volume(tmp_path / name), io.open_volume(tmp_path / "v.ome.zarr", channel)
        assert as_tiff.voxel_size_nm == VOXEL_SIZE_NM
        np.testing.assert_array_equal(as_tiff.read(0, 3), as_zarr.read(0, 3))


@pytest.mark.parametrize("name", ["v.ome.zarr", "v.tif"])
def test_a_source_that_breaks_in_the_middle_leaves_nothing(tmp_path: Path, name: str) -> None:
    def read(z0: int, z1: int) -> np.ndarray:
        if z0 <= 2 < z1:
            raise InputError("slice 2 is broken")
        return np.full((z1 - z0, 24, 24), 100, np.float32)

    broken = Volume((3, 24, 24), np.dtype(np.float32), None, "source", read)
    several = ensemble(tmp_path / "models", 2)
    with pytest.raises(InputError, match="slice 2"):
        predict_volume_with_uncertainty(several, broken, tmp_path / "out" / name)
    assert list((tmp_path / "out").glob("*")) == []


def test_a_small_deviation_does_not_read_as_none() -> None:
    deviation = np.array([0.0, 1e-6, 0.4, 0.6, 1.4, 1.6, 300.0], np.float32)
    rounded, clipped = deviation_to_dtype(deviation, np.uint8)
    assert rounded.tolist() == [0, 1, 1, 1, 1, 2, 255]
    assert clipped == 1
    np.testing.assert_array_equal(deviation_to_dtype(deviation, np.float32)[0], deviation)


def test_a_txm_of_several_channels_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    several, volume = ensemble(tmp_path), source(2, 24, 28)
    predict_volume_with_uncertainty(several, volume, tmp_path / "v.ome.zarr")
    predict_volume_with_uncertainty(several, io.open_volume(tmp_path / "v.ome.zarr"), tmp_path / "again.tif")
    assert "has 2 channels; the first is taken" in capsys.readouterr().err


# --- test patches and calibration


def test_test_patches_with_their_spread_and_a_calibration_of_the_validation_patches(tmp_path: Path) -> None:
    store = make_store(tmp_path / "p", evaluation=4)
    several = ensemble(tmp_path)
    predict_test_with_uncertainty(several, tmp_path / "p", tmp_path / "out", name="test")
    mean, spread = (io.open_volume(tmp_path / "out" / name).read(0, 4) for name in ("patches.tif", "spread.tif"))
    row = store.of_split("test").to_dict("records")[2]
    expected = several.predict_patches(store.txm_patch(row["pair"], row["y"], row["x"], 0)[None])
    np.testing.assert_array_equal((mean[2], spread[2]), (expected[0][0], expected[1][0]))
    assert [file.stem for file in io.list_images(tmp_path / "out/slices")] == [row["pair"]]

    errors, spreads = [], []
    for place in store.of_split("validation")[["pair", "y", "x"]].itertuples(index=False):
        own_mean, own_spread = (image[0] for image in several.predict_patches(store.txm_patch(*place, 0)[None]))
        usable = store.mask_patch(*place)
        errors.append((own_mean - store.sem_patch(*place))[usable])
        spreads.append(own_spread[usable])
    fitted = fit_calibration(np.concatenate(errors), np.concatenate(spreads))
    found = read_calibration(tmp_path / "out/calibration.json")
    assert (found.scale, found.floor) == pytest.approx((fitted.scale, fitted.floor), rel=1e-3)
    described = json.loads((tmp_path / "out/calibration.json").read_text())
    assert described["validation"] == {"patches": 4, "pixels": sum(e.size for e in errors)}


def test_validation_patches_that_allow_no_calibration_cost_no_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(tmp_path / "p")
    for row in store.of_split("validation").to_dict("records"):
        store.pairs[row["pair"]].mask[:] = 0
    io.write_patch_store(tmp_path / "p", store)
    several = ensemble(tmp_path)
    predict_test_with_uncertainty(several, tmp_path / "p", tmp_path / "out", name="run")
    written = io.read_json(tmp_path / "out/calibration.json")
    assert (written["scale"], written["floor"]) == (1, 0)
    assert "there is no error to calibrate" in written["not_measured"]["calibration"]
    assert "predict-test run: warning: calibration not measured" in capsys.readouterr().err
    measure_uncertainty(
        tmp_path / "out", tmp_path / "p", None, None, tmp_path / "uncertainty.csv", tmp_path / "reliability.csv"
    )
    summarise_uncertainty([("net", "ensemble")], [tmp_path / "uncertainty.csv"], tmp_path / "all/uncertainty.csv")
    table = io.read_csv(tmp_path / "all/uncertainty.csv")
    assert table["of"].tolist() == ["test patches", "calibration"]
    assert table["within_1"].notna().tolist() == [True, False]
    (warning,) = gaps_of(tmp_path / "all", ["uncertainty.csv"])
    assert "no error to calibrate" in warning
    calibration = read_calibration(tmp_path / "out/calibration.json", several)
    predict_volume_with_uncertainty(several, source(2, 24, 24), tmp_path / "v.ome.zarr", calibration=calibration)
    (warning,) = io.read_json(tmp_path / "v.ome.zarr/zarr.json")["attributes"]["txm2sem"]["warnings"]
    assert "could not be calibrated" in warning
    uncertainty, spread = (io.open_volume(tmp_path / "v.ome.zarr", channel).read(0, 2) for channel in (1, 2))
    np.testing.assert_array_equal(uncertainty, spread)


def test_what_is_no_calibration(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"scale": 1}')
    with pytest.raises(InputError, match=r"c\.json: this is not a calibration"):
        read_calibration(tmp_path / "c.json")


# --- what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "sr_resnet_1blocks", "factor": 2}, "factor, but this one has 2"),
        ({"in_channels": 3}, "context, but this one has 1"),
        ({"sem_dtype": "uint16"}, "SEM dtype, but this one has uint16"),
    ],
)
def test_models_that_do_not_predict_the_same_are_no_ensemble(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    paths = [saved(tmp_path / "a"), saved(tmp_path / "b", **options)]
    with pytest.raises(ConfigError, match=words) as caught:
        load_ensemble(paths, PredictSettings(), "cpu")
    assert str(paths[1]) in str(caught.value)


def test_other_intensity_ranges_are_no_ensemble(tmp_path: Path) -> None:
    paths = [saved(tmp_path / "a"), saved(tmp_path / "b")]
    description = json.loads((paths[1] / "model.json").read_text())
    description["normalisation"]["sem"]["high"] = 100.0
    (paths[1] / "model.json").write_text(json.dumps(description))
    with pytest.raises(ConfigError, match="SEM intensity range"):
        load_ensemble(paths, PredictSettings(), "cpu")


def test_one_pass_the_same_model_twice_and_no_dropout_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a")
    for models, samples, words in (
        ([path], 1, "one pass has no spread"),
        ([path, tmp_path / "x" / ".." / "a"], 0, "given twice"),
        ([path], 4, "needs a network with dropout"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_ensemble(models, PredictSettings(), "cpu", samples)


def test_members_may_have_dropout_at_test_time_by_their_own_mode(tmp_path: Path) -> None:
    """`batch_statistics` stays what the model was trained for, also where dropout is asked for."""
    several = dropping(tmp_path, mode="batch_statistics")
    assert isinstance(several.members[0], Predictor)
    assert several.members[0].mode == "batch_statistics"
    assert several.predict_plane(source(1, 24, 28).read(0, 1))[1].mean() > 0.1
