"""Scores of a repair under the damage alone, and a repair by interpolation as the baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.image import psnr, ssim


def interpolated(sem: NDArray[np.generic], damage: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A repair by the pixels around: linear between them, the nearest one beyond them."""
    from scipy import interpolate  # here, not above: heavy, and imported with this module by every prediction

    known, wanted = np.argwhere(~damage), np.argwhere(damage)
    values = sem[~damage].astype(np.float64)
    filled = sem.astype(np.float32)
    guesses = interpolate.griddata(known, values, wanted, method="linear")
    outside = np.isnan(guesses)
    if outside.any():
        guesses[outside] = interpolate.griddata(known, values, wanted[outside], method="nearest")
    filled[damage] = guesses
    return filled


def scores_under(
    prediction: NDArray[np.generic], target: NDArray[np.generic], data_range: float, mask: NDArray[np.bool_]
) -> tuple[float, float]:
    """PSNR (dB) and SSIM of two images `[Y, X]` under a mask; NaN for one that the mask leaves no pixel for.

    SSIM leaves out a border of five pixels, and damage may lie there alone.
    """
    scores = []
    for score in (psnr, ssim):
        try:
            scores.append(score(prediction, target, data_range, mask))
        except InputError:
            scores.append(float("nan"))
    return scores[0], scores[1]
