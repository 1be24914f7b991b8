"""SRCNN: feedforward super-resolution, where the TXM's pixels are larger than the FIB-SEM's."""

from __future__ import annotations

from txm2sem_core.families.feedforward import Feedforward
from txm2sem_core.families.registry import register_family


@register_family(
    "srcnn",
    enlarges=True,
    settings={"generator": {"name": "sr_resnet_9blocks", "width": 256}},
    paper_fixes_generator=True,
)
class SRCNN(Feedforward):
    """A feedforward family for super-resolution."""
