"""Training objectives: adversarial losses, the critic's gradient penalty, and pixel losses. All pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from txm2sem_core.acceleration.draws import Draws
from txm2sem_core.errors import ConfigError

Objective = Literal["vanilla", "lsgan", "wgangp"]
PixelLoss = Literal["L1", "L2"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)
PIXEL_LOSSES: tuple[str, ...] = get_args(PixelLoss)


def gan_loss(objective: str, scores: Tensor, *, is_real: bool) -> Tensor:
    """How far a discriminator's scores are from calling the images real, or not real.

    Args:
        objective: vanilla (cross-entropy of the scores as logits; Goodfellow et al. 2014), lsgan (squared distance from
            1 or 0; Mao et al. 2017), or wgangp (mean score, negated for real; Arjovsky et al. 2017).
        scores: any shape.
        is_real: the verdict that would cost nothing.

    Returns:
        A mean over all scores, no dimensions.

    Raises:
        ConfigError: the objective is not known.
    """
    if objective == "vanilla":
        return functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(is_real)))
    if objective == "lsgan":
        return functional.mse_loss(scores, torch.full_like(scores, float(is_real)))
    if objective == "wgangp":
        return -scores.mean() if is_real else scores.mean()
    raise ConfigError(f"objective: {objective!r} is not known. Choose one of {', '.join(OBJECTIVES)}.")


def discriminator_loss(
    objective: str, fake_scores: Tensor, real_scores: Tensor, weighted_penalty: Tensor | float = 0.0
) -> Tensor:
    """Take the mean of the losses on generated and real images, and add the (already weighted) gradient penalty.

    The half is Isola et al. 2017's, to slow the discriminator. With wgangp it halves the critic's loss of Gulrajani et
    al. 2017, equation 3, but not its penalty: a weight of 10 here acts like their 20.
    """
    fake = gan_loss(objective, fake_scores, is_real=False)
    real = gan_loss(objective, real_scores, is_real=True)
    return 0.5 * (fake + real) + weighted_penalty


def generator_gan_loss(objective: str, fake_scores: Tensor) -> Tensor:
    """Return the generator's adversarial loss: the discriminator should call its images real."""
    return gan_loss(objective, fake_scores, is_real=True)


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
    """Mean of `(||grad_u D(u)||_2 - 1)^2`, u drawn evenly on the lines from fake to real images; unweighted.

    Gulrajani et al. 2017, arXiv 1704.00028, equation 3. The score of an image is the sum of its map of scores.

    Args:
        discriminator: `[B, C, Y, X]` to scores `[B, ...]`.
        real: `[B, C, Y, X]`.
        fake: as `real`; no gradient flows back to the generator.
        draws: of one number an image.
    """
    share = draws.uniform((real.shape[0], 1, 1, 1)).to(real.dtype)
    between = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(2, dim=1) - 1).square().mean()


def class_loss(logits: Tensor, classes: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of classes over the pixels that count.

    Args:
        logits: `[B, classes, Y, X]`.
        classes: `[B, 1, Y, X]`, class numbers.
        mask: `[B, 1, Y, X]`, True where a pixel counts; None for all. Where nothing counts, the loss is 0.
    """
    cost = functional.cross_entropy(logits, classes[:, 0].long(), reduction="none")
    weight = torch.ones_like(cost) if mask is None else mask[:, 0].to(cost)
    return (cost * weight).sum() / weight.sum().clamp_min(1)


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Half the squared gradient of the discriminator at real images, mean over the batch; unweighted.

    `1/2 E ||grad D(x)||^2`: Mescheder, Geiger and Nowozin 2018, arXiv 1801.04406, equation 9 without its weight gamma.
    The score of an image is the sum of its map of scores.

    Args:
        discriminator: `[B, C, Y, X]` to scores `[B, ...]`.
        real: `[B, C, Y, X]`.
    """
    images = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    return 0.5 * gradient.flatten(1).square().sum(dim=1).mean()


def pixel_loss(kind: str, prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute (L1) or squared (L2) difference over the pixels that count.

    Args:
        kind: L1 or L2.
        prediction: `[B, C, Y, X]`.
        target: as `prediction`.
        mask: `[B, 1, Y, X]` (or any shape that broadcasts), weight of each pixel, True and 1 for full; None for all.
            Where nothing counts, the loss is 0.

    Raises:
        ConfigError: the kind is not known.
        ValueError: prediction and target differ in shape.
    """
    cost = pixel_costs(kind, prediction, target)
    if mask is None:
        return cost.mean()
    weight = mask.to(cost).expand_as(cost)
    total = weight.sum()
    return (cost * weight).sum() / torch.where(total > 0, total, torch.ones_like(total))


def pixel_costs(kind: str, prediction: Tensor, target: Tensor) -> Tensor:
    """Absolute (L1) or squared (L2) difference of each pixel; raises as `pixel_loss`."""
    if kind not in PIXEL_LOSSES:
        raise ConfigError(f"pixel_loss: {kind!r} is not known. Choose one of {', '.join(PIXEL_LOSSES)}.")
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {list(prediction.shape)} and target {list(target.shape)} differ in shape")
    difference = prediction - target
    return difference.abs() if kind == "L1" else difference.square()
