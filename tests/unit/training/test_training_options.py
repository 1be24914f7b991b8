"""Averaged weights, spectral norm, R1, and ways to compute: each against an exact case or plain float32."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_data import make_store, tiny
from torch import Tensor, nn

from txm2sem_core.acceleration import Accelerator, winograd
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import ComputeSettings, TrainSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.families import Batch, family_of, learner_of
from txm2sem_core.families.average import update_average, weight_average
from txm2sem_core.families.losses import r1_penalty
from txm2sem_core.networks import build_discriminator, build_generator
from txm2sem_core.training import train_model

torch.set_num_threads(1)
CPU = torch.device("cpu")


def batch(seed: int = 0, count: int = 2, size: int = 32) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    txm = torch.rand((count, 1, size, size), generator=rng) * 2 - 1
    sem = torch.nn.functional.avg_pool2d(-txm, 3, 1, 1)
    return Batch(txm, sem, torch.ones_like(sem, dtype=torch.bool), torch.cat([txm, txm.flip(2)], 1))


# --- averaged weights


def test_the_average_is_that_of_a_loop_in_numpy() -> None:
    generator = build_generator("resnet_1blocks", width=2, seed=0)
    average, expected = weight_average(generator), None
    for step in range(6):
        for parameter in generator.parameters():
            parameter.data += 0.1 * (step + 1)
        generator(torch.rand((2, 1, 32, 32)))  # moves the running statistics
        update_average(average, generator, 0.7)
        current = [p.detach().numpy().copy() for p in generator.parameters()]
        start = [p - 0.1 for p in current] if expected is None else expected
        decay = min(0.7, (1 + step) / (10 + step))
        expected = [decay * mean + (1 - decay) * now for mean, now in zip(start, current, strict=True)]
    for found, mean in zip(average.module.parameters(), expected or [], strict=True):
        np.testing.assert_allclose(found.detach().numpy(), mean, rtol=1e-5, atol=1e-6)
    for found, now in zip(average.module.buffers(), generator.buffers(), strict=True):
        assert torch.equal(found, now)


def test_the_averaged_weights_are_validated_and_kept(tmp_path: Path) -> None:
    make_store(tmp_path / "p", train=8, evaluation=1)
    weights = {}
    for decay in (0.0, 0.99):
        settings = tiny("pix2pix", ema_decay=decay, select="last")
        train_model(tmp_path / "p", settings, 0, tmp_path / str(decay), device="cpu")
        weights[decay] = load_model(tmp_path / str(decay)).generator.state_dict()
    assert any(not torch.equal(weights[0.0][key], weights[0.99][key]) for key in weights[0.0])
    plain, averaged = ((tmp_path / f"{d}/history.csv").read_text().splitlines() for d in ("0.0", "0.99"))
    scores, losses = (slice(-4, None), slice(2, -4))
    assert plain[1].split(",")[losses] == averaged[1].split(",")[losses]  # training itself is not touched
    assert plain[1].split(",")[scores] != averaged[1].split(",")[scores]


# --- spectral norm and R1


def test_spectral_norm_bounds_the_gain_of_each_convolution() -> None:
    network = build_discriminator("basic", in_channels=1, width=4, spectral_norm=True, init_gain=1.0, seed=0).train()
    for _ in range(30):  # power iterations
        network(torch.rand((1, 1, 64, 64)))
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 5
    for layer in convolutions:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert float(largest) == pytest.approx(1, abs=0.02)


def test_r1_of_a_linear_discriminator_is_half_its_squared_weights() -> None:
    weights = torch.randn((1, 1, 8, 8), generator=torch.Generator().manual_seed(0), requires_grad=True)

    def discriminator(x: Tensor) -> Tensor:
        return (x * weights).sum(dim=(1, 2, 3))

    penalty = r1_penalty(discriminator, torch.rand((5, 1, 8, 8)))
    assert float(penalty) == pytest.approx(0.5 * float(weights.detach().square().sum()), rel=1e-6)
    penalty.backward()
    torch.testing.assert_close(weights.grad, weights.detach())


@pytest.mark.parametrize("objective", ["vanilla", "lsgan", "wgangp"])
@pytest.mark.parametrize("family", ["pix2pix", "srgan"])
def test_they_serve_every_objective_of_both_families(tmp_path: Path, family: str, objective: str) -> None:
    discriminator = {"norm": "none", "spectral_norm": True}
    settings = tiny(family, objective=objective, discriminator=discriminator, r1_weight=2.0, ema_decay=0.9)
    make_store(tmp_path / "p", train=4, evaluation=1, factor=settings.factor)
    train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    history = (tmp_path / "m/history.csv").read_text()
    assert "loss_r1" in history.splitlines()[0]
    learner = learner_of(settings, 0, CPU)
    assert learner.discriminator is not None
    one = batch(size=32) if family == "pix2pix" else Batch(batch(size=16).txm, batch(size=32).sem, batch().mask)
    real = family_of(settings)._judged(one.txm, one.sem)
    learner.discriminator.eval()  # no power iteration between the two
    expected = 2 * float(r1_penalty(learner.discriminator, real).detach())
    assert float(learner.step(one, update_generator=False)["loss_r1"]) == pytest.approx(expected, rel=1e-4)


# --- precision, compilation, memory format


def after_steps(compute: dict[str, Any], steps: int = 4, **values: Any) -> tuple[list[float], Tensor]:
    """Losses of some steps, and the prediction in evaluation mode after them."""
    settings: TrainSettings = tiny(values.pop("family", "pix2pix"), pixel_weight=10.0, compute=compute, **values)
    learner = learner_of(settings, 0, CPU)
    learner.generator.train()
    losses = [float(learner.step(batch(step))["loss_generator"]) for step in range(steps)]
    with torch.no_grad():
        return losses, learner.generator.eval()(batch(99).txm)


PENALTIES: list[dict[str, float]] = [{}, {"projection": 0.1, "perturbation": 0.1, "stack": 0.1, "every": 2}]


@pytest.mark.parametrize("penalty", PENALTIES)
def test_channels_last_changes_nothing_but_rounding(penalty: dict[str, float]) -> None:
    """In float64: in float32 Adam's first steps, whose size is that of no gradient, make much of rounding."""
    torch.set_default_dtype(torch.float64)
    try:
        losses, predicted = after_steps({"channels_last": True}, z_penalty=penalty)
        expected_losses, expected = after_steps({}, z_penalty=penalty)
    finally:
        torch.set_default_dtype(torch.float32)
    assert losses == pytest.approx(expected_losses, rel=1e-9)
    assert float((predicted - expected).abs().max()) < 1e-9


HALF_TOLERANCE = 0.05  # what docs/method/method.md states, with a margin


@pytest.mark.parametrize("compute", [{"precision": "bfloat16"}, {"precision": "bfloat16", "channels_last": True}])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_half_precision_agrees_with_float32(compute: dict[str, Any], penalty: dict[str, float]) -> None:
    losses, predicted = after_steps(compute, z_penalty=penalty)
    expected_losses, expected = after_steps({}, z_penalty=penalty)
    assert losses == pytest.approx(expected_losses, rel=HALF_TOLERANCE)
    assert float((predicted - expected).abs().max()) < HALF_TOLERANCE
    assert predicted.dtype == torch.float32


def test_the_perturbation_is_not_drowned_by_half_precision() -> None:
    """A step of 0.001 is less than bfloat16 can tell from 1: the penalty must be computed in float32."""
    terms = []
    for precision in ("float32", "bfloat16"):
        settings = tiny("feedforward", z_penalty={"perturbation": 1.0}, compute={"precision": precision})
        learner = learner_of(settings, 0, CPU)
        terms.append(float(learner.step(batch())["loss_z_perturbation"]))
    assert terms[1] == pytest.approx(terms[0], rel=1e-4)


@pytest.mark.slow  # building C++ code for a network takes half a minute
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
@pytest.mark.parametrize("name", ["resnet_1blocks", "sr_resnet_1blocks", "unet_32"])
def test_compiled_networks_agree_with_plain_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions that a CPU computes in its own order, which no compiler takes, are the library's where compiled."""
    monkeypatch.setattr(winograd, "products_keep_up", lambda: True)
    monkeypatch.setattr(winograd, "FEWEST_PIXELS", 0)
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 0)
    values = {"family": "feedforward", "generator": {"name": name, "width": 4, "dropout": False}}
    losses, predicted = after_steps({"compile": True}, steps=2, **values)
    expected_losses, expected = after_steps({}, steps=2, **values)
    assert losses == pytest.approx(expected_losses, rel=1e-4)
    assert float((predicted - expected).abs().max()) < 1e-4


def test_float16_is_refused_without_a_gpu() -> None:
    with pytest.raises(ConfigError, match=r"compute\.precision: float16 needs a GPU, this is cpu"):
        Accelerator(ComputeSettings(precision="float16"), CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_on_a_gpu(precision: str) -> None:
    losses = []
    for chosen in ("float32", precision):
        learner = learner_of(tiny("pix2pix", compute={"precision": chosen}), 0, torch.device("cuda"))
        losses.append([float(learner.step(batch(step))["loss_generator"]) for step in range(4)])
    assert losses[1] == pytest.approx(losses[0], rel=HALF_TOLERANCE)
