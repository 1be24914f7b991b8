"""One optimisation step of each family's objective.

feedforward, srcnn: pixel loss. segmentation: cross-entropy. pix2pix and repair (Isola et al. 2017), srgan (Ledig et al.
2016): pixel loss and adversarial loss against a discriminator that sees the SEM patch, and what the generator was given
as well where it is conditional. Each with the z-penalties where asked.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration import Compute, accelerate
from txm2sem_core.config import ADVERSARIAL, TrainSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families.architecture import generator_arguments, input_channels
from txm2sem_core.families.side_tasks import LOGIT_SCALE, composed
from txm2sem_core.networks import Baseline, ImageGenerator, build_discriminator, build_generator
from txm2sem_core.training import z_penalty
from txm2sem_core.training.average import WeightAverage
from txm2sem_core.training.batches import Batch
from txm2sem_core.training.losses import (
    class_loss,
    discriminator_loss,
    generator_gan_loss,
    gradient_penalty,
    pixel_loss,
    r1_penalty,
)

_DISCRIMINATOR_SEED = 1_000_003  # added to the variant's seed, so that the two networks start from different draws


class Learner:
    """The networks and optimisers of one variant, and one step of their training; ConfigError for a baseline."""

    def __init__(self, settings: TrainSettings, seed: int, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.compute = Compute(settings.compute, device)
        self.noise = torch.Generator(device="cpu").manual_seed(seed)
        self.generator = build_generator(**generator_arguments(settings), seed=seed)
        if isinstance(self.generator, Baseline):
            raise ConfigError(f"generator.name: {settings.generator.name!r} is fitted; give it the family baseline.")
        if settings.compute.accelerate:
            accelerate(self.generator, training=True)
        self.compute.place(self.generator, differentiated_twice=settings.z_penalty.projection > 0)
        adam = settings.optimiser
        betas = (adam.beta1, 0.999)
        self.optimiser = self.compute.adam(
            self.generator.parameters(), lr=adam.learning_rate, betas=betas, weight_decay=adam.weight_decay
        )
        self.average = WeightAverage(self.generator, settings.ema_decay) if settings.ema_decay else None
        self.discriminator: nn.Module | None = None
        if settings.family in ADVERSARIAL:
            own = settings.discriminator.model_dump(exclude={"conditional"})
            channels = 1 + input_channels(settings) * settings.discriminator.conditional
            discriminator = build_discriminator(**own, in_channels=channels, seed=seed + _DISCRIMINATOR_SEED)
            self.discriminator = self.compute.place(discriminator)
            self._judge = self.compute.fast(discriminator)
            self.discriminator_optimiser = self.compute.adam(
                discriminator.parameters(), lr=adam.learning_rate, betas=betas
            )
        self._generate = self.compute.fast(self.generator)
        self._updates = 0  # of the generator; Adam's own count lies on the device, which nothing here waits for

    @property
    def kept_generator(self) -> ImageGenerator:
        """The generator that is validated and kept: the averaged one, if there is one."""
        return self.average.network if self.average is not None else self.generator

    @property
    def optimisers(self) -> list[torch.optim.Optimizer]:
        """The generator's, then the discriminator's."""
        return [self.optimiser, *([self.discriminator_optimiser] if self.discriminator is not None else [])]

    def _stateful(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"generator": self.generator, "optimiser": self.optimiser}
        if self.discriminator is not None:
            parts |= {"discriminator": self.discriminator, "discriminator_optimiser": self.discriminator_optimiser}
        if self.average is not None:
            parts["average"] = self.average
        if self.compute.scaler.is_enabled():
            parts["scaler"] = self.compute.scaler
        return parts

    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on, save torch's global random state."""
        states = {name: part.state_dict() for name, part in self._stateful().items()}
        return states | {"noise": self.noise.get_state(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])
        self.noise.set_state(state["noise"])
        self._updates = state["updates"]

    def step(self, batch: Batch, update_generator: bool = True) -> dict[str, Tensor]:
        """Take one step on a batch and return its loss terms (detached, on the device).

        With `update_generator` False only the discriminator learns (the extra steps of a Wasserstein critic).
        """
        txm, sem = self.compute.batch(batch.txm), self.compute.batch(batch.sem)
        mask = self.compute.batch(batch.mask) if self.settings.mask_loss else None
        penalties = self._penalties_due() if update_generator else {}
        txm.requires_grad_("projection" in penalties)
        # what is differentiated twice, or compared with a second pass, is computed plainly
        network = z_penalty.Repeatable(self.generator) if penalties else self._generate
        plain = bool(penalties) and self.compute.is_float32
        with torch.set_grad_enabled(update_generator):
            predicted = network(txm) if plain or not penalties else self._generate(txm)
            if self.settings.family == "repair":
                predicted = composed(predicted, txm)
        losses: dict[str, Tensor] = {}
        if self.discriminator is not None:
            losses |= self._step_discriminator(self.discriminator, txm, sem, predicted)
        if update_generator:
            answered = predicted if plain or not penalties else network(txm)
            penalised = self._z_penalties(network, penalties, txm, answered, batch)
            losses |= self._step_generator(txm, self._content_loss(predicted, sem, mask, batch), predicted, penalised)
            self._updates += 1
            if self.average is not None:
                self.average.update(self.generator)
        return losses

    def _step_discriminator(
        self, discriminator: nn.Module, txm: Tensor, sem: Tensor, predicted: Tensor
    ) -> dict[str, Tensor]:
        settings = self.settings
        discriminator.requires_grad_(True)
        real, fake = self._judged(txm, sem).detach(), self._judged(txm, predicted).detach()
        fake_scores, real_scores = self._judge(fake), self._judge(real)
        penalty = torch.zeros((), device=self.device)
        if settings.objective == "wgangp" and settings.gradient_penalty_weight > 0:
            unweighted = gradient_penalty(discriminator, real, fake, self.noise)
            penalty = settings.gradient_penalty_weight * unweighted
        loss = discriminator_loss(settings.objective, fake_scores, real_scores, penalty)
        terms = {"loss_gradient_penalty": penalty}
        if settings.r1_weight > 0:
            terms["loss_r1"] = settings.r1_weight * r1_penalty(discriminator, real)
            loss = loss + terms["loss_r1"]
        self._descend(loss, self.discriminator_optimiser)
        return {name: term.detach() for name, term in ({"loss_discriminator": loss} | terms).items()}

    def _descend(self, loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
        scaler = self.compute.scaler
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(scaler.scale(loss))
        scaler.step(optimiser)
        scaler.update()

    def _content_loss(self, predicted: Tensor, sem: Tensor, mask: Tensor | None, batch: Batch) -> Tensor:
        """How far the prediction is from the SEM, or from its classes, pixel by pixel."""
        settings = self.settings
        if settings.family == "segmentation":
            if batch.classes is None:
                raise InputError("segmentation: the batch has no classes. Give patches with density masks.")
            return settings.pixel_weight * class_loss(LOGIT_SCALE * predicted, batch.classes.to(self.device), mask)
        return settings.pixel_weight * pixel_loss(settings.pixel_loss, predicted, sem, mask)

    def _step_generator(
        self, txm: Tensor, content: Tensor, predicted: Tensor, penalties: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        terms = {"loss_pixel": content}
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
            scores = self._judge(self._judged(txm, predicted))
            terms["loss_adversarial"] = generator_gan_loss(self.settings.objective, scores)
        terms |= penalties
        loss = torch.stack(list(terms.values())).sum()
        self._descend(loss, self.optimiser)
        return {"loss_generator": loss.detach()} | {name: term.detach() for name, term in terms.items()}

    def _penalties_due(self) -> dict[str, float]:
        """Weights of the z-penalties of this step: one that comes at every n-th step only has n times its weight.

        Lazy regularisation (Karras et al. 2020, arXiv 1912.04958, appendix B): the mean gradient is the same.
        """
        z_penalty = self.settings.z_penalty
        due = self._updates % z_penalty.every == 0
        weights = {name: weight * z_penalty.every for name, weight in z_penalty.weights.items() if due}
        return weights | ({"projection": z_penalty.projection} if z_penalty.projection else {})

    def _z_penalties(
        self, network: z_penalty.Network, weights: dict[str, float], txm: Tensor, predicted: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        reduction = self.settings.z_penalty.reduction
        terms = {f"loss_z_{method}": predicted.new_zeros(()) for method in self.settings.z_penalty.weights}
        for method, weight in weights.items():
            if method == "stack":
                if batch.stack is None:
                    raise ConfigError("z_penalty.stack: the batch holds no slices of the TXM volume. Give the volume.")
                slices = self.compute.batch(batch.stack)
                penalty = z_penalty.stack(network, slices[:, :-1], slices[:, 1:], reduction=reduction)
            else:
                estimate = z_penalty.JACOBIAN_PENALTIES[method]
                penalty = estimate(network, txm, predicted, self.noise, reduction=reduction)
            terms[f"loss_z_{method}"] = weight * penalty
        return terms

    def _judged(self, txm: Tensor, sem: Tensor) -> Tensor:
        """What the discriminator sees: the SEM patch, with the TXM patch (enlarged to its size) if conditional."""
        if not self.settings.discriminator.conditional:
            return sem
        if self.settings.factor > 1:
            txm = functional.interpolate(txm, scale_factor=self.settings.factor, mode="nearest")
        return torch.cat([txm, sem], dim=1)
