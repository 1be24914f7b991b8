"""Two volumes that are compared, and which of their pixels count."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io.field_of_view import FieldOfView, Measured


@dataclass(frozen=True)
class Compared:
    """What is compared: two volumes of one shape, and which of their pixels count.

    Attributes:
        seen: prediction and target, images as volumes of a single slice, and what of them was measured.
        mask: that was given; None where it leaves nothing out.
        share: of the pixels that count.
    """

    seen: Measured
    mask: io.Volume | None
    share: float = 1.0

    @classmethod
    def of(cls, predicted: io.Volume, measured: io.Volume, mask: io.Volume | None) -> Compared:
        """Combine the mask with the measured area; a mask that leaves out nothing counts as none."""
        # a mask that is given is what was measured: the border of a constant need not be guessed
        seen = Measured.of(FieldOfView(predicted, guess=False), FieldOfView(measured, guess=mask is None))
        if mask is None:
            return cls(seen, None, seen.share)
        given = sum(int(np.count_nonzero(io.not_zero(plane))) for plane in mask.slices())
        if not given:
            raise InputError(f"{mask.source}: the mask is 0 everywhere, so that nothing counts. Was it inverted?")
        if given == math.prod(mask.shape):
            return cls(seen, None, seen.share)
        if seen.is_whole:
            return cls(seen, mask, given / math.prod(mask.shape))
        under = cls(seen, mask)
        counted = sum(int(np.count_nonzero(own)) for own in under._masks())
        if not counted:
            raise InputError(f"{mask.source}: nothing was measured where the mask is not 0. Was it inverted?")
        return cls(seen, mask, counted / math.prod(mask.shape))

    @property
    def predicted(self) -> io.Volume:
        """The prediction."""
        return self.seen.fields[0].volume

    @property
    def measured(self) -> io.Volume:
        """The target."""
        return self.seen.fields[1].volume

    def each(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """Slices of the prediction and of the target, and where they count; None: everywhere."""
        given = iter([None] * self.measured.shape[0]) if self.mask is None else map(io.not_zero, self.mask.slices())
        for (planes, own), one in zip(self.seen.slices(), given, strict=True):
            yield planes[0], planes[1], own if one is None else one if own is None else own & one

    def apart(self) -> tuple[Iterator[np.ndarray], Iterator[np.ndarray], Iterator[np.ndarray] | None]:
        """The same as three iterators that are read side by side; no masks where all counts."""
        first, second, third = tee(self.each(), 3)
        masks = (np.ones(own.shape, dtype=bool) if mask is None else mask for own, _, mask in third)
        return (own for own, _, _ in first), (true for _, true, _ in second), masks if self.share < 1 else None

    def _masks(self) -> Iterator[np.ndarray]:
        return (np.ones(own.shape, dtype=bool) if mask is None else mask for own, _, mask in self.each())

    def true_levels(self) -> Iterator[np.ndarray]:
        """The target's grey levels that count, slice by slice."""
        return (true if mask is None else true[mask] for _, true, mask in self.each())
