"""How networks compute, in training and in prediction."""

from __future__ import annotations

from typing import Literal

from txm2sem_core.config.base import Settings


class ComputeSettings(Settings):
    """How networks compute. What departs from float32 changes results a little."""

    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of the networks; losses are always float32
    compile: bool = False  # by torch.compile
    channels_last: bool = False  # memory format
    accelerate: bool = True  # layers and whole networks in other orders of sums, faster on a CPU; off: the library's
