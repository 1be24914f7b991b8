"""Which epoch is kept, and the rock's figures that it may be chosen by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from small_data import make_store, tiny

from txm2sem_core import io
from txm2sem_core.errors import ConfigError
from txm2sem_core.families import Learner, base
from txm2sem_core.families.scores import RockMeter, criterion, pore_threshold
from txm2sem_core.training import train_model


def rock(seed: int, share: float = 0.3) -> np.ndarray:
    """Dark pores on a bright ground, `[40, 40]`."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((40, 40)), 2)
    return np.where(field < np.quantile(field, share), 20.0, 200.0).astype(np.float32)


def test_a_perfect_prediction_has_no_error_and_a_shifted_share_has_its_size() -> None:
    everywhere = np.ones((40, 40), dtype=bool)
    perfect, more = RockMeter(100, 40), RockMeter(100, 40)
    for seed in range(3):
        perfect.add(rock(seed), rock(seed), everywhere)
        more.add(rock(seed, 0.4), rock(seed), everywhere)
    assert perfect.result() == {"validation_porosity_error": 0, "validation_two_point_error": 0}
    assert more.result()["validation_porosity_error"] == pytest.approx(0.1, abs=0.002)


def test_the_two_point_error_sees_how_pores_lie_where_the_porosity_is_right() -> None:
    everywhere = np.ones((40, 40), dtype=bool)
    meter = RockMeter(100, 40)
    scattered = np.random.default_rng(0).permutation(rock(1).ravel()).reshape(40, 40)
    meter.add(scattered, rock(1), everywhere)
    result = meter.result()
    assert result["validation_porosity_error"] == 0
    dark = rock(1) < 100
    pairs = [np.mean(image[: 40 - lag] & image[lag:]) - 0.3**2 for image in (dark, dark.T) for lag in range(1, 17)]
    assert result["validation_two_point_error"] == pytest.approx(np.mean(np.abs(pairs)), rel=0.3)


def test_charged_pixels_do_not_count_for_the_porosity() -> None:
    mask = np.ones((40, 40), dtype=bool)
    mask[:, 20:] = False
    spoilt = rock(0)
    spoilt[:, 20:] = 0
    meter = RockMeter(100, 40)
    meter.add(spoilt, rock(0), mask)
    assert meter.result()["validation_porosity_error"] == 0


def test_images_with_too_few_grey_levels_have_no_phases(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    assert pore_threshold(store) is not None
    for pair in store.pairs.values():
        pair.sem[:] = 7
    assert pore_threshold(store) is None
    meter = RockMeter(None, 32)
    meter.add(rock(0), rock(0), np.ones((40, 40), dtype=bool))
    assert np.isnan(list(meter.result().values())).all()


@pytest.mark.parametrize(
    ("select", "best"),
    [("best_psnr", 0), ("best_ssim", 1), ("best_porosity", 2), ("best_two_point", 3), ("last", 0)],
)
def test_the_criterion_ranks_epochs(select: str, best: int) -> None:
    columns = ("validation_psnr", "validation_ssim", "validation_porosity_error", "validation_two_point_error")
    epochs = [
        dict(zip(columns, scores, strict=True))
        for scores in [(30, 0.5, 0.3, 0.3), (20, 0.9, 0.2, 0.2), (10, 0.4, 0.0, 0.1), (5, 0.3, float("nan"), 0.0)]
    ]
    scores = [criterion(epoch, select) for epoch in epochs]
    assert scores.index(max(scores)) == best


@pytest.mark.parametrize("select", ["best_porosity", "best_two_point"])
def test_a_training_keeps_the_epoch_with_the_least_error(tmp_path: Path, select: str) -> None:
    make_store(tmp_path / "p", train=40)
    schedule = {"policy": "constant", "epochs": 6}
    settings = tiny("feedforward", select=select, schedule=schedule, optimiser={"learning_rate": 0.02})
    train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    history = io.read_csv(tmp_path / "m/history.csv")
    errors = history["validation_porosity_error" if select == "best_porosity" else "validation_two_point_error"]
    chosen = io.read_json(tmp_path / "m/model.json")["selected"]
    assert chosen == {"weights": "best", "epoch": int(history["epoch"][int(errors.argmin())]), "criterion": select}
    assert errors.nunique() > 1


@pytest.mark.parametrize("select", ["best_porosity", "best_two_point"])
def test_a_criterion_that_can_have_no_value_is_refused_before_the_training(tmp_path: Path, select: str) -> None:
    store = make_store(tmp_path / "p")
    levels = {
        name: replace(pair, sem=np.where(pair.sem > 100, 200, 40).astype(np.uint8))
        for name, pair in store.pairs.items()
    }
    io.write_patch_store(tmp_path / "p", replace(store, pairs=levels))
    with pytest.raises(ConfigError, match=rf"train\.select: {select} needs the pores.*best_psnr"):
        train_model(tmp_path / "p", tiny("feedforward", select=select), 0, tmp_path / "m", device="cpu")
    assert not (tmp_path / "m/model.json").exists()


def test_a_criterion_without_any_value_keeps_the_last_epoch_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_store(tmp_path / "p")
    monkeypatch.setattr(base, "criterion", lambda *_: -float("inf"))
    train_model(tmp_path / "p", tiny("feedforward"), 0, tmp_path / "m", device="cpu")
    model = io.read_json(tmp_path / "m/model.json")
    assert model["selected"] == {"weights": "last", "epoch": 3, "criterion": "best_psnr"}
    assert any("train.select = best_psnr has no value in any epoch" in text for text in model["warnings"])
    message = capsys.readouterr().err
    assert "has no value in any epoch" in message
    assert message.count("after epoch 1: train.select = best_psnr has no value") == message.count("after epoch") == 1
    assert (tmp_path / "m/generator.safetensors").read_bytes() == (tmp_path / "m/last.safetensors").read_bytes()


def test_a_network_that_has_died_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_store(tmp_path / "p")
    settings = tiny("feedforward")
    train_model(tmp_path / "p", settings, 0, tmp_path / "alive", device="cpu")
    assert io.read_json(tmp_path / "alive/model.json")["warnings"] == []
    assert "warning" not in capsys.readouterr().err
    step = Learner.step

    def deadly(self: Learner, *given: object) -> object:
        terms = step(self, *given)
        with torch.no_grad():
            for weights in self.generator.parameters():
                weights.zero_()
        return terms

    monkeypatch.setattr(Learner, "step", deadly)
    train_model(tmp_path / "p", settings, 0, tmp_path / "dead", device="cpu")
    assert any("has died" in text for text in io.read_json(tmp_path / "dead/model.json")["warnings"])
    assert capsys.readouterr().err.count("warning: after epoch 1: The network predicts one value everywhere") == 1


@pytest.mark.parametrize("family", ["feedforward", "pix2pix"])
def test_a_network_that_was_never_updated_is_said(tmp_path: Path, family: str) -> None:
    make_store(tmp_path / "p")
    still = tiny(family, optimiser={"learning_rate": 1e-12})
    train_model(tmp_path / "p", still, 0, tmp_path / "m", device="cpu")
    (warning,) = io.read_json(tmp_path / "m/model.json")["warnings"]
    assert "never updated" in warning
    assert "learning_rate, which is 1e-12" in warning


def test_a_generator_that_would_never_be_updated_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "p")
    settings = tiny("pix2pix", objective="wgangp", critic_steps=50)
    with pytest.raises(ConfigError, match=r"train\.critic_steps: 50 discriminator steps .* the training has 9"):
        train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
