"""A network's shapes without its memory, so that weights are compared before anything large is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from txm2sem_core.errors import InputError


def skeleton(build: Callable[..., nn.Module], arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """Names and shapes of a network's weights, on PyTorch's `meta` device, where tensors have no data.

    Raises:
        ConfigError: the network cannot be built.
        TypeError: arguments that the builder does not have.
        InputError: sizes that no tensor can have.
    """
    try:
        with torch.device("meta"):
            return dict(build(**{**arguments, "seed": 0}).state_dict())
    except (RuntimeError, OverflowError, MemoryError) as error:
        first_line = str(error).strip().splitlines()[:1]
        raise InputError(f"a network of {dict(arguments)} cannot be built ({' '.join(first_line)[:200]}).") from error


def check_shapes(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], start: str) -> None:
    """InputError, beginning with `start`, unless both have the same names, shapes and kinds of numbers."""
    for key in sorted(wanted.keys() | given.keys()):
        if key not in given or key not in wanted or wanted[key].shape != given[key].shape:
            shapes = [list(source[key].shape) if key in source else "nothing" for source in (given, wanted)]
            raise InputError(
                f"{start}{key} is {shapes[0]} in the file and {shapes[1]} in the network. Copy or make both again."
            )
        if wanted[key].dtype != given[key].dtype:
            raise InputError(
                f"{start}{key} is {given[key].dtype} in the file and {wanted[key].dtype} in the network. Copy or make "
                "both files again."
            )
