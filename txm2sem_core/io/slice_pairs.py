"""Pairs of a patch store as what the TXM shows of the FIB-SEM is learnt from them."""

from __future__ import annotations

import numpy as np

from txm2sem_core.geometry import centred
from txm2sem_core.intensity.denoising import denoised
from txm2sem_core.io.patch_store import PatchStore
from txm2sem_core.metrics.forward_model import ForwardModel, SlicePair, fit_forward_model
from txm2sem_core.metrics.point_spread import Spacing

DENOISE = 0.8  # of the FIB-SEM slices, as the targets of samples are
MARGIN_PX = 6  # next to pixels that cannot be used, which would be blurred into others
MOST_PX = 1024  # of a slice along y and x, from its middle: that many tell enough


def forward_model_of(store: PatchStore) -> ForwardModel:
    """What the TXM shows of a FIB-SEM volume, learnt from the training pairs.

    Args:
        store: of full resolution; what is read of it is the TXM as it is prepared, by the first scan.

    Raises:
        InputError: the pairs do not allow it.
    """
    rounding = 1.0 if store.txm_dtype.kind in "ui" and store.preparation.is_none else 0.0
    return fit_forward_model(training_slices(store), Spacing.of(store.voxel_size_nm), rounding=rounding)


def training_slices(store: PatchStore) -> list[SlicePair]:
    """The pairs that models are trained with, their FIB-SEM without noise."""
    from scipy import ndimage

    found = []
    for name in dict.fromkeys(store.of_split("train")["pair"]):
        pair = store.pairs[name]
        cut = tuple(centred(n, MOST_PX) for n in pair.mask.shape)
        usable = np.pad(pair.mask[cut] > 0, 1)  # what is outside cannot be used either
        mask = ndimage.binary_erosion(usable, iterations=MARGIN_PX)[1:-1, 1:-1]
        if mask.any():
            txm = pair.txm[(slice(None), *cut)].astype(np.float32)
            found.append(SlicePair(denoised(pair.sem[cut], DENOISE), txm, mask))
    return found
