"""What a training step leaves, to tell whether another way of taking it leaves the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOSS_SHARE, LOSS = 0.05, 1e-3  # a loss may differ by so much of itself, and so much besides
CHANGE_SHARE = 0.5  # the change of a group may differ by so much of its norm: rounding turns the smallest gradients

Groups = dict[str, list[Tensor]]
"""Tensors that a step changes, each group with a name that says what they are."""


@dataclass(frozen=True)
class Outcome:
    """The losses after a step, and what it has changed."""

    terms: dict[str, Tensor]
    changed: Groups

    @classmethod
    def of(cls, terms: dict[str, Tensor], changing: Groups) -> Outcome:
        """Copies of them, as they are now."""
        return cls(dict(zip(terms, copies(list(terms.values())), strict=True)), copied(changing))

    def difference(self, expected: Outcome, before: Groups) -> str:
        """How it differs from what is expected, by more than rounding does; empty where it does not.

        Args:
            expected: the outcome of the same step, taken in another way.
            before: what the step changes, as it was before it.
        """
        for name, term in expected.terms.items():
            found = self.terms[name]
            if not torch.allclose(found, term, rtol=LOSS_SHARE, atol=LOSS, equal_nan=True):
                return f"{name} {float(found):.4g} instead of {float(term):.4g}"
        for name, wanted in expected.changed.items():
            apart, moved = _distance(self.changed[name], wanted), _distance(wanted, before[name])
            if moved.isfinite() and not apart <= CHANGE_SHARE * moved:
                return f"{name} that are {float(apart / moved):.0%} of their change apart"
        return ""


def copied(groups: Groups) -> Groups:
    """Their values as they are now."""
    return {name: copies(tensors) for name, tensors in groups.items()}


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
    apart = [torch.linalg.vector_norm(a.double() - b.double()) for a, b in zip(ours, theirs, strict=True)]
    return torch.linalg.vector_norm(torch.stack(apart)) if apart else torch.zeros(())
