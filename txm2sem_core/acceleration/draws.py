"""Random numbers of training steps: drawn on the CPU, so that they are the same on every device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from txm2sem_core.acceleration.transfer import send_into, sent


@dataclass(frozen=True)
class Draw:
    """Random numbers that a step asks for: what draws them, and their shape."""

    draw: Callable[[tuple[int, ...]], Tensor]
    shape: tuple[int, ...]


Places = list[tuple[Draw, Tensor]]
"""Draws, each with a tensor on a device for its numbers."""


class Draws:
    """Random numbers from a generator on the CPU, as tensors on a device."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device
        self._noted: list[Draw] | None = None
        self._places: Iterator[tuple[Draw, Tensor]] | None = None

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Of mean 0 and variance 1."""
        return self._drawn(Draw(self._normal, tuple(shape)))

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Evenly from 0 to 1."""
        return self._drawn(Draw(self._uniform, tuple(shape)))

    def signs(self, shape: Sequence[int]) -> Tensor:
        """+1 or -1."""
        return self._drawn(Draw(self._signs, tuple(shape)))

    @contextmanager
    def noted(self) -> Iterator[list[Draw]]:
        """Within it, it is noted what is drawn."""
        noted: list[Draw] = []
        self._noted = noted
        try:
            yield noted
        finally:
            self._noted = None

    def places(self, noted: Sequence[Draw]) -> Places:
        """Tensors on the device for the numbers of a step that draws what was noted."""
        return [(each, torch.empty(each.shape, device=self.device)) for each in noted]

    @contextmanager
    def from_places(self, places: Places) -> Iterator[None]:
        """Within it, nothing is drawn: the places are handed out, one after the other.

        Raises:
            RuntimeError: other numbers are asked for than were noted.
        """
        self._places = iter(places)
        try:
            yield
        finally:
            self._places = None

    def draw_into(self, places: Places) -> None:
        """Draw the numbers for the places, in their order."""
        for each, place in places:
            send_into(place, each.draw(each.shape))

    def _drawn(self, wanted: Draw) -> Tensor:
        if self._places is not None:
            noted, place = next(self._places, (None, None))
            if noted != wanted or place is None:
                raise RuntimeError(f"the step draws {wanted}, where an earlier one of its kind drew {noted}")
            return place
        if self._noted is not None:
            self._noted.append(wanted)
        return sent(wanted.draw(wanted.shape), self.device)

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def _uniform(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    def _signs(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(0, 2, shape, generator=self.generator).float().mul_(2).sub_(1)
