"""A training that starts from the weights of a trained model (`init_from`), and the record of it.

Intensities are mapped by the new patches, never as the model had them: only its weights are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from txm2sem_core.checkpoint import Fit, fit_weights, load_weights, shapes_of
from txm2sem_core.families import Family, Learner
from txm2sem_core.networks import ImageGenerator

_LITTLE = 0.5  # share of the network's weights: a warning where less is taken


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
        model: the folder of `init_from`, as it stands in the settings.
        weights_sha256: tells the model from another.
        fit: what is taken, and what of that stays.
        weights: those that are taken, by name.
        share: of all numbers in the network's weights, those that are taken.
    """

    model: str
    weights_sha256: str
    fit: Fit
    weights: dict[str, Tensor]
    share: float

    def put_into(self, generator: ImageGenerator) -> None:
        """Replace what is taken, in place."""
        generator.load_state_dict({**generator.state_dict(), **self.weights})

    def begin(self, learner: Learner) -> None:
        """Let a fresh learner start from it: its generator, the average of it, and what they keep as it is."""
        self.put_into(learner.generator)
        if learner.average is not None:
            self.put_into(learner.kept_generator)
        frozen = set(self.fit.frozen)
        for name, weight in learner.generator.named_parameters():
            if name in frozen:
                weight.requires_grad_(False)

    def record(self) -> dict[str, Any]:
        """What `model.json` keeps of it."""
        return {
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "taken": len(self.fit.taken),
            "left": dict(self.fit.left),
            "frozen": list(self.fit.frozen),
        }

    def warnings(self) -> list[str]:
        """What makes it doubtful that the training gains by it."""
        if self.share >= _LITTLE:
            return []
        return [
            f"Only {self.share:.0%} of the network's weights could be taken from {self.model}, the others began at "
            "random. Choose the generator, width and context of that model."
        ]


def start_of(family: Family) -> Start | None:
    """What the settings of a family's variant start from; None where they name no model.

    Raises:
        InputError: the model cannot be read.
        ConfigError: no weight can be taken, or `freeze` does not fit.
    """
    settings = family.settings
    if settings.init_from is None:
        return None
    given, description = load_weights(settings.init_from)
    wanted = shapes_of(family.generator_arguments())
    fit = fit_weights(wanted, given, settings.freeze, settings.init_from)
    share = sum(wanted[name].numel() for name in fit.taken) / sum(value.numel() for value in wanted.values())
    weights = {name: given[name] for name in fit.taken}
    return Start(settings.init_from, description["weights_sha256"], fit, weights, share)
