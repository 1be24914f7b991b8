"""Whether FIB-SEM slices fit the TXM slice before or after theirs better than their own: numbers that are one off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import InputError
from txm2sem_core.registration.sem_slices import sem_of
from txm2sem_core.registration.similarity import Filtered, prefilter, similarity
from txm2sem_core.registration.tables import Outcome
from txm2sem_core.samples.raw_pairs import RawPair

NAN = float("nan")


def similarity_beside(outcome: Outcome, pairs: Sequence[RawPair], settings: RegisterSettings) -> tuple[float, float]:
    """Similarity of an accepted FIB-SEM slice, as it lies, to the TXM slices of the pairs before and after its own.

    NaN where there is no such pair, or its TXM slice is of another shape. All three are compared where all three were
    measured, and what is returned is less than that of the own slice there: below 0 where the own fits best.
    """
    found, pair = outcome.registration, outcome.pair
    if found is None or not outcome.accepted or settings.transform == "none":
        return NAN, NAN
    here = pairs.index(pair)
    own = prefilter(pair.read_txm(), settings.median_px, settings.smooth_px)
    sem = prefilter(sem_of(pair, settings).image, settings.median_px, settings.smooth_px).onto(found.matrix, own.shape)
    beside = [_read(pairs, k, own, settings) for k in (here - 1, here + 1)]
    both = own.mask & sem.mask
    for each in beside:
        both = both if each is None else both & each.mask
    at_own = similarity(own.image, sem.image, both)
    before, after = (NAN if each is None else similarity(each.image, sem.image, both) - at_own for each in beside)
    return before, after


def _read(pairs: Sequence[RawPair], index: int, own: Filtered, settings: RegisterSettings) -> Filtered | None:
    """The TXM slice of another pair; None where it cannot be compared."""
    if not 0 <= index < len(pairs):
        return None
    try:
        other = prefilter(pairs[index].read_txm(), settings.median_px, settings.smooth_px)
    except InputError:
        return None
    return other if other.shape == own.shape and np.any(other.mask & own.mask) else None
