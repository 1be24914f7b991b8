"""An exponential moving average of the generator's weights."""

from __future__ import annotations

import copy
from typing import Any

import torch

from txm2sem_core.networks import ImageGenerator


class WeightAverage:
    """A generator whose weights are the mean of another's over its last steps, roughly `1 / (1 - decay)` of them.

    `average = d average + (1 - d) weights` after each step, with `d = min(decay, (1 + t) / (10 + t))` at step t, so
    that the first steps do not weigh for long (Polyak and Juditsky 1992; the start is TensorFlow's). Running statistics
    of batch norm are means already, and are copied.
    """

    def __init__(self, generator: ImageGenerator, decay: float) -> None:
        self.network = copy.deepcopy(generator).requires_grad_(False)
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self, generator: ImageGenerator) -> None:
        """Take in the weights that a step has left."""
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for weights, current in zip(self.network.parameters(), generator.parameters(), strict=True):
            weights.data.lerp_(current, 1 - decay)
        for statistic, recorded in zip(self.network.buffers(), generator.buffers(), strict=True):
            statistic.copy_(recorded)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"network": self.network.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.network.load_state_dict(state["network"])
        self._steps = state["steps"]
