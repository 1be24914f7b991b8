"""Lets libraries be imported beside a torchvision that lacks its compiled operators."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_MISSING = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def declare_operators() -> torch.library.Library | None:
    """Declare what torchvision registers shapes for on import, and fails without; keep what is returned.

    A torchvision built for another PyTorch cannot load its operators, and none of them is ever called here. Nothing is
    declared, and None returned, where it can load them or is not there: to declare them twice ends the process.
    """
    if _fits():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, signature in _MISSING.items():
        library.define(name + signature)  # type: ignore[no-untyped-call]
    return library


def _fits() -> bool:
    """Whether torchvision's compiled operators load, as it tries it on import; True where it is not there."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return True
    folder = Path(found.origin).parent
    for library in folder.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            return False
        return hasattr(torch.ops.torchvision, "nms")
    return False
