"""Copies to a device, and from it, that wait for nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device, layout: torch.memory_format = torch.preserve_format) -> Tensor:
    """The values on a device, in a memory format.

    A copy from the processor's memory to a GPU would wait for all that the GPU was given before it, unless the system
    cannot move that memory.
    """
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True, memory_format=layout)
    return values.to(device, memory_format=layout)


def send_into(place: Tensor, values: Tensor) -> None:
    """Copy values into a tensor on a device, as `sent` does."""
    pinned = place.device.type == "cuda" and values.device.type == "cpu"
    place.copy_(values.pin_memory() if pinned else values, non_blocking=True)


class Received:
    """Numbers of a device that are copied to the processor's memory while the device goes on with what it was given."""

    def __init__(self, values: Tensor) -> None:
        self._values, self._copied = values.detach(), None
        if values.device.type == "cuda":
            there = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values = there.copy_(self._values, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()

    def numbers(self) -> list[float]:
        """Wait for the copy alone, not for what the device was given after it."""
        if self._copied is not None:
            self._copied.synchronize()
        found: list[float] = self._values.tolist()
        return found
