"""The two side tasks: repair of charged places in SEM slices, and segmentation into low and high density.

What training, prediction and measurement share: what the network is given, what becomes of its output, and the damage
of known truth that repair is trained and judged on (Anderson et al. 2020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.geometry import window_share
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics import psnr, ssim

if TYPE_CHECKING:
    from torch import Tensor

CLASSES = ("background", "low density", "high density")
# The networks end in tanh. Times this, one class can have up to 1 - 1e-4 of the probability.
LOGIT_SCALE = 5.0
WHITE = 1.0  # of the SEM in [-1, 1], where it is masked: as bright as charging
Mask = NDArray[np.bool_]


def class_image(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class numbers (see `CLASSES`) from two masks, not zero where the density is low, or high; high wins."""
    return np.where(high != 0, 2, np.where(low != 0, 1, 0)).astype(np.uint8)


def predicted_classes(output: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The most probable class `[..., Y, X]` of a network's output `[..., 3, Y, X]`."""
    return output.argmax(axis=-3).astype(np.uint8)


def repair_input(txm: Tensor, sem: Tensor, mask: Tensor) -> Tensor:
    """What a repair network is given: `[B, C + 2, Y, X]` of TXM `[B, C, ...]`, SEM and mask `[B, 1, ...]`.

    The SEM is white under the mask, whatever it was: the charge itself tells nothing, and is of another size in every
    place. The mask is 1 where the SEM is to be repaired and -1 elsewhere.
    """
    import torch  # here, not above: the stages without a network need none, and their conda environment has none

    masked = mask.bool()
    white = torch.full_like(sem, WHITE)
    return torch.cat([txm, torch.where(masked, white, sem), masked.to(sem) * 2 - 1], dim=1)


def composed(output: Tensor, given: Tensor) -> Tensor:
    """The repaired image: the network's output under the mask of what it was given, the SEM elsewhere, unchanged."""
    return output.where(given[:, -1:] > 0, given[:, -2:-1])


def interpolated(sem: NDArray[np.generic], damage: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A repair that looks at nothing but the pixels around: linear between them, of the nearest beyond them."""
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
    mask: NDArray[np.bool_], prediction: NDArray[np.generic], target: NDArray[np.generic], data_range: float
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


class DamageBank:
    """Charged places of the training slices, to be laid over places that are not charged."""

    def __init__(self, store: PatchStore, share: tuple[float, float]) -> None:
        """Find out whether there are any.

        Args:
            store: patches with masks of charge.
            share: least and greatest part of a patch that damage covers.

        Raises:
            InputError: no place in the training slices is charged so much.
        """
        self._size, self._share = store.size_px, share
        names = store.of_split("train")["pair"].unique()
        self._charged = [store.pairs[name].charged for name in names]
        greatest = 0.0
        self._places: list[NDArray[np.int64]] = []
        for charged in self._charged:
            shares = window_share(charged, self._size)
            greatest = max(greatest, float(shares.max()))
            self._places.append(np.argwhere((shares >= share[0]) & (shares <= share[1])))
        if not any(len(places) for places in self._places):
            raise InputError(
                f"repair: no patch of {self._size} pixels in the training slices is charged by {share[0]:.0%} to "
                f"{share[1]:.0%}; the most is {greatest:.1%}. Give charge masks (column charge of the sample table), "
                "or widen train.damage."
            )

    def draw(self, rng: np.random.Generator) -> Mask:
        """A mask `[s, s]`, True where damaged: evenly from all places of a slice that has any."""
        slices = [number for number, places in enumerate(self._places) if len(places)]
        number = slices[int(rng.integers(len(slices)))]
        y, x = self._places[number][int(rng.integers(len(self._places[number])))]
        return self._charged[number][y : y + self._size, x : x + self._size]

    def for_evaluation(self, count: int) -> list[Mask]:
        """The same masks each time, for patches that are compared."""
        rng = np.random.default_rng(999)  # the published code's number
        return [self.draw(rng) for _ in range(count)]
