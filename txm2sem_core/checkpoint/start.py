"""Which weights of a model another network can start from, and which of them are to stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from txm2sem_core.checkpoint.skeleton import skeleton
from txm2sem_core.errors import ConfigError
from txm2sem_core.networks import build_generator, plugin_of

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norm: they follow the data
_SHOWN = 3  # weights that a text names


@dataclass(frozen=True)
class Fit:
    """What of a model's weights goes into another network.

    Attributes:
        taken: names of what both have in one shape.
        left: weights of the network that begin at random, each with the reason.
        frozen: those of `taken` that stay as the model has them.
    """

    taken: tuple[str, ...]
    left: Mapping[str, str]
    frozen: tuple[str, ...] = ()

    def text(self) -> str:
        """It in one sentence, for the log."""
        count = f"{len(self.taken)} of {len(self.taken) + len(self.left)} arrays of weights are taken"
        frozen = f", {len(self.frozen)} of them stay as they are" if self.frozen else ""
        names = [f"{name} ({reason})" for name, reason in list(self.left.items())[:_SHOWN]]
        more = f" and {len(self.left) - _SHOWN} more" if len(self.left) > _SHOWN else ""
        return f"{count}{frozen}" + (f"; drawn at random: {', '.join(names)}{more}" if self.left else "")


def shapes_of(arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """Names and shapes of a generator's weights, by the arguments of `build_generator`; see `skeleton`."""
    if plugin_of(arguments["name"]) is None:  # a user's own builder may not bear to be built without memory
        return skeleton(build_generator, arguments)
    return dict(build_generator(**{**arguments, "seed": 0}).state_dict())


def fit_weights(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], freeze: Iterable[str], model: str) -> Fit:
    """Which of the weights `given` a network with the weights `wanted` can take, and which of those stay.

    Args:
        wanted: by name; shapes are enough.
        given: of the model.
        freeze: layers, as beginnings of names up to a dot.
        model: its folder, for messages.

    Raises:
        ConfigError: no weight can be taken, a name of `freeze` is of none that is, or nothing is left to train.
    """
    taken = tuple(
        key
        for key, value in wanted.items()
        if key in given and given[key].shape == value.shape and given[key].dtype == value.dtype
    )
    own = [key for key in wanted if key.rpartition(".")[2] not in _STATISTICS]
    left = {
        key: f"{list(wanted[key].shape)}, there {list(given[key].shape) if key in given else 'nothing'}"
        for key in own
        if key not in taken
    }
    if not any(wanted[key].ndim > 1 for key in taken):  # numbers of channels agree by chance, as in a norm
        raise ConfigError(
            f"init_from: no kernel of {model} has the name and shape of one of this network: "
            f"{', '.join(f'{key} {reason}' for key, reason in list(left.items())[:_SHOWN])}. Choose a model of the "
            "same generator and width, or those of the model."
        )
    frozen = _frozen([key for key in own if key in taken], freeze, model)
    if len(frozen) == len(own):
        raise ConfigError(
            f"freeze: {', '.join(freeze)} are all layers of the network, and nothing is left to train. Name fewer."
        )
    return Fit(taken, left, frozen)


def _frozen(taken: list[str], freeze: Iterable[str], model: str) -> tuple[str, ...]:
    found: set[str] = set()
    for layer in freeze:
        named = {key for key in taken if f"{key}.".startswith(f"{layer}.")}
        if not named:
            layers = dict.fromkeys(key.partition(".")[0] for key in taken)
            raise ConfigError(
                f"freeze: {layer!r} is no layer that is taken from {model}. It has {', '.join(layers)}; one of several "
                "is called as blocks.0."
            )
        found |= named
    return tuple(key for key in taken if key in found)
