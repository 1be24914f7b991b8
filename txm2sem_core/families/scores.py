"""How predictions of the validation patches are scored, and which epoch's weights are kept by these scores.

By image scores, by the rock that the patches show, or by classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from txm2sem_core.config.train import PORE_PHASES
from txm2sem_core.errors import InputError
from txm2sem_core.families.batch import Batch
from txm2sem_core.geometry import Mask
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics.image import psnr, ssim
from txm2sem_core.metrics.otsu import thresholds_of_slices
from txm2sem_core.metrics.pores.phases import dice_from_confusion, two_point_probability

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
    """The score of an epoch, more being better; the worst of all where it is not a number."""
    column, rises = CRITERIA[select]
    value = scores[column] if rises else -scores[column]
    return value if np.isfinite(value) else -float("inf")


def pore_threshold(store: PatchStore) -> float | None:
    """The threshold of the darkest phase, from the uncharged pixels of the training SEM images.

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


class Meter(Protocol):
    """Gathers the scores of a family's predictions."""

    def add(self, output: Tensor, batch: Batch) -> None:
        """Take what `Family.predict` made of a batch, both on the CPU."""

    def result(self) -> dict[str, float]:
        """The scores, the foremost first; each column's name begins with `validation_`."""


PatchScores = Callable[[NDArray[np.float32], NDArray[np.float32], float, Mask], tuple[float, float]]


def image_scores(
    prediction: NDArray[np.float32], target: NDArray[np.float32], data_range: float, mask: Mask
) -> tuple[float, float]:
    """PSNR (dB) and SSIM of two images `[Y, X]` where a mask says so."""
    return psnr(prediction, target, data_range, mask), ssim(prediction, target, data_range, mask)


class ImageMeter:
    """Mean PSNR (dB) and SSIM in SEM intensities, and how well the patches show the rock."""

    def __init__(self, store: PatchStore, threshold: float | None, scores: PatchScores = image_scores) -> None:
        """Begin with nothing.

        Args:
            store: the patches.
            threshold: grey level of the darkest phase, from `pore_threshold`; None for none.
            scores: PSNR and SSIM of one patch where it is judged.
        """
        self._range, self._data_range = store.sem_range, store.data_range()
        self._score, self._scores = scores, list[tuple[float, float]]()
        self._rock = RockMeter(threshold, store.size_px)

    def add(self, output: Tensor, batch: Batch) -> None:
        """Take predictions `[B, 1, s, s]`."""
        judged = batch.mask if batch.judged is None else batch.judged
        for prediction, target, mask in zip(output.numpy(), batch.sem.numpy(), judged.numpy(), strict=True):
            pair = self._range.from_unit(prediction[0]), self._range.from_unit(target[0])
            self._scores.append(self._score(*pair, self._data_range, mask[0]))
            self._rock.add(*pair, mask[0])

    def result(self) -> dict[str, float]:
        """`validation_psnr`, `validation_ssim`, and those of `RockMeter`."""
        mean = np.nanmean(self._scores, axis=0)
        return {"validation_psnr": float(mean[0]), "validation_ssim": float(mean[1]), **self._rock.result()}


class ClassMeter:
    """Mean Dice coefficient of the classes that there are, over usable pixels."""

    def __init__(self, classes: int) -> None:
        self._counts = torch.zeros((classes, classes), dtype=torch.int64)  # [true, predicted]

    def add(self, output: Tensor, batch: Batch) -> None:
        """Take predictions `[B, classes, s, s]`, the most probable class being the largest."""
        assert batch.classes is not None  # a segmentation's batches have them
        count = len(self._counts)
        codes = batch.classes.long() * count + output.argmax(dim=1, keepdim=True)
        self._counts += torch.bincount(codes[batch.mask], minlength=count**2).reshape(count, count)

    def result(self) -> dict[str, float]:
        """`validation_dice`."""
        return {"validation_dice": float(np.nanmean(dice_from_confusion(self._counts.numpy())))}
