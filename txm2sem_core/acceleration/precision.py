"""How networks run on a device: half precision, compiled, in the memory format channels last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from txm2sem_core.acceleration.adam import Adam
from txm2sem_core.acceleration.fast_paths import path_of
from txm2sem_core.acceleration.transfer import sent
from txm2sem_core.config import ComputeSettings
from txm2sem_core.errors import ConfigError

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Accelerator:
    """Places networks and batches on a device, and runs networks as the settings say; losses stay in float32."""

    def __init__(self, settings: ComputeSettings, device: torch.device) -> None:
        if settings.precision == "float16" and device.type != "cuda":
            raise ConfigError(
                f"compute.precision: float16 needs a GPU, this is {device.type}. Choose bfloat16 or float32."
            )
        self.settings, self.device = settings, device
        self.channels_last = device.type == "cuda" if settings.channels_last is None else settings.channels_last
        # gradients of float16 are scaled, or they would fall below its smallest number (Micikevicius et al. 2018)
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")

    @property
    def is_float32(self) -> bool:
        """Whether networks compute in float32."""
        return self.settings.precision == "float32"

    @property
    def captures_steps(self) -> bool:
        """Whether training steps are captured as graphs (see `captured`)."""
        return self.device.type == "cuda" and self.settings.accelerate and self.settings.precision != "float16"

    def place(self, network: nn.Module, *, differentiated_twice: bool = False) -> nn.Module:
        """Move a network to the device, in the memory format that is asked for, or in which it is fast on a CPU."""
        path = path_of(network) if self.settings.accelerate and self.device.type == "cpu" else None
        innermost = path is not None and path.weights_innermost and not differentiated_twice
        if self.channels_last or innermost:
            return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.to(self.device)

    def batch(self, images: Tensor) -> Tensor:
        """Move images to the device, in the memory format."""
        layout = torch.channels_last if self.channels_last else torch.preserve_format
        return sent(images, self.device, layout)

    def adam(self, weights: Iterable[nn.Parameter], **options: Any) -> torch.optim.Adam:
        """The optimiser, with the options of `torch.optim.Adam`."""
        if not self.settings.accelerate:
            return torch.optim.Adam(weights, **options)
        return Adam(weights, **options, capturable=self.captures_steps)

    def fast(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        """The network as a function that is compiled where that is asked for, and gives float32.

        Not for what is differentiated twice, which a compiled network cannot be.
        """
        inner = torch.compile(network) if self.settings.compile else network

        def run(x: Tensor) -> Tensor:
            with self.precision():
                result: Tensor = inner(x)
            return result if self.is_float32 else result.float()

        return run

    @staticmethod
    @contextmanager
    def all_digits() -> Iterator[None]:
        """Within it a GPU multiplies float32 numbers with all their digits.

        PyTorch lets convolutions round what they multiply to 10 bits (TF32), as much as a difference quotient of a
        step of 0.001 measures.
        """
        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = before

    def precision(self) -> AbstractContextManager[None]:
        """Within it networks compute in the precision that is asked for."""
        if self.is_float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_DTYPES[self.settings.precision])
