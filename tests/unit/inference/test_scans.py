"""Prediction from several scans of one rock: what the networks are given, and what is refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from two_scans import RANGES, described, filter_model, predictor

from txm2sem_core import io
from txm2sem_core.checkpoint import LoadedModel, save_model
from txm2sem_core.cli import app
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.inference import EnsemblePredictor, Predictor, coherence, predict_volume
from txm2sem_core.inference.ensemble import _check_alike
from txm2sem_core.inference.streaming import prepared_slices, with_context
from txm2sem_core.intensity import IntensityRange, Preparation
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.io.units import Unit
from txm2sem_core.networks import build_generator

FIRST, SECOND, SEM = (IntensityRange(**each) for each in (*RANGES, {"low": 0.0, "high": 255.0}))


def scans(shape: tuple[int, int, int] = (5, 20, 24), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two scans [Z, Y, X] of different types and intensities."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 1000, shape).astype(np.uint16), rng.uniform(-50, 50, shape).astype(np.float32)


def random_predictor(context: int, tile: int = 0) -> Predictor:
    """A network with random weights, of two scans."""
    channels = 2 * (2 * context + 1)
    generator = build_generator("sr_resnet_1blocks", seed=1, in_channels=channels, width=4).eval()
    return predictor(LoadedModel(generator, described("sr_resnet_1blocks", channels)), tile)


@pytest.mark.parametrize("context", [0, 1])
def test_a_network_that_looks_at_the_second_scan_shows_it_by_its_own_range(context: int) -> None:
    first, second = scans()
    predicted = predict_volume(predictor(filter_model(context)), np.stack([first, second]))
    np.testing.assert_allclose(predicted, SEM.from_unit(SECOND.to_unit(second)), atol=1e-3)
    only_first = predict_volume(predictor(filter_model(context, scans=1)), first)
    np.testing.assert_allclose(only_first, SEM.from_unit(FIRST.to_unit(first)), atol=1e-3)


@pytest.mark.parametrize("context", [0, 1])
def test_the_slab_holds_all_slices_of_the_first_scan_then_all_of_the_second(context: int) -> None:
    """Against the network itself, given what the documentation says."""
    first, second = scans()
    model = random_predictor(context)
    predicted = predict_volume(model, io.with_further(io.Volume.of_array(first), [io.Volume.of_array(second)]))
    for z in range(len(first)):
        around = np.clip(np.arange(z - context, z + context + 1), 0, len(first) - 1)
        slab = np.concatenate([FIRST.to_unit(first[around]), SECOND.to_unit(second[around])])
        with torch.no_grad():
            made = model.generator(torch.from_numpy(slab)[None])[0, 0].numpy()
        np.testing.assert_allclose(predicted[z], SEM.from_unit(made), atol=1e-3)


def test_whole_planes_tiles_slabs_and_files_agree(tmp_path: Path) -> None:
    first, second = scans((20, 40, 48))
    for name, scan in (("one.tif", first), ("two.tif", second)):
        io.write_volume_tiff(tmp_path / name, iter(scan), (30, 30, 30), len(scan))
    paths = tmp_path / "one.tif", tmp_path / "two.tif"
    whole = predict_volume(random_predictor(1), paths[0], further=[paths[1]])
    target = tmp_path / "sem.ome.zarr"
    for slab in (2, 1):
        predict_volume(random_predictor(1), paths[0], target, further=[paths[1]], slab=(slab, 2))
    predict_volume(random_predictor(1), paths[0], target, further=[paths[1]], only_finish=True)
    np.testing.assert_array_equal(io.open_volume(target).read(0, 20), whole)
    tiled = predict_volume(random_predictor(1, tile=16), np.stack([first, second]))
    np.testing.assert_allclose(tiled, whole, atol=1e-3)


def test_a_finished_volume_is_kept_only_if_all_its_scans_are_the_same(tmp_path: Path) -> None:
    first, second = scans()
    target, model = tmp_path / "sem.ome.zarr", predictor(filter_model())

    def made(other: np.ndarray) -> int:
        volume = io.with_further(io.Volume.of_array(first), [io.Volume.of_array(other)])
        return predict_volume(model, volume, target, overwrite=False).made

    assert made(second) > 0
    assert made(second.copy()) == 0
    with pytest.raises(InputError, match="overwrite"):
        made(second + 1)


def test_where_one_of_the_scans_was_not_measured_nothing_is_predicted() -> None:
    first, second = scans()
    second[2, :6] = np.nan
    predicted = predict_volume(predictor(filter_model()), np.stack([first.astype(np.float32), second]))
    np.testing.assert_array_equal(np.isnan(predicted), np.isnan(second))


def test_a_given_mask_holds_for_all_scans(tmp_path: Path) -> None:
    first, second = scans()
    mask = np.ones(first.shape[1:], np.uint8)
    mask[:, 16:] = 0
    io.write_tiff(tmp_path / "mask.tif", mask)
    volume = io.with_further(io.Volume.of_array(first), [io.Volume.of_array(second)])
    predicted = predict_volume(predictor(filter_model()), io.with_mask(volume, tmp_path / "mask.tif"))
    assert np.isnan(predicted[:, :, 16:]).all()
    assert np.isfinite(predicted[:, :, :16]).all()


def test_scans_that_are_not_as_many_as_the_model_has_learnt_are_refused() -> None:
    first, second = scans()
    with pytest.raises(InputError, match=r"predicts from 2 TXM scans of the rock, and 1 is given \(array\).*--further"):
        predict_volume(predictor(filter_model()), first)
    two = io.with_further(io.Volume.of_array(first), [io.Volume.of_array(second)])
    with pytest.raises(InputError, match="predicts from 1 TXM scan of the rock, and 2 are given"):
        predict_volume(predictor(filter_model(scans=1)), two)
    with pytest.raises(InputError, match=r"a volume \[Z, Y, X\] is needed"):
        predict_volume(predictor(filter_model(scans=1)), np.stack([first, second]))
    with pytest.raises(InputError, match="predicts from 2 TXM scans of the rock, and 3 are given"):
        predict_volume(predictor(filter_model()), np.stack([first, second, second]))


def test_a_scan_on_another_grid_is_refused_with_both_shapes() -> None:
    first, second = scans()
    with pytest.raises(InputError, match=r"two has the shape \(5, 20, 23\) and one \(5, 20, 24\)"):
        io.with_further(io.Volume.of_array(first, source="one"), [io.Volume.of_array(second[..., 1:], source="two")])


def test_scans_in_the_wrong_order_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = scans()
    swapped = np.stack([second, first.astype(np.float32)])
    predict_volume(predictor(filter_model()), swapped)
    said = capsys.readouterr().err
    assert "of array[1] lie far outside the TXM intensities that the model was trained on (-50 to 50)" in said
    predict_volume(predictor(filter_model()), np.stack([first, second]))
    assert "far outside" not in capsys.readouterr().err


def test_a_description_whose_scans_do_not_fit_its_network_is_refused() -> None:
    loaded = filter_model()
    hostile = {**loaded.description, "further_scans": loaded.description["further_scans"] * 2}
    with pytest.raises(InputError, match="in_channels = 2 does not fit 3 scans"):
        predictor(LoadedModel(loaded.generator, hostile))


def test_an_ensemble_needs_models_of_the_same_scans() -> None:
    two, one = predictor(filter_model()), predictor(filter_model(scans=1))
    first, second = scans()
    both = EnsemblePredictor([two, two])
    mean, spread = predict_volume(both, np.stack([first, second]))
    np.testing.assert_allclose(mean, SEM.from_unit(SECOND.to_unit(second)), atol=1e-3)
    assert not spread.any()
    with pytest.raises(ConfigError, match="must agree in their number of TXM scans"):
        _check_alike(Path("two"), two, Path("one"), one)


@pytest.mark.parametrize("context", [0, 1])
def test_samples_are_held_together_by_slabs_of_all_scans(context: int) -> None:
    """What the noise is fitted by is given to the network as any other slice is."""
    arrays = scans()
    first, second = map(io.Volume.of_array, arrays)
    field = FieldOfView(io.with_further(first, [second]))
    pair = coherence._adjacent(random_predictor(context), field, 2)
    for slab, z in ((pair.here, 2), (pair.there, 3)):
        around = slice(z - context, z + context + 1)
        np.testing.assert_array_equal(slab, np.concatenate([array[around] for array in arrays]))


def test_the_command_takes_further_scans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = scans()
    for name, scan in (("one", first), ("two", second), ("small", second[:, 1:])):
        io.write_volume_tiff(tmp_path / f"{name}.tif", iter(scan), (30, 30, 30), len(scan))
    loaded = filter_model()
    save_model(tmp_path / "model", loaded.generator, loaded.description)
    read = ["--model", str(tmp_path / "model"), "--input", str(tmp_path / "one.tif")]
    output = ["--output", str(tmp_path / "sem.tif")]
    with pytest.raises(InputError, match=r"small.tif has the shape \(5, 19, 24\) and .*one.tif \(5, 20, 24\)"):
        app(["predict", *read, "--further", str(tmp_path / "small.tif"), *output], standalone_mode=False)
    with pytest.raises(InputError, match="predicts from 2 TXM scans"):
        app(["predict", *read, *output], standalone_mode=False)
    app(["predict", *read, "--further", str(tmp_path / "two.tif"), *output], standalone_mode=False)
    predicted = io.open_volume(tmp_path / "sem.tif").read(0, 5)
    np.testing.assert_allclose(predicted, SEM.from_unit(SECOND.to_unit(second)), atol=1e-3)
    assert json.loads((tmp_path / "model" / "model.json").read_text())["further_scans"][0]["range"] == RANGES[1]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_the_reader_gives_is_what_is_in_the_scans(data: st.DataObject) -> None:
    """Any number of scans, of any types, any context and any units: the slab is that of plain indexing."""
    count, context = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 3))
    depth, height, width = (data.draw(st.integers(1, most)) for most in (9, 4, 5))
    types = [data.draw(st.sampled_from([np.uint8, np.uint16, np.int16, np.float32])) for _ in range(count)]
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    arrays = [rng.integers(0, 100, (depth, height, width)).astype(dtype) for dtype in types]
    volumes = [io.Volume.of_array(array) for array in arrays]
    field = FieldOfView(io.with_further(volumes[0], volumes[1:]), guess=False)
    cuts = sorted({0, depth, *(data.draw(st.integers(0, depth)) for _ in range(2))})
    units = [Unit(index, *span) for index, span in enumerate(itertools.pairwise(cuts))]
    slices = prepared_slices(field, units, context, Preparation())
    found = list(with_context(iter(slices), units, context, depth))
    assert [each.z for each in found] == list(range(depth))
    for each in found:
        around = np.clip(np.arange(each.z - context, each.z + context + 1), 0, depth - 1)
        np.testing.assert_array_equal(each.txm, np.concatenate([array[around] for array in arrays]))
        assert each.mask is None
