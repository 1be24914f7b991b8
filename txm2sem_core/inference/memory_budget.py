"""How much memory a plane may take in a network, and how much of the plane is computed at once for that."""

from __future__ import annotations

import math
import os

import torch

from txm2sem_core.errors import ConfigError
from txm2sem_core.io.guards import available_memory

# Beyond it a plane is computed by rows, which takes hardly longer, on a machine with more memory as well: what is
# predicted then does not depend on the machine, not even by rounding
MOST_BYTES = 2 * 2**30
SHARE_OF_FREE = 1 / 2  # the rest is for slices that are read and written meanwhile, and for other programs
FEWEST_BYTES = 2**26
LIVE_LAYERS = 5  # of full resolution alive at once, padded copies included: at most 4.9, docs/guides/volumes.md
FEWEST_ROWS, ROWS_STEP = 16, 32

SETTING = "TXM2SEM_MEMORY_GIB"


def memory_budget(device: torch.device, *, without_bound: bool) -> int:
    """Bytes that a plane may take: what is set, or 2 GiB, or where less is free a power of two within half of that.

    Powers of two, as what is free changes from call to call, and the rounding of a prediction should not.

    Args:
        device: whose memory it is.
        without_bound: more than 2 GiB where more is free, for networks that are computed by tiles, of which larger ones
            compute less twice.

    Raises:
        ConfigError: what is set is no size.
    """
    given = _given_gib()
    if given:
        return int(given * 2**30)
    free = int(SHARE_OF_FREE * free_memory(device))
    found = max(FEWEST_BYTES, 1 << max(free.bit_length() - 1, 0))
    return found if without_bound else min(MOST_BYTES, found)


def _given_gib() -> float:
    """What the environment says, where the workflow and the command line leave it; 0 if nothing."""
    text = os.environ.get(SETTING, "")
    try:
        given = float(text or 0)
    except ValueError:
        given = -1.0
    if not 0 <= given < math.inf:
        raise ConfigError(f"{SETTING}: {text!r} is no size. Give the memory for a plane in GiB, or 0.")
    return given


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, on a GPU together with what PyTorch holds there unused."""
    if device.type != "cuda":
        return available_memory()
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + unused


def activation_bytes(pixels: int, width: int, factor: int) -> int:
    """What so many pixels of a plane take in a network of that width that enlarges by a factor."""
    return 4 * LIVE_LAYERS * max(width, 1) * factor**2 * pixels


def rows_at_once(height: int, width: int, bytes_per_pixel: int, budget: int) -> int:
    """Rows of a plane that are computed at once: all, or as many as take half of the budget.

    The other half is for rows that wait (`acceleration.row_queue`).
    """
    if height * width * bytes_per_pixel <= budget:
        return height
    rows = budget // 2 // (width * bytes_per_pixel)
    rows = rows // ROWS_STEP * ROWS_STEP if rows >= ROWS_STEP else max(rows, FEWEST_ROWS)
    return min(rows, height)
