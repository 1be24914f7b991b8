"""Which epoch's weights are kept: by image scores, or by the rock that the validation patches show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.config.train import PORE_PHASES
from txm2sem_core.errors import InputError
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics.otsu import thresholds_of_slices
from txm2sem_core.metrics.pores.phases import two_point_probability

LAG_PX = 16
# the column of the history, and whether more of it is better
CRITERIA = {
    "last": ("validation_psnr", True),
    "best_psnr": ("validation_psnr", True),
    "best_ssim": ("validation_ssim", True),
    "best_porosity": ("validation_porosity_error", False),
    "best_two_point": ("validation_two_point_error", False),
}


def criterion(scores: dict[str, float], select: str) -> float:
    """The score of an epoch, more being better; the worst of all where it is not a number.

    A segmentation has one criterion, the mean Dice coefficient.
    """
    column, rises = CRITERIA[select] if "validation_dice" not in scores else ("validation_dice", True)
    value = scores[column] if rises else -scores[column]
    return value if np.isfinite(value) else -float("inf")


def pore_threshold(store: PatchStore) -> float | None:
    """The grey level that parts the darkest phase, from the uncharged pixels of the training SEM images.

    None where they hold fewer grey levels than phases.
    """
    pairs = [store.pairs[name] for name in store.of_split("train")["pair"].unique()]
    try:
        return thresholds_of_slices(lambda: (pair.sem[pair.mask > 0] for pair in pairs), PORE_PHASES)[0]
    except InputError:
        return None


class RockMeter:
    """Gathers, patch by patch, how much of the darkest phase there is and how it lies, predicted and measured."""

    def __init__(self, threshold: float | None, size_px: int) -> None:
        self._threshold = threshold
        self._lag = min(LAG_PX, size_px - 1)
        self._shares: list[tuple[float, float]] = []
        self._two_points: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    def add(self, prediction: NDArray[np.float32], target: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        """Take a patch `[Y, X]` in SEM intensities; charged pixels count for neither."""
        if self._threshold is None or not mask.any():
            return
        dark, true = prediction <= self._threshold, target <= self._threshold
        self._shares.append((float(dark[mask].mean()), float(true[mask].mean())))
        self._two_points.append((self._two_point(dark, mask), self._two_point(true, mask)))

    def _two_point(self, phase: NDArray[np.bool_], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.concatenate([two_point_probability(phase, axis, self._lag, mask)[1:] for axis in (0, 1)])

    def result(self) -> dict[str, float]:
        """`validation_porosity_error`: difference of the mean shares; `validation_two_point_error`: mean absolute
        difference of the mean two-point probabilities over distances of 1 to 16 pixels along y and x. NaN if nothing.
        """
        if not self._shares:
            return {"validation_porosity_error": float("nan"), "validation_two_point_error": float("nan")}
        share, true_share = np.mean(self._shares, axis=0)
        curve, true_curve = np.nanmean(self._two_points, axis=0)
        return {
            "validation_porosity_error": float(abs(share - true_share)),
            "validation_two_point_error": float(np.nanmean(np.abs(curve - true_curve))),
        }
