"""The networks and optimisers of one variant, as a step of its family works on them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn

from txm2sem_core.acceleration import Accelerator, accelerate
from txm2sem_core.acceleration.adam import weights_of
from txm2sem_core.acceleration.captured import CapturedSteps
from txm2sem_core.acceleration.draws import Draws
from txm2sem_core.config import TrainSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.families.average import update_average, weight_average
from txm2sem_core.families.batch import Batch
from txm2sem_core.networks import Baseline, ImageGenerator


class Learner:
    """The networks and optimisers of one variant; `Family.learner` makes it; the family defines a step.

    Attributes:
        generator: what translates, and `generate`, the same as a function that is fast and gives float32.
        discriminator: distinguishes predictions from FIB-SEM images, and `judge` likewise; None where there is none.
        average: the mean of the generator's weights over its last steps, if one is kept.
        noise: random numbers of the losses, drawn on the CPU; `draws` sends them to the device.
        mean_shift: (y, x) in pixels, over the last steps, where `pixel_shift_px` shifts patches (see `shifts`).
        updates: of the generator, before this step; Adam's own count lies on the device, which nothing here waits for.
    """

    judge: Callable[[Tensor], Tensor]
    discriminator_optimiser: torch.optim.Optimizer

    def __init__(
        self,
        settings: TrainSettings,
        networks: tuple[ImageGenerator, nn.Module | None],
        step: Callable[[Learner, Batch, bool], dict[str, Tensor]],
        kind: Callable[[Learner, bool], Hashable | None],
        seed: int,
        device: torch.device,
    ) -> None:
        """Build the optimisers; `step` and `kind` are `Family.step` and `Family.kind_of_step`."""
        self.settings = settings
        self.device = device
        self.compute = Accelerator(settings.compute, device)
        self.noise = torch.Generator(device="cpu").manual_seed(seed)
        self.draws = Draws(self.noise, device)
        self.mean_shift = torch.zeros(2, device=device)
        self.updates = 0
        self._step, self._kind = step, kind
        self.generator, self.discriminator = networks
        if isinstance(self.generator, Baseline):
            raise ConfigError(f"generator.name: {settings.generator.name!r} is fitted; give it the family baseline.")
        if settings.compute.accelerate:
            accelerate(self.generator, training=True)
        self.compute.place(self.generator, differentiated_twice=settings.z_penalty.projection > 0)
        self.generate = self.compute.fast(self.generator)
        adam = settings.optimiser
        options = {"lr": adam.learning_rate, "betas": (adam.beta1, 0.999)}
        weights = self.generator.parameters()
        self.optimiser = self.compute.adam(weights, weight_decay=adam.weight_decay, **options)
        self.average = weight_average(self.generator) if settings.ema_decay else None
        if self.discriminator is not None:
            self.compute.place(self.discriminator)
            self.judge = self.compute.fast(self.discriminator)
            self.discriminator_optimiser = self.compute.adam(self.discriminator.parameters(), **options)
        captures = self.compute.captures_steps
        self._captured = CapturedSteps(device, self.draws, self.optimisers, self._buffers) if captures else None

    def step(self, batch: Batch, update_generator: bool = True) -> dict[str, Tensor]:
        """Take one step of the family on a batch and return its loss terms (detached, on the device).

        With `update_generator` False only the discriminator learns (the extra steps of a Wasserstein critic). On a GPU
        the terms are to be used before the next step, which may write into the same tensors.
        """
        kind = None if self._captured is None else self._kind(self, update_generator)
        if self._captured is None or kind is None:
            terms = self._step(self, batch, update_generator)
        else:
            terms = self._captured.take(lambda given: self._step(self, given, update_generator), batch, kind)
        if update_generator:
            self.updates += 1
            if self.average is not None:
                update_average(self.average, self.generator, self.settings.ema_decay)
        return terms

    def descend(self, loss: Tensor, optimiser: torch.optim.Optimizer, longest: float = 0.0) -> None:
        """Let one optimiser follow the gradient of a loss.

        Args:
            loss: of one number.
            optimiser: of the weights that are to make it less.
            longest: norm over all weights to which a longer gradient is shortened (Pascanu et al. 2013, arXiv
                1211.5063); 0 for none.
        """
        scaler = self.compute.scaler
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(scaler.scale(loss))
        if longest:
            scaler.unscale_(optimiser)
            torch.nn.utils.clip_grad_norm_(weights_of(optimiser), longest)
        scaler.step(optimiser)
        scaler.update()

    def update_generator(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Let the generator follow the sum of some loss terms; returns the sum as `loss_generator`, and the terms."""
        loss = torch.stack(list(terms.values())).sum()
        self.descend(loss, self.optimiser, self.settings.optimiser.longest_gradient)
        return {"loss_generator": loss.detach()} | {name: term.detach() for name, term in terms.items()}

    @property
    def kept_generator(self) -> ImageGenerator:
        """The generator that is validated and kept: the averaged one, if there is one."""
        if self.average is None:
            return self.generator
        averaged = self.average.module
        assert isinstance(averaged, ImageGenerator)  # a copy of ours
        return averaged

    @property
    def optimisers(self) -> list[torch.optim.Optimizer]:
        """The generator's, then the discriminator's."""
        return [self.optimiser, *([self.discriminator_optimiser] if self.discriminator is not None else [])]

    def _buffers(self) -> list[Tensor]:
        """What steps change on the device, beside weights and moments."""
        networks = [self.generator, *([self.discriminator] if self.discriminator is not None else [])]
        return [*(buffer for network in networks for buffer in network.buffers()), self.mean_shift]

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
        own = {"noise": self.noise.get_state(), "updates": self.updates, "mean_shift": self.mean_shift.clone()}
        return states | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        if self._captured is not None:
            self._captured.forget()
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])
        self.noise.set_state(state["noise"])
        self.mean_shift.copy_(state["mean_shift"])
        self.updates = state["updates"]
