"""FIB-SEM slices as registration takes them: without data bar and, where it is asked for, without curtains."""

from __future__ import annotations

from typing import NamedTuple

from txm2sem_core.config import RegisterSettings
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.curtains import without_curtains
from txm2sem_core.registration.data_bar import Bar, cut_bar
from txm2sem_core.samples.raw_pairs import RawPair


class SemSlice(NamedTuple):
    """A FIB-SEM slice, and what was taken off it and out of it."""

    image: Slice
    bar: Bar
    clipped: float | None = None  # share of pixels that were clipped when curtains were taken out; None: none were
    learnt: Slice | None = None  # the same by the detector that networks learn from; None: it is `image`

    @property
    def taken(self) -> list[str]:
        """In words; nothing where nothing was."""
        share = f", for which {100 * self.clipped:.2g} % of the pixels were clipped" if self.clipped else ""
        return [*self.bar.in_words, *([f"curtains taken out{share}"] if self.clipped is not None else [])]


def prepared(image: Slice, settings: RegisterSettings) -> SemSlice:
    """The slice without its data bar, of which nothing counts as measured, and without curtains."""
    return _without_curtains(*cut_bar(image), settings)


def _without_curtains(whole: Slice, bar: Bar, settings: RegisterSettings) -> SemSlice:
    if settings.curtains.direction == "none":
        return SemSlice(whole, bar)
    found, clipped = without_curtains(whole, settings.curtains)
    return SemSlice(found, bar, clipped)


def sem_of(pair: RawPair, settings: RegisterSettings) -> SemSlice:
    """The FIB-SEM slice of a pair, prepared: the image that is registered, and the one that networks learn from.

    What the former did not measure, its data bar too, does not count as measured in the latter.

    Raises:
        InputError: an image or its mask cannot be read, or they do not fit.
    """
    found = prepared(pair.read_registered_sem(), settings)
    if pair.registered_by is None:
        return found
    other, own = cut_bar(pair.read_sem())
    bar = Bar(*map(max, zip(found.bar, own, strict=True)))
    both = _without_curtains(Slice(other.image, other.mask & found.image.mask), bar, settings)
    shares = [share for share in (found.clipped, both.clipped) if share is not None]
    return SemSlice(found.image, bar, max(shares, default=None), both.image)
