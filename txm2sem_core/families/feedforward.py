"""Feedforward: a generator that learns by its difference from the FIB-SEM patch, and by z-penalties if configured."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from txm2sem_core.families import z_penalty
from txm2sem_core.families.base import Family
from txm2sem_core.families.batch import Batch
from txm2sem_core.families.learner import Learner
from txm2sem_core.families.losses import pixel_loss
from txm2sem_core.families.registry import register_family
from txm2sem_core.families.shifts import fitted


@register_family("feedforward", settings={"generator": {"name": "resnet_9blocks"}}, paper_fixes_generator=True)
class Feedforward(Family):
    """Pixel loss, and z-penalties. Other families add to or replace the three methods after `step`."""

    def step(self, learner: Learner, batch: Batch, update_generator: bool) -> dict[str, Tensor]:
        """Take one step; see `Family.step`."""
        weights = self._penalties_due(learner, update_generator)
        with learner.compute.all_digits() if "perturbation" in weights else nullcontext():
            return self._step(learner, batch, update_generator, weights)

    def _step(
        self, learner: Learner, batch: Batch, update_generator: bool, weights: dict[str, float]
    ) -> dict[str, Tensor]:
        """The step, with penalties of such weights."""
        settings, compute = self.settings.z_penalty, learner.compute
        batch = replace(batch, txm=compute.batch(batch.txm), sem=compute.batch(batch.sem))
        batch.txm.requires_grad_("projection" in weights)
        # what is differentiated twice, or compared with a second pass, is computed plainly
        network = z_penalty.Repeatable(learner.generator) if weights else learner.generate
        plain = not weights or compute.is_float32
        with torch.set_grad_enabled(update_generator):
            predicted = self.predict(network if plain else learner.generate, batch.txm)
        losses = self.step_discriminator(learner, batch, predicted)
        if not update_generator:
            return losses
        stack = None if batch.stack is None or "stack" not in weights else compute.batch(batch.stack)
        penalised = predicted if plain else network(batch.txm)
        penalties = z_penalty.terms(settings, weights, network, (batch.txm, penalised, stack), learner.draws)
        content = self.settings.pixel_weight * self.content_loss(learner, predicted, batch)
        terms = {"loss_pixel": content} | self.adversarial_terms(learner, batch, predicted) | penalties
        return losses | learner.update_generator(terms)

    def kind_of_step(self, learner: Learner, update_generator: bool) -> Hashable | None:
        """Which penalties are due; None where they need a second pass with the same dropout."""
        due = self._penalties_due(learner, update_generator)
        if due and z_penalty.has_active_dropout(learner.generator):
            return None
        return update_generator, *due

    def _penalties_due(self, learner: Learner, update_generator: bool) -> dict[str, float]:
        return z_penalty.weights_due(self.settings.z_penalty, learner.updates) if update_generator else {}

    def content_loss(self, learner: Learner, predicted: Tensor, batch: Batch) -> Tensor:
        """How far a prediction is from the FIB-SEM patch, before `pixel_weight`."""
        sem, counted = fitted(learner, predicted, batch.sem, self.counted(learner, batch))
        return pixel_loss(self.settings.pixel_loss, predicted, sem, counted)

    def step_discriminator(self, learner: Learner, batch: Batch, predicted: Tensor) -> dict[str, Tensor]:
        """Take a step of the discriminator, where there is one, and return its loss terms."""
        return {}

    def adversarial_terms(self, learner: Learner, batch: Batch, predicted: Tensor) -> dict[str, Tensor]:
        """The generator's further loss terms, which the discriminator judges."""
        return {}

    def counted(self, learner: Learner, batch: Batch) -> Tensor | None:
        """The pixels that count in the pixel loss; None for all."""
        return learner.compute.batch(batch.mask) if self.settings.mask_loss else None
