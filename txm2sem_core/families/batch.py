"""What goes into a family: batches of patches in training, images of one position in prediction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Patches in [-1, 1]: TXM [B, C, s/f, s/f] (slabs as of `PatchStore.txm_patch`), SEM [B, 1, s, s], and where
    both count, mask [B, 1, s, s].

    Where asked or known: `stack` [B, C + 1, s/f, s/f], TXM slices from elsewhere, for the penalty of that name;
    `classes` [B, 1, s, s], uint8; `judged` [B, 1, s, s], where alone a prediction is scored.
    """

    txm: Tensor
    sem: Tensor
    mask: Tensor
    stack: Tensor | None = None
    classes: Tensor | None = None
    judged: Tensor | None = None


@dataclass(frozen=True)
class Images:
    """The images of one position, in intensities: TXM [C, Y, X], and where known SEM [Y, X] and where it is charged.

    `noise` [Y, X], of unit variance, is what a sample is drawn by.
    """

    txm: np.ndarray
    sem: np.ndarray | None = None
    charged: np.ndarray | None = None
    noise: np.ndarray | None = None


class BatchSource:
    """Passes batches to the network unchanged."""

    def training(self, batches: Iterator[Batch], seed: int, epoch: int, start: int) -> Iterator[Batch]:
        """Training batches of an epoch, the first of which begins with patch `start`."""
        return batches

    def validation(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Validation batches, from the first patch on."""
        return batches
