"""Pairs of a patch store as what the TXM shows of the FIB-SEM is learnt from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.geometry import centred
from txm2sem_core.intensity.denoising import denoised
from txm2sem_core.io.patch_store import PatchStore
from txm2sem_core.io.stored_images import MIDDLE_PX, REACH_Z, Pair
from txm2sem_core.metrics.forward_model import ForwardModel, SlicePair, fit_forward_model
from txm2sem_core.metrics.point_spread import Spacing

DENOISE = 0.8  # of the FIB-SEM slices, as the targets of samples are
MARGIN_PX = 6  # next to pixels that cannot be used, which would be blurred into others


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
    """The pairs that models are trained with, their FIB-SEM without noise, of the middle `MIDDLE_PX`.

    With the TXM slices beyond the context, where the store has them of half of the pairs; NaN of those that lack them.
    """
    from scipy import ndimage

    found = []
    pairs = [store.pairs[name] for name in dict.fromkeys(store.of_split("train")["pair"])]
    having = sum(pair.shape("beyond") is not None for pair in pairs)
    context = REACH_Z if 2 * having >= max(len(pairs), 1) else store.context
    for pair in pairs:
        cut = tuple(centred(n, MIDDLE_PX) for n in pair.mask.shape)
        usable = np.pad(pair.mask[cut] > 0, 1)  # what is outside cannot be used either
        mask = ndimage.binary_erosion(usable, iterations=MARGIN_PX)[1:-1, 1:-1]
        if mask.any():
            txm = _with_slices_beyond(pair, pair.txm[(slice(None), *cut)].astype(np.float32), context)
            found.append(SlicePair(denoised(pair.sem[cut], DENOISE), txm, mask))
    return found


def _with_slices_beyond(pair: Pair, txm: NDArray[np.float32], context: int) -> NDArray[np.float32]:
    missing = context - len(txm) // 2
    if missing == 0:
        return txm
    beyond = pair.beyond
    if beyond is None:
        beyond = np.full((2 * missing, *txm.shape[1:]), np.nan, np.float32)
    return np.concatenate([beyond[:missing], txm, beyond[missing:]])
