"""Read slices one by one from a store with several slices per chunk, and decode each chunk once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from txm2sem_core.errors import InputError

Read = Callable[[int, int], np.ndarray]
"""Slices z0 to z1 - 1 as [z1 - z0, Y, X]."""
MOST_BYTES = 2**28  # of all blocks that are kept
_KEPT = 2  # blocks: a slice and its neighbours may lie in two


def by_blocks(
    read: Read, depth: int, thickness: int, slice_bytes: int, check: Callable[[], object] = lambda: None
) -> Read:
    """The same reading, by blocks of `thickness` slices of which the last two are kept; several threads may call it.

    Args:
        read: decodes all chunks that hold a slice that is asked for.
        depth: of the volume, in slices.
        thickness: of a chunk, in slices.
        slice_bytes: of one slice; where the blocks would be larger than `MOST_BYTES`, nothing is kept.
        check: raises where what was read before can no longer be believed; called whenever it is given out again.
    """
    if not thickness > 1 or _KEPT * min(thickness, depth) * slice_bytes > MOST_BYTES:
        return read
    kept: dict[int, np.ndarray] = {}

    def block(number: int) -> np.ndarray:
        found = kept.get(number)
        if found is not None:
            check()
        else:
            found = read(number * thickness, min((number + 1) * thickness, depth))
            for old in list(kept)[: 1 - _KEPT]:
                kept.pop(old, None)
            kept[number] = found
        return found

    def read_kept(z0: int, z1: int) -> np.ndarray:
        first, last = z0 // thickness, (z1 - 1) // thickness
        if z1 - z0 >= thickness or last - first >= _KEPT:
            return read(z0, z1)
        try:
            parts = [block(number) for number in range(first, last + 1)]
        except InputError:  # another slice of the block may be the damaged one
            return read(z0, z1)
        joined = parts[0] if first == last else np.concatenate(parts)
        return joined[z0 - first * thickness : z1 - first * thickness].copy()  # the caller's own

    return read_kept
