"""Random numbers of training steps: drawn on the CPU, so that they are the same on every device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from txm2sem_core.acceleration.transfer import sent

Held = list[tuple[Tensor, Callable[[Sequence[int]], Tensor]]]
"""Tensors on a device, each with what draws the numbers for it."""


class Draws:
    """Random numbers from a generator on the CPU, as tensors on a device."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device
        self._held: Held | None = None

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Of mean 0 and variance 1."""
        return self._drawn(self._normal, shape)

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Evenly from 0 to 1."""
        return self._drawn(self._uniform, shape)

    def signs(self, shape: Sequence[int]) -> Tensor:
        """+1 or -1."""
        return self._drawn(self._signs, shape)

    @contextmanager
    def held(self) -> Iterator[Held]:
        """Within it, nothing is drawn: tensors without values are returned and kept, for `draw_into`."""
        held: Held = []
        self._held = held
        try:
            yield held
        finally:
            self._held = None

    def draw_into(self, held: Held) -> None:
        """Draw the numbers for tensors that were kept, in their order."""
        for place, draw in held:
            numbers = draw(place.shape)
            place.copy_(numbers.pin_memory() if place.is_cuda else numbers, non_blocking=True)

    def _drawn(self, draw: Callable[[Sequence[int]], Tensor], shape: Sequence[int]) -> Tensor:
        if self._held is None:
            return sent(draw(shape), self.device)
        place = torch.empty(tuple(shape), device=self.device)
        self._held.append((place, draw))
        return place

    def _normal(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self.generator)

    def _uniform(self, shape: Sequence[int]) -> Tensor:
        return torch.rand(tuple(shape), generator=self.generator)

    def _signs(self, shape: Sequence[int]) -> Tensor:
        return torch.randint(0, 2, tuple(shape), generator=self.generator).float().mul_(2).sub_(1)
