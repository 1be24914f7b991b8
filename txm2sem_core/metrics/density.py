"""The classes of density of a segmentation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLASSES = ("background", "low density", "high density")


def class_image(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class numbers (see `CLASSES`) from two masks, not zero where the density is low, or high; high wins."""
    return np.where(high != 0, 2, np.where(low != 0, 1, 0)).astype(np.uint8)
