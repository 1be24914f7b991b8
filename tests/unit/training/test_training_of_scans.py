"""Training on several scans of one rock: what each family is given, and what its model says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import make_store, tiny
from training_cases import batch_of, settings_of

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.config.families import built_in
from txm2sem_core.costs.networks import network_cost
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.export.portable import portable
from txm2sem_core.families import family_of, family_of_model
from txm2sem_core.inference import Predictor, predict_test
from txm2sem_core.intensity import IntensityRange, ScanRanges
from txm2sem_core.training import train_model
from txm2sem_core.training.batches import epoch_batches

# side tasks see one slice
CASES = [
    (name, context)
    for name, rules in built_in().items()
    for context in (0, 1)
    if rules.trained and not rules.enlarges and (not context or rules.translates)
]
SECOND = IntensityRange(-3.0, 5.0)


def store_of_two(folder: Path, context: int = 0) -> io.PatchStore:
    """The small store with a second scan of noise, 32 bits."""
    store = make_store(folder / "one", context=context, pair_every=3)
    rng = np.random.default_rng(0)
    pairs = {
        name: replace(pair, further=(rng.normal(1, 2, pair.txm.shape).astype(np.float32),))
        for name, pair in store.pairs.items()
        if isinstance(pair, io.PairImages)
    }
    io.write_patch_store(folder / "two", replace(store, pairs=pairs, further_ranges=(SECOND,)))
    return io.read_patch_store(folder / "two").in_memory()


@pytest.mark.parametrize(("family", "context"), CASES)
def test_every_family_takes_a_step_with_all_scans(family: str, context: int) -> None:
    settings = settings_of(family, context=context)
    made = family_of(settings, 2)
    assert made.in_channels == 2 * (2 * context + 1) + made.extra_channels
    batch, slices = batch_of(settings), 2 * context + 1
    given = torch.cat([batch.txm[:, :slices], batch.txm], dim=1)  # the first scan's slices, and those of the second
    learner = made.learner(0, torch.device("cpu"))
    terms = learner.step(replace(batch, txm=given))
    assert all(torch.isfinite(term).all() for term in terms.values())


def test_what_sees_one_image_is_given_the_first_scan() -> None:
    assert family_of(settings_of("baseline", "pointwise"), 3).in_channels == 1
    assert family_of(settings_of("segmentation", segment_from="sem"), 3).in_channels == 1
    assert family_of(settings_of("segmentation"), 3).in_channels == 3


def test_a_batch_maps_each_scan_by_its_own_range(tmp_path: Path) -> None:
    store = store_of_two(tmp_path, context=1)
    settings = tiny("feedforward", context=1).model_copy(update={"flips": False, "turns": False})
    batch = next(epoch_batches(store, settings, 0, 0))
    alone = next(epoch_batches(store.of_scans(1), settings, 0, 0))
    assert batch.txm.shape[1] == 6
    torch.testing.assert_close(batch.txm[:, :3], alone.txm, rtol=0, atol=1e-6)
    assert batch.txm[:, 3:].mean().abs() < 0.05  # of noise about the middle of its range
    assert float(batch.txm[:, 3:].std()) == pytest.approx(2 / 4, rel=0.05)


def test_ranges_of_scans_are_inverse_to_grey_levels_of_the_first() -> None:
    ranges = ScanRanges(0.0, 10.0, (SECOND,))
    slab = np.array([[[0.0]], [[10.0]], [[-3.0]], [[5.0]]], dtype=np.float32)
    np.testing.assert_array_equal(ranges.to_unit(slab).ravel(), [-1, 1, -1, 1])
    np.testing.assert_array_equal(ranges.to_unit(np.stack([slab, slab]))[1].ravel(), [-1, 1, -1, 1])
    np.testing.assert_array_equal(ranges.from_unit(np.array([-1.0, 1.0])), [0, 10])


@pytest.mark.parametrize("family", ["feedforward", "flow"])
def test_a_model_says_the_range_of_each_scan_and_predicts_from_both(tmp_path: Path, family: str) -> None:
    """Of flow 2 s: it fits its samples to the training patches."""
    store_of_two(tmp_path, context=1)
    generator = {"name": "residual_unet"} if family == "flow" else {}
    train_model(tmp_path / "two", tiny(family, context=1, generator=generator), 0, tmp_path / "model", device="cpu")
    loaded = load_model(tmp_path / "model")
    (second,) = loaded.description["further_scans"]
    assert second["range"] == {"low": -3.0, "high": 5.0}
    assert second["dtype"] == "float32"
    assert family_of_model(loaded.description).scans == 2
    predictor = Predictor(loaded, PredictSettings(), "cpu")
    assert (predictor.scans, predictor.context) == (2, 1)
    predict_test(predictor, tmp_path / "two", tmp_path / "predicted")
    with pytest.raises(InputError, match="the patches are of 1 TXM scan, but the model predicts from 2"):
        predict_test(predictor, tmp_path / "one", tmp_path / "predicted")
    with pytest.raises(ConfigError, match="it predicts from several TXM scans"):
        portable(tmp_path / "model")


def test_a_baseline_is_the_same_with_a_second_scan_beside_the_first(tmp_path: Path) -> None:
    """All files but what names the patches."""
    store_of_two(tmp_path)
    settings = tiny("baseline", generator={"name": "pointwise"})
    for name in ("one", "two"):
        train_model(tmp_path / name, settings, 0, tmp_path / f"model_{name}", device="cpu")
    one, two = (load_model(tmp_path / f"model_{name}").description for name in ("one", "two"))
    assert "further_scans" not in two
    assert {key for key in one if one[key] != two[key]} == {"patches_sha256"}
    predict_test(
        Predictor(load_model(tmp_path / "model_two"), PredictSettings(), "cpu"), tmp_path / "two", tmp_path / "p"
    )


def test_a_penalty_that_compares_slices_of_one_scan_is_refused(tmp_path: Path) -> None:
    store_of_two(tmp_path)
    settings = tiny("feedforward", z_penalty={"stack": 0.1})
    with pytest.raises(ConfigError, match=r"z_penalty.stack: .* but the patches hold 2"):
        train_model(tmp_path / "two", settings, 0, tmp_path / "model", device="cpu", volume=tmp_path / "two")


def test_two_scans_cost_a_little_more_than_one() -> None:
    settings = settings_of("feedforward")
    one, two = (network_cost(settings, 64, scans) for scans in (1, 2))
    assert one.step_flops < two.step_flops < 1.5 * one.step_flops
