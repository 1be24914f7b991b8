"""The TXM about a FIB-SEM slice that lies obliquely in its volume."""

from __future__ import annotations

from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.planes import of_pixels


def slices_on_plane(volume: io.Volume, txm: Slice, row: Any, context: int, aspect: float) -> list[Slice]:
    """A TXM slice that was cut from the volume by a plane, with `context` parallel neighbours on each side.

    These are one slice of the volume apart along the normal, each resampled once.

    Args:
        volume: TXM, as it was measured.
        txm: the slice, by the register stage.
        row: of that stage's index; its `grid` is of pixels `finer` times finer than the volume's.
        context: slices on each side.
        aspect: height of a voxel of the results over its width.

    Raises:
        InputError: the volume is of another type than the slice.
    """
    if volume.dtype != txm.image.dtype:
        raise InputError(
            f"{volume.source}: its voxels are {volume.dtype}, but pair {row.pair} was cut from voxels of "
            f"{txm.image.dtype}. Register again."
        )
    finer = int(getattr(row, "finer", 1))
    middle = (finer - 1) / 2
    pixels = np.array([[finer, 0, middle], [0, finer, middle], [0, 0, 1]], dtype=np.float64)
    grid = of_pixels(io.plane_of_text(row.grid, f"pair {row.pair}"), pixels)
    size = (txm.shape[0] // finer, txm.shape[1] // finer)

    def beside(step: int) -> Slice:
        found = io.volume_on(volume, grid, size, step * aspect / finer)
        given = None if found.given is None else io.finer_image(found.given, finer)
        return Slice(io.finer_image(found.image, finer), given)

    return [txm if step == 0 else beside(step) for step in range(-context, context + 1)]
