"""How networks compute, in training and in prediction."""

from __future__ import annotations

from typing import Literal

from txm2sem_core.config.base import Settings, setting


class ComputeSettings(Settings):
    """How networks compute. What departs from float32 changes results a little."""

    precision: Literal["float32", "bfloat16", "float16"] = setting(
        "float32", "of the networks; losses are always float32; `float16` needs a GPU"
    )
    compile: bool = setting(False, "by `torch.compile`; on a CPU slower than without")
    channels_last: bool | None = setting(
        None, "channels innermost in memory; `null`: on a GPU, where it is faster; changes rounding alone"
    )
    accelerate: bool = setting(
        True, "layers and networks in orders of sums that are faster on a CPU; `false`: the library's layers"
    )
