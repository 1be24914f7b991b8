"""Objectives against the published values, the penalty of a critic whose gradient is known, and masked pixel losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from seeded_draws import draws
from torch import Tensor

from txm2sem_core.errors import ConfigError
from txm2sem_core.families.losses import (
    OBJECTIVES,
    discriminator_loss,
    gan_loss,
    generator_gan_loss,
    gradient_penalty,
    pixel_loss,
)


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("verdict", ["real", "fake"])
def test_objectives_have_the_published_values(reference_fixtures: Path, objective: str, verdict: str) -> None:
    values = np.load(reference_fixtures / "losses.npz")
    loss = gan_loss(objective, torch.from_numpy(values["pred"]), is_real=verdict == "real")
    assert loss.item() == pytest.approx(float(values[f"{objective}_{verdict}"]), abs=1e-5)


@pytest.mark.parametrize(
    ("objective", "real", "fake"),
    [
        ("vanilla", lambda s: -np.log(1 / (1 + np.exp(-s))), lambda s: -np.log(1 - 1 / (1 + np.exp(-s)))),
        ("lsgan", lambda s: (s - 1) ** 2, lambda s: s**2),
        ("wgangp", lambda s: -s, lambda s: s),
    ],
)
def test_objectives_are_the_means_of_their_formulas(objective: str, real: object, fake: object) -> None:
    scores = random_tensor(3, 1, 5, 5)
    values = scores.double().numpy()
    assert gan_loss(objective, scores, is_real=True).item() == pytest.approx(real(values).mean(), rel=1e-5)
    assert gan_loss(objective, scores, is_real=False).item() == pytest.approx(fake(values).mean(), rel=1e-5)


def test_the_combinations() -> None:
    fake, real = random_tensor(2, 1, 3, 3), random_tensor(2, 1, 3, 3, seed=1)
    loss = discriminator_loss("lsgan", fake, real, torch.tensor(0.25))
    torch.testing.assert_close(loss, 0.5 * (fake.square().mean() + (real - 1).square().mean()) + 0.25)
    torch.testing.assert_close(generator_gan_loss("lsgan", fake), (fake - 1).square().mean())


def test_unknown_objectives_are_named() -> None:
    with pytest.raises(ConfigError, match=r"'hinge' is not known\. Choose one of vanilla, lsgan, wgangp"):
        gan_loss("hinge", torch.zeros(1), is_real=True)
    with pytest.raises(ConfigError, match=r"'L3' is not known\. Choose one of L1, L2"):
        pixel_loss("L3", torch.zeros(1), torch.zeros(1))


def test_gradient_penalty_of_a_linear_critic_is_exact() -> None:
    direction = random_tensor(1, 2, 4, 4)
    penalty = gradient_penalty(
        lambda u: (u * direction).sum(dim=(1, 2, 3)),
        random_tensor(5, 2, 4, 4, seed=1),
        random_tensor(5, 2, 4, 4, seed=2),
        draws(),
    )
    assert penalty.item() == pytest.approx((direction.norm().item() - 1) ** 2, rel=1e-5)


def test_gradient_penalty_looks_between_fake_and_real_images() -> None:
    seen = []
    real, fake = torch.ones(400, 1, 2, 2), torch.zeros(400, 1, 2, 2)

    def critic(u: Tensor) -> Tensor:
        seen.append(u.detach())
        return u.sum(dim=(1, 2, 3))

    gradient_penalty(critic, real, fake, draws())
    shares = seen[0][:, 0, 0, 0]
    assert torch.equal(seen[0], shares.view(-1, 1, 1, 1).expand_as(real))  # one place on the line for each image
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares.mean().item() == pytest.approx(0.5, abs=0.05)
    assert shares.std().item() == pytest.approx(12**-0.5, abs=0.03)


def test_gradient_penalty_is_repeatable_trains_the_critic_and_spares_the_generator() -> None:
    weight = torch.tensor(0.3, requires_grad=True)
    real, fake = random_tensor(3, 1, 4, 4), random_tensor(3, 1, 4, 4, seed=1).requires_grad_(True)
    penalties = [gradient_penalty(lambda u: weight * u**2, real, fake, draws(seed)) for seed in (0, 0, 1)]
    assert penalties[0] == penalties[1] != penalties[2]
    penalties[0].backward()
    assert weight.grad is not None
    assert weight.grad != 0
    assert fake.grad is None


@pytest.mark.parametrize(("kind", "power"), [("L1", 1), ("L2", 2)])
def test_pixel_losses_count_the_masked_pixels_only(kind: str, power: int) -> None:
    prediction, target = random_tensor(2, 3, 6, 6), random_tensor(2, 3, 6, 6, seed=1)
    cost = (prediction - target).abs() ** power
    mask = random_tensor(2, 1, 6, 6, seed=2) > 0
    torch.testing.assert_close(pixel_loss(kind, prediction, target), cost.mean())
    torch.testing.assert_close(pixel_loss(kind, prediction, target, mask), cost[mask.expand_as(cost)].mean())
    torch.testing.assert_close(pixel_loss(kind, prediction, target, torch.ones_like(mask)), cost.mean())


def test_pixel_loss_of_an_empty_mask_is_zero_and_its_gradient_too() -> None:
    prediction = random_tensor(1, 1, 4, 4).requires_grad_(True)
    loss = pixel_loss("L1", prediction, torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    loss.backward()
    assert loss == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_pixel_losses_refuse_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        pixel_loss("L1", torch.zeros(2, 1, 4, 4), torch.zeros(1, 1, 4, 4))
