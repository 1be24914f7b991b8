"""Batches, steps and epochs: same seed same bytes, going on after a kill, what is learnt, and what is kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from seeded_draws import draws
from small_data import VOXEL_SIZE_NM, make_store, tiny
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR
from torch.utils._python_dispatch import TorchDispatchMode

from txm2sem_core import io
from txm2sem_core.acceleration import convolutions
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import ScheduleSettings, TrainSettings
from txm2sem_core.errors import ConfigError, TrainingError
from txm2sem_core.families import Batch, BatchSource, Family, Learner, family_of, learner_of
from txm2sem_core.families.losses import gradient_penalty
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics import psnr, ssim
from txm2sem_core.networks import build_generator
from txm2sem_core.training import train_model, trainer
from txm2sem_core.training.batches import epoch_batches, evaluation_batches, orient
from txm2sem_core.training.resume import Checkpoint
from txm2sem_core.training.schedules import build_scheduler, rate_factor
from txm2sem_core.training.validation import validate

torch.set_num_threads(1)
CPU = torch.device("cpu")
MODEL_FILES = ["generator.safetensors", "best.safetensors", "last.safetensors", "model.json", "history.csv"]
VARIANTS: dict[str, TrainSettings] = {
    "feedforward": tiny("feedforward"),
    "projection": tiny("feedforward", z_penalty={"projection": 0.1}),
    "perturbation": tiny("feedforward", generator={"dropout": True}, z_penalty={"perturbation": 0.1}),
    "pix2pix": tiny("pix2pix", generator={"dropout": True}),
    "lsgan": tiny("pix2pix", objective="lsgan", discriminator={"name": "n_layers", "layers": 1}),
    "wasserstein": tiny("pix2pix", objective="wgangp", critic_steps=2, discriminator={"norm": "none"}),
    "context": tiny("feedforward", context=1),
    "srcnn": tiny("srcnn"),
    "srgan": tiny("srgan"),
}


def store_of(settings: TrainSettings, folder: Path, **options: Any) -> PatchStore:
    return make_store(folder, factor=settings.factor, context=settings.context, **options)


def model_bytes(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in MODEL_FILES}


# --- batches


def test_an_epoch_shows_every_patch_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    store = make_store(tmp_path, train=10)
    settings = tiny("feedforward", flips=False, turns=False, batch_size=4)

    def shown(seed: int, epoch: int) -> list[bytes]:
        batches = list(epoch_batches(store, settings, seed, epoch))
        assert [len(batch.sem) for batch in batches] == [4, 4, 2]
        return [patch.numpy().tobytes() for batch in batches for patch in batch.sem]

    expected = sorted(
        patch.numpy().tobytes() for batch in evaluation_batches(store, "train", 0, 4) for patch in batch.sem
    )
    assert sorted(shown(0, 0)) == expected
    assert shown(0, 0) == shown(0, 0)
    assert shown(0, 0) != shown(0, 1)
    assert shown(0, 0) != shown(1, 0)


@pytest.mark.parametrize(("factor", "context"), [(1, 0), (2, 1)])
def test_a_pair_is_turned_and_mirrored_as_one_array(tmp_path: Path, factor: int, context: int) -> None:
    """The TXM images are functions of the SEM images that every turn and mirroring commutes with."""
    store = make_store(tmp_path, factor=factor, context=context, train=40)
    for name, images in store.pairs.items():
        height, width = (n // factor for n in images.sem.shape)
        means = images.sem.reshape(height, factor, width, factor).mean(axis=(1, 3)).astype(np.uint8)
        assert isinstance(store.pairs, dict)
        store.pairs[name] = io.PairImages(np.stack([means] * (2 * context + 1)), images.sem, images.sem)
    settings = tiny("feedforward" if factor == 1 else "srcnn", context=context)
    plain = {patch.numpy().tobytes() for batch in evaluation_batches(store, "train", 0, 4) for patch in batch.sem}
    turned = 0
    for batch in epoch_batches(store, settings, 0, 0):
        txm = torch.from_numpy(store.txm_range.from_unit(batch.txm.numpy()))
        sem = torch.from_numpy(store.sem_range.from_unit(batch.sem.numpy()))
        means = torch.nn.functional.avg_pool2d(sem, factor) if factor > 1 else sem
        assert (txm - means).abs().max() < 1.01  # truncated to integers
        turned += sum(patch.numpy().tobytes() not in plain for patch in batch.sem)
    assert turned > 20  # 7 of 8 in the mean


def test_orientations_are_the_eight_of_the_square() -> None:
    patch = np.arange(2 * 9).reshape(2, 3, 3)
    seen = {orient(patch, mirror, turns).tobytes() for mirror in (0, 1) for turns in range(4)}
    assert len(seen) == 8
    np.testing.assert_array_equal(orient(patch, 1, 0), patch[:, :, ::-1])
    np.testing.assert_array_equal(orient(patch, 0, 2), patch[:, ::-1, ::-1])


def test_flips_alone_are_flips_alone(tmp_path: Path) -> None:
    store = make_store(tmp_path, train=30)
    plain = [p.numpy() for batch in evaluation_batches(store, "train", 0, 4) for p in batch.sem]
    allowed = {p.tobytes() for p in plain} | {np.ascontiguousarray(p[..., ::-1]).tobytes() for p in plain}
    shown = [p.numpy().tobytes() for b in epoch_batches(store, tiny("feedforward", turns=False), 0, 0) for p in b.sem]
    assert set(shown) <= allowed
    assert set(shown) != {p.tobytes() for p in plain}


# --- schedules


def rates(settings: ScheduleSettings, epochs: int) -> list[float]:
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = build_scheduler(optimiser, settings)
    found = []
    for _ in range(epochs):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


def test_linear_is_constant_then_falls_by_equal_steps_and_never_reaches_zero() -> None:
    settings = ScheduleSettings(policy="linear", epochs=3, decay_epochs=4)
    assert rates(settings, 7) == pytest.approx([0.5, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert settings.total_epochs == 7


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        (ScheduleSettings(policy="step", epochs=9, step_epochs=3), lambda o: StepLR(o, 3, 0.1)),
        (ScheduleSettings(policy="cosine", epochs=9), lambda o: CosineAnnealingLR(o, 9)),
    ],
)
def test_schedules_against_those_of_torch(settings: ScheduleSettings, reference: Any) -> None:
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = reference(optimiser)
    for rate in rates(settings, 9):
        assert rate == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()


def test_a_constant_rate() -> None:
    assert {rate_factor(ScheduleSettings(policy="constant"), epoch) for epoch in range(50)} == {1.0}


def test_a_plateau_lowers_the_rate_when_psnr_stops_to_rise() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = build_scheduler(optimiser, ScheduleSettings(policy="plateau"))
    for value in [*range(1, 10), *[9.0] * 6]:
        assert optimiser.param_groups[0]["lr"] == 0.5
        scheduler.step(float(value))  # type: ignore[arg-type]
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.1)


# --- steps


def a_batch(settings: TrainSettings, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    sem = torch.rand((2, 1, 16, 16), generator=rng) * 2 - 1
    side = 16 // settings.factor
    txm = torch.nn.functional.adaptive_avg_pool2d(-sem, side).repeat(1, 2 * settings.context + 1, 1, 1)
    return Batch(txm, sem, torch.ones_like(sem, dtype=torch.bool))


@pytest.mark.parametrize("name", VARIANTS)
def test_steps_on_one_batch_lower_the_pixel_loss(name: str) -> None:
    learner = learner_of(VARIANTS[name], 0, CPU)
    batch = a_batch(VARIANTS[name])
    torch.manual_seed(0)
    losses = [float(learner.step(batch)["loss_pixel"]) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


class Waits(TorchDispatchMode):
    """Counts what would have a GPU waited for: values that the program itself asks for."""

    count = 0

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        asked = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal")
        self.count += operator.overloadpacket.__name__ in asked
        return operator(*arguments, **(options or {}))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_step_waits_for_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a GPU takes it, without what is computed otherwise on a CPU; from the second on, when moments are there."""
    monkeypatch.setattr(convolutions, "on_cpu_uncompiled", lambda _: False)
    settings = VARIANTS[name]
    learner, one = learner_of(settings, 0, CPU), a_batch(settings)
    learner.step(one)
    with Waits() as waits:
        for _ in range(4):
            learner.step(one)
        assert waits.count == 0
        float(learner.step(one)["loss_generator"])
    assert waits.count == 1  # it counts


def test_the_discriminator_learns_to_discriminate_and_the_generator_does_not_move_in_critic_steps() -> None:
    alive = {"init": "kaiming", "norm": "none"}
    learner = learner_of(tiny("pix2pix", objective="wgangp", discriminator=alive), 0, CPU)
    assert learner.discriminator is not None
    before = [p.detach().clone() for p in learner.generator.parameters()]
    losses = []
    for seed in range(30):
        batch = a_batch(learner.settings, seed % 3)
        terms = learner.step(batch, update_generator=False)
        assert set(terms) == {"loss_discriminator", "loss_gradient_penalty"}
        losses.append(float(terms["loss_discriminator"]))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.05
    assert all(torch.equal(a, b) for a, b in zip(before, learner.generator.parameters(), strict=True))


def test_the_gradient_penalty_is_weighted() -> None:
    settings = tiny("pix2pix", objective="wgangp", gradient_penalty_weight=7.0, discriminator={"norm": "none"})
    learner = learner_of(settings, 0, CPU)
    assert learner.discriminator is not None
    batch = a_batch(settings)
    real, fake = (torch.cat([batch.txm, x], 1) for x in (batch.sem, learner.generator(batch.txm).detach()))
    expected = 7 * gradient_penalty(learner.discriminator, real, fake, draws())
    learner.noise.manual_seed(0)
    learner.generator.train()
    assert float(learner.step(batch, update_generator=False)["loss_gradient_penalty"]) == pytest.approx(expected.item())


def test_charged_pixels_do_not_count_only_where_asked() -> None:
    def first_loss(mask_loss: bool, damage: float) -> float:
        settings = tiny("feedforward", mask_loss=mask_loss, pixel_weight=3.0)
        batch = a_batch(settings)
        batch.mask[:, :, :8] = False
        batch.sem[:, :, :8] = damage
        return float(learner_of(settings, 0, CPU).step(batch)["loss_pixel"])

    assert first_loss(True, 0.0) == first_loss(True, 9.0)
    assert first_loss(False, 0.0) < first_loss(False, 9.0)


def test_loss_terms_add_up() -> None:
    settings = tiny("pix2pix", pixel_weight=5.0, z_penalty={"projection": 0.5})
    terms = learner_of(settings, 0, CPU).step(a_batch(settings))
    parts = ["loss_pixel", "loss_adversarial", "loss_z_projection"]
    assert float(terms["loss_generator"]) == pytest.approx(sum(float(terms[key]) for key in parts), rel=1e-5)
    assert float(terms["loss_z_projection"]) > 0


@pytest.mark.parametrize(
    ("family", "conditional", "channels"), [("pix2pix", True, 2), ("srgan", False, 1), ("srgan", True, 2)]
)
def test_what_the_discriminator_sees(family: str, conditional: bool, channels: int) -> None:
    learner = learner_of(tiny(family, discriminator={"conditional": conditional}), 0, CPU)
    seen = []
    assert learner.discriminator is not None
    learner.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    learner.step(a_batch(learner.settings))
    assert set(seen) == {(2, channels, 16, 16)}


# --- validation


def test_validation_against_a_direct_computation(tmp_path: Path) -> None:
    store = make_store(tmp_path, dtype=np.uint16, evaluation=3)
    generator = build_generator("resnet_1blocks", width=4, seed=0)
    settings = tiny("feedforward", batch_size=2)
    found = validate(family_of(settings), generator, store, BatchSource(), CPU)
    assert generator.training  # left as it was
    scores = []
    generator.eval()
    for row in store.of_split("validation").to_dict("records"):
        place = row["pair"], row["y"], row["x"]
        unit = torch.from_numpy(store.txm_range.to_unit(store.txm_patch(*place, 0)))[None]
        with torch.no_grad():
            predicted = store.sem_range.from_unit(generator(unit)[0, 0].numpy())
        target, mask = store.sem_patch(*place), store.mask_patch(*place)
        full = store.sem_range.high - store.sem_range.low
        scores.append((psnr(predicted, target, full, mask), ssim(predicted, target, full, mask)))
    assert (found["validation_psnr"], found["validation_ssim"]) == pytest.approx(tuple(np.mean(scores, 0)), rel=1e-5)


# --- whole trainings


@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, name: str) -> None:
    settings = VARIANTS[name]
    store_of(settings, tmp_path / "p", train=8, evaluation=1)
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.manual_seed(len(folder) + seed)  # the global state must not matter
        train_model(tmp_path / "p", settings, seed, tmp_path / folder, device="cpu")
    a, b, c = (model_bytes(tmp_path / folder) for folder in "abc")
    assert a == b
    assert a["generator.safetensors"] != c["generator.safetensors"]


@pytest.mark.parametrize("name", ["perturbation", "pix2pix", "wasserstein", "srgan", "plateau"])
def test_a_killed_training_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plateau = tiny("feedforward", schedule={"policy": "plateau", "epochs": 3})
    settings = plateau if name == "plateau" else VARIANTS[name]
    store_of(settings, tmp_path / "p", train=8, evaluation=1)
    train_model(tmp_path / "p", settings, 0, tmp_path / "whole", device="cpu")
    calls = []

    def killed(*args: Any) -> dict[str, float]:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return validate(*args)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "validate", killed)
        with pytest.raises(KeyboardInterrupt):
            train_model(tmp_path / "p", settings, 0, tmp_path / "broken", device="cpu")
    assert not any((tmp_path / "broken" / file).exists() for file in MODEL_FILES)
    train_model(tmp_path / "p", settings, 0, tmp_path / "broken", device="cpu", name="rock")
    assert "train rock: goes on after epoch 1." in capsys.readouterr().err
    assert model_bytes(tmp_path / "broken") == model_bytes(tmp_path / "whole")
    assert sorted(file.name for file in (tmp_path / "broken").iterdir()) == sorted(MODEL_FILES)  # no state is left


@pytest.mark.parametrize("change", ["seed", "settings", "patches"])
def test_a_killed_training_does_not_go_on_with_something_else(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_store(tmp_path / "p", train=8, evaluation=1)
    settings = tiny("feedforward")

    save = Checkpoint.save

    def save_and_die(*args: Any) -> None:
        save(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    monkeypatch.undo()
    if change == "patches":  # other places in the same images
        make_store(tmp_path / "p", train=9, evaluation=1)
    other = tiny("feedforward", pixel_loss="L2") if change == "settings" else settings
    train_model(tmp_path / "p", other, 1 if change == "seed" else 0, tmp_path / "m", device="cpu")
    assert "goes on" not in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_names_the_step_and_leaves_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path / "p", train=12, evaluation=1)
    step, count = Learner.step, [0]

    def poisoned(self: Learner, batch: Batch, update_generator: bool = True) -> dict[str, torch.Tensor]:
        count[0] += 1
        terms = step(self, batch, update_generator)
        return terms | ({"loss_pixel": torch.tensor(math.nan)} if count[0] == 5 else {})

    monkeypatch.setattr(Learner, "step", poisoned)
    with pytest.raises(TrainingError, match=r"epoch 2, step 2: a loss is not finite .*learning_rate"):
        train_model(tmp_path / "p", tiny("feedforward"), 0, tmp_path / "m", device="cpu")
    assert [file.name for file in (tmp_path / "m").iterdir()] == [".state"]


def test_a_learning_rate_far_too_high_is_reported_and_not_saved(tmp_path: Path) -> None:
    make_store(tmp_path / "p", train=12, evaluation=1)
    settings = tiny("feedforward", generator={"norm": "none"}, optimiser={"learning_rate": 1e30}, pixel_loss="L2")
    with pytest.raises(TrainingError, match="not finite"):
        train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    assert not (tmp_path / "m" / "model.json").exists()


@pytest.mark.parametrize("family", ["feedforward", "pix2pix", "srcnn", "srgan"])
def test_every_family_beats_the_constant_and_the_identity_on_an_easy_pair(tmp_path: Path, family: str) -> None:
    settings = tiny(
        family,
        pixel_weight=100.0,
        schedule={"epochs": 6, "decay_epochs": 2},
        generator={"width": 8},
        optimiser={"learning_rate": 4e-3},
    )
    store_of(settings, tmp_path / "p", train=40)
    train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    history = io.read_csv(tmp_path / "m/history.csv")
    assert history["loss_pixel"].iloc[-1] < 0.8 * history["loss_pixel"].iloc[0]
    for baseline in ("constant", "bicubic" if settings.factor > 1 else "identity"):
        fitted = tiny("baseline", factor=settings.factor, generator={"name": baseline})
        train_model(tmp_path / "p", fitted, 0, tmp_path / baseline, device="cpu")
        score = io.read_csv(tmp_path / baseline / "history.csv")["validation_psnr"].iloc[0]
        assert history["validation_psnr"].max() > score


# --- what is left


def test_history_and_description(tmp_path: Path) -> None:
    settings = tiny("pix2pix", objective="wgangp", critic_steps=2, z_penalty={"projection": 1e-4}, context=1)
    store = store_of(settings, tmp_path / "p", dtype=np.uint16, evaluation=1)
    train_model(tmp_path / "p", settings, 5, tmp_path / "m", device="cpu")
    history = io.read_csv(tmp_path / "m/history.csv")
    losses = ["discriminator", "gradient_penalty", "generator", "pixel", "adversarial", "z_projection"]
    scores = [f"validation_{score}" for score in ("psnr", "ssim", "porosity_error", "two_point_error")]
    expected = ["epoch", "learning_rate", *[f"loss_{term}" for term in losses], *scores]
    assert list(history.columns) == expected
    assert list(history["epoch"]) == [1, 2, 3]
    assert list(history["learning_rate"]) == pytest.approx([2e-3, 2e-3, 1e-3])
    assert np.isfinite(history.to_numpy()).all()
    loaded = load_model(tmp_path / "m")
    assert loaded.generator.in_channels == 3
    assert loaded.description["normalisation"]["sem"] == store.sem_range.as_dict()
    assert loaded.description["sem_dtype"] == "uint16"
    assert loaded.description["voxel_size_nm"] == list(VOXEL_SIZE_NM)
    assert loaded.description["seed"] == 5
    assert loaded.description["patches_sha256"] == store.digest


def test_critic_steps_count_over_all_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny("pix2pix", critic_steps=3, batch_size=2)
    make_store(tmp_path / "p", train=14, evaluation=1)
    updates: list[bool] = []
    step = Learner.step
    monkeypatch.setattr(Learner, "step", lambda self, b, u: (updates.append(u), step(self, b, u))[1])
    train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    assert updates == [False, False, True] * 7


@pytest.mark.parametrize(("select", "epoch"), [("best_psnr", 2), ("best_ssim", 1), ("last", 3)])
def test_which_weights_are_chosen(tmp_path: Path, select: str, epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    make_store(tmp_path / "p", train=8, evaluation=1)
    scores = iter([(10.0, 0.9), (20.0, 0.5), (15.0, 0.4)])
    seen: list[dict[str, torch.Tensor]] = []

    def scored(_family: Family, generator: torch.nn.Module, *_: Any) -> dict[str, float]:
        seen.append({key: value.clone() for key, value in generator.state_dict().items()})
        return dict(zip(("validation_psnr", "validation_ssim"), next(scores), strict=True))

    monkeypatch.setattr(trainer, "validate", scored)
    train_model(tmp_path / "p", tiny("feedforward", select=select), 0, tmp_path / "m", device="cpu")
    loaded = load_model(tmp_path / "m")
    assert loaded.description["selected"]["epoch"] == epoch
    for key, value in loaded.generator.state_dict().items():
        torch.testing.assert_close(value, seen[epoch - 1][key], rtol=0, atol=0)
    other = "last" if select != "last" else "best"
    assert (tmp_path / "m" / f"{other}.safetensors").read_bytes() != (tmp_path / "m/generator.safetensors").read_bytes()


def test_tensorboard_logs(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    make_store(tmp_path / "p", train=4, evaluation=1)
    train_model(tmp_path / "p", tiny("feedforward"), 0, tmp_path / "m", device="cpu", tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / "m/tensorboard")).Reload()
    history = io.read_csv(tmp_path / "m/history.csv")
    logged = [(event.step, event.value) for event in events.Scalars("validation_psnr")]
    pd.testing.assert_frame_equal(
        pd.DataFrame(logged, columns=["epoch", "validation_psnr"]), history[["epoch", "validation_psnr"]], rtol=1e-6
    )


@pytest.mark.parametrize("context", [0, 1])
def test_baselines_are_fitted(tmp_path: Path, context: int) -> None:
    settings = tiny("baseline", context=context, generator={"name": "identity"})
    store = make_store(tmp_path / "p", context=context)
    train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    generator = load_model(tmp_path / "m").generator
    assert generator.in_channels == 2 * context + 1
    batches = list(evaluation_batches(store, "train", context, 100))
    txm, sem, mask = batches[0].txm[:, context : context + 1], batches[0].sem, batches[0].mask
    gain = -sem[mask].std() / txm[mask].std()  # the TXM is dark where the SEM is bright
    expected = sem[mask].mean() + gain * (txm - txm[mask].mean())
    with torch.no_grad():
        torch.testing.assert_close(generator(batches[0].txm), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("settings", "store", "words"),
    [
        (tiny("srcnn"), {}, "factor: the variant has 2, the patches have 1"),
        (tiny("feedforward", context=1), {}, r"context: the variant sees 1 .*Raise patches\.context"),
        (tiny("baseline", generator={"name": "resnet_1blocks"}), {}, "'resnet_1blocks' is no baseline"),
        (tiny("feedforward", generator={"name": "pointwise"}), {}, "'pointwise' is fitted"),
        (tiny("feedforward", generator={"name": "unet_33"}), {}, "unet_33"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, settings: TrainSettings, store: dict[str, Any], words: str) -> None:
    make_store(tmp_path / "p", **store)
    with pytest.raises(ConfigError, match=words):
        train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    assert not (tmp_path / "m").exists()
