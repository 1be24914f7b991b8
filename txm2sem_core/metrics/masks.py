"""The meaning of a mask in every metric: a pixel counts where the mask is not zero.

`io.not_zero` says so of what a file holds. Here a mask is boolean and of its images' shape. What does not count is left
out of scores, phases, their agreement, thresholds and changes from slice to slice alike; a measure that cannot leave
pixels out is not given under a mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError

Mask = NDArray[np.bool_]
EMPTY = "the mask leaves no pixel to compare; check that it is True where pixels count"


def check_mask(mask: Mask, image: NDArray[np.generic]) -> Mask:
    """The mask; InputError unless it is boolean and of the image's shape."""
    if mask.dtype != np.bool_ or mask.shape != image.shape:
        raise InputError(
            f"the mask must be boolean and of the images' shape {image.shape}; it is {mask.dtype} of shape {mask.shape}"
        )
    return mask


def selected(values: NDArray[Any], mask: Mask | None) -> NDArray[Any]:
    """The values that count, or all of them; InputError where there are none."""
    if mask is None:
        return values
    chosen: NDArray[Any] = values[check_mask(mask, values)]
    if chosen.size == 0:
        raise InputError(EMPTY)
    return chosen
