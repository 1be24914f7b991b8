"""Reactions to a computation that needs more memory than there is."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from txm2sem_core.errors import OutOfMemoryError
from txm2sem_core.runtime.allocator import give_back_freed_memory

Made = TypeVar("Made")

# what torch and its library of convolutions say on a CPU, and torch on Apple's GPU: plain RuntimeErrors
_TEXTS = (
    "DefaultCPUAllocator",
    "could not create a primitive",
    "could not create a memory",
    "MPS backend out of memory",
)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether Python, numpy or torch could not allocate."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)


def made_if_it_fits(make: Callable[[], Made]) -> Made | None:
    """The result, or None where memory did not suffice; unused memory is freed then, for a smaller attempt."""
    try:
        return make()
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
    # from here on the error no longer holds what was allocated, nor do the layers that were at work
    gc.collect()
    give_back_freed_memory()
    return None


@contextmanager
def memory_remedy(what: str, remedy: str) -> Iterator[None]:
    """Turn a failed allocation within into one message.

    Args:
        what: needed the memory.
        remedy: what the user can do.

    Raises:
        OutOfMemoryError: an allocation failed.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        raise OutOfMemoryError(f"{what} needs more memory than there is ({_reason(error)}). {remedy}") from error


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
