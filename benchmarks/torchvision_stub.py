"""Lets libraries be imported beside a torchvision that lacks its compiled operators."""

from __future__ import annotations

import torch

_MISSING = [
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
]


def declare_operators() -> torch.library.Library:
    """Declare what torchvision registers shapes for on import, and fails without; keep what is returned.

    A torchvision built for another PyTorch cannot load its operators, and none of them is ever called here.
    """
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _MISSING:
        library.define(schema)  # type: ignore[no-untyped-call]
    return library
