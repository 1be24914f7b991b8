"""Whether the FIB-SEM slices of a whole set carry wrong numbers: from the other end, or off by one.

A few pairs spread over the set are registered with the partner that they would have then: the work does not grow with
the set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import RegistrationError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.estimate import estimate_transform, judge
from txm2sem_core.registration.search import shrink_slice
from txm2sem_core.registration.sem_slices import sem_of
from txm2sem_core.samples.raw_pairs import RawPair

PAGE = "docs/guides/your-own-data.md, 'What a hint says'"
SMALL_SIDE_PX = 256  # shorter side at which partners are compared
TRIED = 3  # of the refused pairs, and of the accepted ones
FEWEST_FITS = 2


@dataclass(frozen=True)
class _Numbering:
    """A fault of numbers, and the index in the set of the TXM slice that a FIB-SEM slice would belong to then."""

    fault: str
    code: str
    partner: Callable[[int, int], int]  # index of a pair and count of pairs to the index of the partner


NUMBERINGS = (
    _Numbering("numbered from the other end", "zip(files, files[::-1])", lambda i, count: count - 1 - i),
    _Numbering("numbered one too low", "zip(files, files[1:])", lambda i, count: i + 1),
    _Numbering("numbered one too high", "zip(files[1:], files)", lambda i, count: i - 1),
)


def find_numbering(pairs: Sequence[RawPair], margins: Sequence[float | None], settings: RegisterSettings) -> str | None:
    """The hint that fits the whole set; None where the numbers seem right.

    With the partner that a fault would give it, a refused pair must be accepted, and an accepted one must stand higher
    above chance than with its own. At most one of those tried may fail, and only where three others hold.

    Args:
        pairs: all pairs, in order.
        margins: similarity above chance of each, None where it was refused.
        settings: those that the pairs were registered with.
    """
    for numbering in NUMBERINGS:
        fitting = _fitting(numbering, pairs, margins, settings)
        if fitting is not None:
            i = fitting[0]
            j = numbering.partner(i, len(pairs))
            return (
                f"hint: the FIB-SEM slices are {numbering.fault}: {pairs[i].registered_sem.name} fits "
                f"{pairs[j].txm.name}, and {len(fitting) - 1} more of those tried fit likewise; renumber with "
                f"{numbering.code} ({PAGE})"
            )
    return None


def _fitting(
    numbering: _Numbering, pairs: Sequence[RawPair], margins: Sequence[float | None], settings: RegisterSettings
) -> list[int] | None:
    """The indices of the refused pairs that fit if the numbers have this fault; None if it is not there."""
    indices = [i for i in range(len(pairs)) if 0 <= (j := numbering.partner(i, len(pairs))) < len(pairs) and i != j]
    refused = _evenly_chosen([i for i in indices if margins[i] is None])
    accepted = _evenly_chosen([i for i in indices if margins[i] is not None])
    if len(refused) < FEWEST_FITS:
        return None
    fits, failed = [], 0
    for i in [*refused, *accepted]:
        if _fits(pairs[i], pairs[numbering.partner(i, len(pairs))], margins[i], settings):
            fits.append(i)
        else:
            failed += 1
        if failed > 1:
            return None
    refused_fits = [i for i in fits if margins[i] is None]
    return refused_fits if len(refused_fits) >= FEWEST_FITS and len(fits) >= 3 * failed else None


def _evenly_chosen(indices: list[int]) -> list[int]:
    """The outermost first, since a wrong end shows there the most, and one between."""
    if not indices:
        return []
    chosen = np.unique(np.linspace(0, len(indices) - 1, min(TRIED, len(indices))).round().astype(int)).tolist()
    return sorted((indices[k] for k in chosen), key=lambda i: -abs(i - (indices[0] + indices[-1]) / 2))


def _fits(pair: RawPair, partner: RawPair, margin: float | None, settings: RegisterSettings) -> bool:
    """Whether `pair`'s FIB-SEM slice is accepted on `partner`'s TXM slice, higher above chance than before."""
    if margin is None:
        found = _margin(partner, pair, settings)
        return found is not None
    own, found = _margin(pair, pair, settings), _margin(partner, pair, settings)
    return found is not None and (own is None or found > own)


def _margin(txm: RawPair, sem: RawPair, settings: RegisterSettings) -> float | None:
    """Similarity above chance of the two slices, shrunk, or None where they are refused."""
    fixed, moving = _small(txm.read_txm(), sem_of(sem, settings).image)
    try:
        found = estimate_transform(fixed, moving, settings)
    except RegistrationError:
        return None
    return None if judge(found, settings, fixed.shape) else found.above_chance


def _small(fixed: Slice, moving: Slice) -> tuple[Slice, Slice]:
    factor = max(1, min(*fixed.shape, *moving.shape) // SMALL_SIDE_PX)
    return shrink_slice(fixed, factor), shrink_slice(moving, factor)
