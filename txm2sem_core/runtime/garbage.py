"""Processes that begin and end fast: most jobs of a workflow live for a few seconds."""

from __future__ import annotations

import atexit
import gc

OBJECTS = 10_000  # that are made before those of them are looked at; Python's own number is below a tenth of it


def reduce_garbage_collection() -> None:
    """Look for cyclic garbage less often, and not at all at the end, when the process's memory is given back anyway.

    The libraries make a million objects that stay. Looking through them again and again took 0.2 s of loading PyTorch,
    and 0.3 s of ending. Call it before heavy imports.
    """
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
