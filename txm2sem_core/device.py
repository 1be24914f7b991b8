"""Which device computes."""

from __future__ import annotations

import sys

import torch

from txm2sem_core.errors import ConfigError


def choose_device(device: str) -> torch.device:
    """Turn `auto` into the GPU where there is one, then Apple's, then the CPU, and say so on stderr.

    Raises:
        ConfigError: the device that was asked for by name is not there.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
        if device == "cpu":
            print("No GPU found: computing on the CPU.", file=sys.stderr)
    elif not available.get(device):
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise ConfigError(f"device: {device!r} is not there. Choose auto or one of {there}.")
    return torch.device(device)


def device_name(device: torch.device) -> str:
    """A GPU's own name, else `cpu` or `mps`: what a model records."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
