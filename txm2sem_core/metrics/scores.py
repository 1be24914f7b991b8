"""The scores of a predicted image beside the measured one, in one list for patches, slices of volumes, and images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.metrics.image import as_weights, check_images, mae, mean_similarity, psnr
from txm2sem_core.metrics.masks import Mask
from txm2sem_core.metrics.structure import FLAT, gmsd, histogram_distance, mean_structure, multi_scale_similarity
from txm2sem_core.metrics.windows import Agreement, agreement

Image = NDArray[np.generic]


class ImagePair:
    """A predicted `[Y, X]` image and the measured one.

    Args:
        prediction: integer or float.
        target: of the same shape.
        data_range: greatest minus least possible grey level.
        mask: of the pixels that count; None for all of them.
    """

    def __init__(self, prediction: Image, target: Image, data_range: float, mask: Mask | None = None) -> None:
        self.given, self.data_range, self.mask = (prediction, target), data_range, mask

    @cached_property
    def agreement(self) -> Agreement:
        """How both agree within SSIM's windows, which several scores need.

        Raises:
            InputError: their shapes differ, or a value is not finite.
        """
        check_images(*self.given)
        weights = as_weights(self.mask, self.given[1])
        return agreement(*self.given, self.data_range, weights, flat=FLAT * self.data_range)


SCORES: Mapping[str, Callable[[ImagePair], float]] = {
    "psnr": lambda pair: psnr(*pair.given, pair.data_range, pair.mask),
    "ssim": lambda pair: mean_similarity(pair.agreement),
    "mae": lambda pair: mae(*pair.given, pair.data_range, pair.mask),
    "ms_ssim": lambda pair: multi_scale_similarity(pair.agreement, *pair.given, pair.data_range, pair.mask),
    "structure": lambda pair: mean_structure(pair.agreement),
    "gmsd": lambda pair: gmsd(*pair.given, pair.data_range, pair.mask),
    "histogram_distance": lambda pair: histogram_distance(*pair.given, pair.data_range, pair.mask),
}
