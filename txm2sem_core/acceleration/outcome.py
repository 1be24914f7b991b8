"""What a training step leaves, to tell whether another way of taking it leaves the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOSS_SHARE, LOSS = 0.05, 1e-3  # a loss may differ by so much of itself, and so much besides
UPDATE_SHARE = 0.5  # the change of all weights may differ by so much of its norm: rounding turns the smallest gradients


@dataclass(frozen=True)
class Outcome:
    """The losses and weights after a step."""

    terms: dict[str, Tensor]
    weights: list[Tensor]

    @classmethod
    def of(cls, terms: dict[str, Tensor], weights: list[Tensor]) -> Outcome:
        """Copies of them, as they are now."""
        return cls(dict(zip(terms, copies(list(terms.values())), strict=True)), copies(weights))

    def difference(self, expected: Outcome, before: list[Tensor]) -> str:
        """How it differs from what is expected, by more than rounding does; empty where it does not.

        Args:
            expected: the outcome of the same step, taken in another way.
            before: the weights before the step.
        """
        for name, term in expected.terms.items():
            found = self.terms[name]
            if not torch.allclose(found, term, rtol=LOSS_SHARE, atol=LOSS, equal_nan=True):
                return f"{name} {float(found):.4g} instead of {float(term):.4g}"
        apart, moved = _distance(self.weights, expected.weights), _distance(expected.weights, before)
        if moved.isfinite() and not apart <= UPDATE_SHARE * moved:
            return f"weights that are {float(apart / moved):.0%} of their change apart"
        return ""


def copies(tensors: list[Tensor]) -> list[Tensor]:
    """Their values as they are now."""
    return [each.detach().clone() for each in tensors]


def put_back(tensors: list[Tensor], values: list[Tensor]) -> None:
    """Give tensors, in place, the values that they had."""
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)


def _distance(ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    """The norm of the difference over all elements."""
    apart = [torch.linalg.vector_norm(a.float() - b.float()) for a, b in zip(ours, theirs, strict=True)]
    return torch.linalg.vector_norm(torch.stack(apart))
