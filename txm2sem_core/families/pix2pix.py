"""pix2pix (Isola et al. 2017, arXiv 1611.07004): pixel loss, and an adversarial loss against a discriminator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.families.batch import Batch
from txm2sem_core.families.feedforward import Feedforward
from txm2sem_core.families.learner import Learner
from txm2sem_core.families.losses import discriminator_loss, generator_gan_loss, gradient_penalty, r1_penalty
from txm2sem_core.families.registry import register_family
from txm2sem_core.networks import build_discriminator

_DISCRIMINATOR_SEED = 1_000_003  # added to the variant's seed, so that the two networks start from different draws


@register_family(
    "pix2pix",
    adversarial=True,
    settings={"generator": {"name": "unet_256", "dropout": True}, "pixel_weight": 100.0},
)
class Pix2Pix(Feedforward):
    """The discriminator is given the SEM patch and, where it is conditional, the generator's input too."""

    def build_discriminator(self, seed: int) -> nn.Module:
        """A discriminator as the settings say."""
        settings = self.settings.discriminator
        channels = 1 + self.in_channels * settings.conditional
        options = settings.model_dump(exclude={"conditional"})
        return build_discriminator(**options, in_channels=channels, seed=seed + _DISCRIMINATOR_SEED)

    def step_discriminator(self, learner: Learner, batch: Batch, predicted: Tensor) -> dict[str, Tensor]:
        """Train the discriminator to distinguish FIB-SEM patches from predictions."""
        settings, discriminator = self.settings, learner.discriminator
        assert discriminator is not None  # `build_discriminator` has made it
        discriminator.requires_grad_(True)
        real, fake = self._judged(batch.txm, batch.sem).detach(), self._judged(batch.txm, predicted).detach()
        fake_scores, real_scores = learner.judge(fake), learner.judge(real)
        penalty = torch.zeros((), device=learner.device)
        if settings.objective == "wgangp" and settings.gradient_penalty_weight > 0:
            unweighted = gradient_penalty(discriminator, real, fake, learner.draws)
            penalty = settings.gradient_penalty_weight * unweighted
        loss = discriminator_loss(settings.objective, fake_scores, real_scores, penalty)
        terms = {"loss_gradient_penalty": penalty}
        if settings.r1_weight > 0:
            terms["loss_r1"] = settings.r1_weight * r1_penalty(discriminator, real)
            loss = loss + terms["loss_r1"]
        learner.descend(loss, learner.discriminator_optimiser)
        return {name: term.detach() for name, term in ({"loss_discriminator": loss} | terms).items()}

    def adversarial_terms(self, learner: Learner, batch: Batch, predicted: Tensor) -> dict[str, Tensor]:
        """How far the discriminator is from calling the prediction real."""
        assert learner.discriminator is not None
        learner.discriminator.requires_grad_(False)
        scores = learner.judge(self._judged(batch.txm, predicted))
        return {"loss_adversarial": generator_gan_loss(self.settings.objective, scores)}

    def _judged(self, txm: Tensor, sem: Tensor) -> Tensor:
        """The discriminator's input: the SEM patch, with the TXM patch (enlarged to its size) if conditional."""
        if not self.settings.discriminator.conditional:
            return sem
        if self.settings.factor > 1:
            txm = functional.interpolate(txm, scale_factor=self.settings.factor, mode="nearest")
        return torch.cat([txm, sem], dim=1)
