"""Repair and segmentation: what stays untouched, what is learnt, what is repeatable, and what is reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import make_store, tiny

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import MeasureSettings, PredictSettings, TrainSettings, load_config
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families.losses import class_loss
from txm2sem_core.families.repair import DamageBank, composed, repair_input
from txm2sem_core.inference import (
    Predictor,
    load_ensemble,
    predict_test,
    predict_volume,
    repair_files,
    repair_plane,
)
from txm2sem_core.io import PatchStore, read_patch_store, write_patch_store
from txm2sem_core.measure.side_tasks import measure_repair, measure_segmentation
from txm2sem_core.metrics import psnr
from txm2sem_core.metrics.damage import interpolated, scores_under
from txm2sem_core.metrics.density import class_image
from txm2sem_core.training import train_model

torch.set_num_threads(1)


def repair(**values: object) -> TrainSettings:
    generator = {"name": "resnet_1blocks", "width": 4}
    return tiny("repair", **{"damage": (0.05, 0.5), "pixel_weight": 10.0, "generator": generator, **values})


def segmentation(**values: object) -> TrainSettings:
    return tiny("segmentation", **{"generator": {"name": "resnet_1blocks", "width": 8}, **values})


def charged_store(folder: Path, dtype: type = np.uint8, train: int = 12) -> PatchStore:
    """Each slice is charged in a corner."""
    store = make_store(folder, dtype=dtype, train=train)
    pairs = {}
    for name, images in store.pairs.items():
        mask = np.ones_like(images.mask)
        mask[50:70, 55:75] = 0
        classes = class_image((images.sem < 60).astype(np.uint8), (images.sem > 150).astype(np.uint8))
        pairs[name] = replace(images, mask=mask, classes=classes)
    store = replace(store, pairs=pairs)
    write_patch_store(folder, store)
    return read_patch_store(folder).in_memory()


def trained(folder: Path, settings: TrainSettings, **options: object) -> Path:
    charged_store(folder / "p", **options)  # type: ignore[arg-type]
    train_model(folder / "p", settings, 0, folder / "m", device="cpu")
    return folder / "m"


# --- what the network is given, and what becomes of its output


def test_the_damage_is_white_to_the_network_and_what_was_there_cannot_be_seen() -> None:
    rng = torch.Generator().manual_seed(0)
    txm, sem = (torch.rand((2, 1, 8, 8), generator=rng) for _ in range(2))
    mask = torch.zeros((2, 1, 8, 8), dtype=torch.bool)
    mask[:, :, 2:4] = True
    given = repair_input(txm, sem, mask)
    other = torch.where(mask, torch.rand((2, 1, 8, 8), generator=rng), sem)
    assert given.shape == (2, 3, 8, 8)
    assert torch.equal(given, repair_input(txm, other, mask))
    assert torch.equal(given[:, 1:2][mask], torch.ones(int(mask.sum())))
    result = composed(torch.full((2, 1, 8, 8), 7.0), given)
    assert torch.equal(result[~mask], sem[~mask])
    assert (result[mask] == 7).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_repaired_slice_is_the_same_bit_for_bit_outside_the_mask(tmp_path: Path, dtype: type) -> None:
    model = load_model(trained(tmp_path, repair(), dtype=dtype))
    repairer = Predictor(model, PredictSettings(), "cpu")
    rng = np.random.default_rng(0)
    txm, sem = (rng.integers(0, np.iinfo(dtype).max, (40, 44)).astype(dtype) for _ in range(2))
    mask = rng.random((40, 44)) < 0.3
    repaired, _ = repair_plane(repairer, txm, sem, mask)
    assert repaired.dtype == dtype
    assert (repaired[~mask] == sem[~mask]).all()
    assert (repaired[mask] != sem[mask]).mean() > 0.5
    other = np.where(mask, 0, sem).astype(dtype)
    assert (repair_plane(repairer, txm, other, mask)[0] == repaired).all()


def test_files_are_repaired_with_their_pixel_size(tmp_path: Path) -> None:
    repairer = Predictor(load_model(trained(tmp_path, repair())), PredictSettings(), "cpu")
    rng = np.random.default_rng(0)
    images = {name: rng.integers(1, 255, (40, 40)).astype(np.uint8) for name in ("t", "s")}
    mask = np.zeros((40, 40), np.uint8)
    mask[5:9, 7:20] = 255
    for name, image in (images | {"m": mask}).items():
        io.write_tiff(tmp_path / f"{name}.tif", image, (None, 20.0, 10.0))
    files = [tmp_path / f"{name}.tif" for name in "tsm"]
    repair_files(repairer, *files, tmp_path / "o.tif")
    found = io.read_image(tmp_path / "o.tif")
    assert ((found == images["s"]) | (mask > 0)).all()
    assert io.read_voxel_size_nm(tmp_path / "o.tif") == io.read_voxel_size_nm(tmp_path / "s.tif")
    io.write_tiff(tmp_path / "small.tif", mask[:30], None)
    with pytest.raises(InputError, match=r"small\.tif: \(30, 40\) .* has \(40, 40\)"):
        repair_files(repairer, *files[:2], tmp_path / "small.tif", tmp_path / "o2.tif")
    assert not (tmp_path / "o2.tif").exists()


@pytest.mark.parametrize("mask_given", [True, False])
def test_what_was_not_measured_is_no_damage_and_is_not_repaired(tmp_path: Path, mask_given: bool) -> None:
    model = load_model(trained(tmp_path, repair()))
    store = read_patch_store(tmp_path / "p").in_memory()
    pairs, real = {}, np.zeros((72, 80), bool)
    real[50:60, 40:50] = True
    for name, images in store.pairs.items():
        y, x = np.mgrid[:72, :80]
        outside = np.hypot((y - 35.5) / 36, (x - 39.5) / 40) > 1
        sem = np.where(outside, 0, images.sem).astype(np.uint8)
        mask = np.where(outside | real, 0, 1).astype(np.uint8)
        pairs[name] = replace(images, sem=sem, mask=mask, charge=real.astype(np.uint8) if mask_given else None)
    write_patch_store(tmp_path / "q", replace(store, pairs=pairs))
    bank = DamageBank(read_patch_store(tmp_path / "q"), (0.02, 0.5))
    assert all(damage.sum() <= real.sum() for damage in bank.for_evaluation(20))
    repairer = Predictor(model, PredictSettings(), "cpu")
    predict_test(repairer, tmp_path / "q", tmp_path / "out")
    (path,) = (tmp_path / "out/slices").glob("*.tif")
    repaired = io.read_image(path)
    assert (repaired[~real] == pairs[path.stem].sem[~real]).all()
    assert (repaired[real] != pairs[path.stem].sem[real]).any()


def test_a_slice_without_charge_within_a_circle_has_no_damage_to_learn_from(tmp_path: Path) -> None:
    store = charged_store(tmp_path / "p")
    y, x = np.mgrid[:72, :80]
    outside = np.hypot((y - 35.5) / 36, (x - 39.5) / 40) > 1
    pairs = {
        name: replace(images, sem=np.where(outside, 0, images.sem).astype(np.uint8), mask=(~outside).astype(np.uint8))
        for name, images in store.pairs.items()
    }
    write_patch_store(tmp_path / "q", replace(store, pairs=pairs))
    with pytest.raises(InputError, match=r"charged by 5% to 50%; the most is 0\.0%"):
        DamageBank(read_patch_store(tmp_path / "q"), (0.05, 0.5))


def test_a_mask_that_means_the_opposite_is_refused(tmp_path: Path) -> None:
    repairer = Predictor(load_model(trained(tmp_path, repair())), PredictSettings(), "cpu")
    usable = np.full((40, 40), 255, np.uint8)
    usable[5:9, 7:20] = 0
    image = np.random.default_rng(0).integers(1, 255, (40, 40)).astype(np.uint8)
    for name, written in (("t", image), ("s", image), ("m", usable)):
        io.write_tiff(tmp_path / f"{name}.tif", written, None)
    with pytest.raises(InputError, match=r"m\.tif: 97% of the slice is not zero.* at most 50% .*invert it"):
        repair_files(repairer, *(tmp_path / f"{name}.tif" for name in "tsm"), tmp_path / "o.tif")
    assert not (tmp_path / "o.tif").exists()


# --- damage


def test_damage_comes_from_charged_places_and_covers_what_is_asked(tmp_path: Path) -> None:
    bank = DamageBank(charged_store(tmp_path), (0.1, 0.3))
    shares = [bank.draw(np.random.default_rng(seed)).mean() for seed in range(50)]
    assert min(shares) >= 0.1
    assert max(shares) <= 0.3
    first, second = bank.for_evaluation(4), bank.for_evaluation(6)
    assert all((a == b).all() for a, b in zip(first, second[:4], strict=True))


def test_a_sample_that_is_charged_too_little_is_refused_with_the_amount(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"charged by 60% to 75%; the most is 3\d\.\d%.*train\.damage"):
        DamageBank(charged_store(tmp_path), (0.6, 0.75))


def test_trainings_of_both_tasks_are_repeatable(tmp_path: Path) -> None:
    charged_store(tmp_path / "p")
    for name, settings in (("r", repair()), ("s", segmentation())):
        weights = []
        for run in range(2):
            torch.manual_seed(run)
            train_model(tmp_path / "p", settings, 3, tmp_path / f"{name}{run}", device="cpu")
            weights.append((tmp_path / f"{name}{run}/generator.safetensors").read_bytes())
        assert weights[0] == weights[1]


# --- what is learnt


def test_a_repair_learns_from_the_txm_what_interpolation_cannot_know(tmp_path: Path) -> None:
    settings = repair(schedule={"epochs": 25, "decay_epochs": 5}, pixel_weight=100.0, optimiser={"learning_rate": 5e-3})
    model = trained(tmp_path, settings, train=40)
    repairer = Predictor(load_model(model), PredictSettings(), "cpu")
    predict_test(repairer, tmp_path / "p", tmp_path / "out")
    measure_repair(tmp_path / "out", tmp_path / "p", MeasureSettings(), tmp_path / "repair.csv")
    scores = io.read_csv(tmp_path / "repair.csv")
    assert scores["psnr"].mean() > scores["psnr_interpolated"].mean() + 1
    store = read_patch_store(tmp_path / "p")
    name = store.of_split("test")["pair"].iloc[0]
    whole = io.read_image(tmp_path / f"out/slices/{name}.tif")
    usable = store.pairs[name].mask > 0
    assert (whole[usable] == store.pairs[name].sem[usable]).all()


@pytest.mark.parametrize("source", ["txm", "sem"])
def test_a_segmentation_learns_an_easy_mapping(tmp_path: Path, source: str) -> None:
    settings = segmentation(
        segment_from=source, schedule={"epochs": 8, "decay_epochs": 2}, optimiser={"learning_rate": 5e-3}
    )
    model = trained(tmp_path, settings, train=40)
    history = io.read_csv(model / "history.csv")
    assert history["validation_dice"].iloc[-1] > history["validation_dice"].iloc[0]
    predictor = Predictor(load_model(model), PredictSettings(), "cpu")
    predict_test(predictor, tmp_path / "p", tmp_path / "out")
    measure_segmentation(tmp_path / "out", tmp_path / "p", tmp_path / "s.csv")
    figures = io.read_csv(tmp_path / "s.csv").iloc[0]
    assert figures["accuracy"] > figures["accuracy_floor"] + 0.1
    assert figures["dice_low_density"] > 0.7
    assert io.read_image(tmp_path / "out/slices/002.tif").max() <= 2


def test_a_volume_of_classes(tmp_path: Path) -> None:
    predictor = Predictor(load_model(trained(tmp_path, segmentation())), PredictSettings(), "cpu")
    store = read_patch_store(tmp_path / "p")
    txm = io.Volume.of_array(np.concatenate([images.txm for images in store.pairs.values()]))
    predict_volume(predictor, txm, tmp_path / "classes.ome.zarr")
    classes = io.open_volume(tmp_path / "classes.ome.zarr")
    assert classes.shape == txm.shape
    assert set(np.unique(classes.read(0, 3))) <= {0, 1, 2}
    expected = predictor.predict_plane(txm.read(1, 2))
    assert (classes.read(1, 2)[0] == expected).all()


# --- exact cases


def test_cross_entropy_against_a_direct_computation() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, classes = torch.randn((2, 3, 4, 4), generator=rng), torch.randint(0, 3, (2, 1, 4, 4), generator=rng)
    mask = torch.rand((2, 1, 4, 4), generator=rng) > 0.4
    probability = logits.softmax(dim=1).gather(1, classes)
    assert float(class_loss(logits, classes, mask)) == pytest.approx(float(-probability[mask].log().mean()), rel=1e-5)
    assert float(class_loss(logits, classes, torch.zeros_like(mask))) == 0


def test_interpolation_is_exact_on_a_plane() -> None:
    y, x = np.indices((20, 20))
    image = (2 * y + 3 * x).astype(np.uint8)
    damage = np.zeros((20, 20), dtype=bool)
    damage[5:9, 6:12] = True
    np.testing.assert_allclose(interpolated(image, damage), image, atol=1e-3)
    damage[:3, :3] = True  # a corner has nothing on its other side
    assert np.isfinite(interpolated(image, damage)).all()
    assert psnr(interpolated(image, damage), image, 255) > 30


def test_high_density_wins_where_both_masks_are_set() -> None:
    low, high = np.array([[0, 255, 255]], np.uint8), np.array([[0, 0, 1]], np.uint8)
    assert class_image(low, high).tolist() == [[0, 1, 2]]


# --- what is reported


def test_what_cannot_be_is_reported(tmp_path: Path) -> None:
    make_store(tmp_path / "p")
    with pytest.raises(InputError, match=r"pair 000 has no masks .* lowdensity and highdensity"):
        train_model(tmp_path / "p", segmentation(), 0, tmp_path / "m", device="cpu")
    with pytest.raises(ConfigError, match="context and z_penalty must be 0 for family repair"):
        load_config({"variants": {"a": {"family": "repair", "context": 1}}})
    with pytest.raises(ConfigError, match=r"all variants are side tasks \(a\)"):
        load_config({"variants": {"a": {"family": "repair"}}})
    with pytest.raises(ConfigError, match="damage must be 0 < least < greatest"):
        load_config({"variants": {"a": {"family": "repair", "damage": [0.5, 0.2]}}})


def test_a_repair_model_predicts_no_volume_and_has_no_ensemble(tmp_path: Path) -> None:
    model = trained(tmp_path, repair())
    predictor = Predictor(load_model(model), PredictSettings(), "cpu")
    volume = io.Volume.of_array(np.zeros((2, 40, 40), np.uint8))
    with pytest.raises(ConfigError, match="txm2sem repair"):
        predict_volume(predictor, volume, tmp_path / "v.ome.zarr")
    assert not (tmp_path / "v.ome.zarr").exists()
    with pytest.raises(ConfigError, match="has no ensemble"):
        load_ensemble([model, tmp_path / "other"], PredictSettings(), "cpu")


def test_damage_at_the_border_alone_has_no_ssim() -> None:
    image, mask = np.random.default_rng(0).random((32, 32)) * 255, np.zeros((32, 32), dtype=bool)
    mask[:3] = True
    found = scores_under(image + 1, image, 255.0, mask)
    assert found[0] == pytest.approx(20 * np.log10(255))
    assert np.isnan(found[1])
    assert np.isnan(scores_under(image, image, 255.0, np.zeros_like(mask))).all()
