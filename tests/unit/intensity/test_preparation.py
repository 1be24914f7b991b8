"""TXM slices equalised, stretched or displaced: the same in training and prediction, and only where it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage import exposure
from small_data import make_store, tiny

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PatchesSettings, PredictSettings, load_config, parse_settings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.inference import Predictor, predict_volume
from txm2sem_core.intensity import Preparation
from txm2sem_core.io import PairImages
from txm2sem_core.patches.extract import _displaced
from txm2sem_core.training import train_model


def slices(dtype: type = np.uint16) -> np.ndarray:
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.standard_normal((2, 64, 72)), (0, 3, 3))
    return (20000 + 60000 * field).clip(0, 65535).astype(dtype)


def test_nothing_is_asked_for_and_nothing_is_done() -> None:
    image = slices()
    assert Preparation().apply(image) is image


def test_contrast_stretches_about_each_slices_mean() -> None:
    image = slices()
    found = Preparation(contrast=1.5).apply(image)
    means = image.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, means + 1.5 * (image - means), rtol=1e-4, atol=0.1)


def test_equalisation_is_scikit_image_s_and_keeps_the_scale_and_the_bits() -> None:
    image = slices()
    found = Preparation(equalise=0.02).apply(image)
    plane = image[1].astype(float)
    share = exposure.equalize_adapthist((plane - plane.min()) / np.ptp(plane), clip_limit=0.02)
    np.testing.assert_allclose(found[1], plane.min() + share * np.ptp(plane), rtol=1e-5)
    assert len(np.unique(found[1])) > 1000  # more than 8 bits
    assert Preparation(equalise=0.02).apply(np.full((4, 20, 20), 7, np.uint8)).max() == 7


def test_a_volume_is_prepared_as_the_training_slices_were(tmp_path: Path) -> None:
    store = make_store(tmp_path / "p", train=4, evaluation=1)
    description = io.read_json(tmp_path / "p/store.json")
    description["preparation"] = {"equalise": 0.0, "contrast": 3.0}
    io.write_json(tmp_path / "p/store.json", description)
    settings = tiny("feedforward", optimiser={"learning_rate": 0.02}, schedule={"epochs": 10, "decay_epochs": 0})
    train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    predictor = Predictor(load_model(tmp_path / "m"), PredictSettings(), "cpu")
    assert predictor.preparation == Preparation(contrast=3.0)
    txm = store.pairs["000"].txm
    predict_volume(predictor, io.Volume.of_array(txm), tmp_path / "v.tif")
    expected = predictor.predict_plane(Preparation(contrast=3.0).apply(txm))
    found = io.open_volume(tmp_path / "v.tif").read(0, 1)[0]
    assert np.abs(found - expected.clip(0, 255)).max() <= 0.51
    assert np.abs(found - predictor.predict_plane(txm)).max() > 1


@pytest.mark.parametrize("offset", [(3, -5), (-8, 2), (0, 4)])
def test_an_offset_moves_the_txm_against_all_else(offset: tuple[int, int]) -> None:
    places = np.indices((40, 48))[0] * 100 + np.indices((40, 48))[1]
    images = PairImages(places[None], places, np.ones((40, 48)), places.astype(np.uint8))
    settings = parse_settings(PatchesSettings, "{}", size_px=16, txm={"offset_px": offset})
    moved = _displaced(images, settings)
    assert (moved.txm[0] - moved.sem == offset[0] * 100 + offset[1]).all()
    assert moved.txm.shape[1:] == moved.sem.shape == moved.mask.shape
    assert min(n % 4 for n in moved.sem.shape) == max(n % 4 for n in moved.sem.shape) == 0
    assert (moved.classes == moved.sem.astype(np.uint8)).all()


def test_what_cannot_be_is_reported() -> None:
    images = PairImages(np.zeros((1, 40, 40)), np.zeros((40, 40)), np.ones((40, 40)))
    with pytest.raises(InputError, match=r"offset_px: \[30, 0\] leaves 8 x 40 pixels"):
        _displaced(images, parse_settings(PatchesSettings, "{}", size_px=16, txm={"offset_px": [30, 0]}))
    with pytest.raises(ConfigError, match=r"patches\.txm\.equalise: 0\.01 does not go with variants\.a"):
        load_config({"patches": {"txm": {"equalise": 0.01}}, "variants": {"a": {"family": "srcnn", "factor": 2}}})
