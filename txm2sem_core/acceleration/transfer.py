"""Copies to a device that wait for nothing."""

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
