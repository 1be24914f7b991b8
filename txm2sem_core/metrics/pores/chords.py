"""Chords: the segments of a line within one phase, corrected for those that the faces of the volume cut.

A long chord is cut by a face more often than a short one, so leaving out what is cut makes chords too short, the more
so the thinner the volume is. A chord that is cut at one end is at least as long as is seen of it. Seen from its other
end it is an observation that ends too early at a place that has nothing to do with its length, and Kaplan and Meier's
estimator (J. Am. Stat. Assoc. 53 (1958) 457) is made for these: of all chords that reach a length, and of which the
next voxel is seen, the share that ends there. Every line is read from both of its ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.metrics.pores.connectivity import check_pore

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Chords:
    """Number of chords that are 0, 1, 2, ... voxels long, `[n + 1]` each.

    Attributes:
        whole: both ends lie in the volume.
        cut: one end does; the length is that which is seen. Chords of which no end is seen are not counted.
    """

    whole: Counts
    cut: Counts

    def __add__(self, other: Chords) -> Chords:
        length = max(self.whole.size, other.whole.size)
        first, second = (
            (np.pad(c.whole, (0, length - c.whole.size)), np.pad(c.cut, (0, length - c.cut.size)))
            for c in (self, other)
        )
        return Chords(first[0] + second[0], first[1] + second[1])

    def shares(self) -> NDArray[np.float64]:
        """Share of all chords `[n + 1]` that are 0, 1, 2, ... voxels long; the rest is longer than can be seen."""
        ending = 2 * self.whole  # each is met from both of its ends
        reach = np.cumsum(ending[::-1])[::-1] + np.cumsum(self.cut[::-1])[::-1] - self.cut
        hazard = np.divide(ending, reach, out=np.zeros(ending.size), where=reach > 0)
        longer = np.cumprod(1 - hazard)
        return np.concatenate([[1.0], longer[:-1]]) - longer


def chord_lengths(phase: NDArray[np.bool_], axis: int) -> Chords:
    """Chords in the phase, `[Z, Y, X]`, along an axis.

    Raises:
        InputError: not a boolean volume with that axis.
    """
    check_pore(phase, axis)
    length = phase.shape[axis]
    whole, cut = np.zeros(length + 1, np.int64), np.zeros(length + 1, np.int64)
    for slab in np.moveaxis(phase, axis, -1):
        padded = np.zeros((len(slab), length + 2), np.bool_)
        padded[:, 1:-1] = slab
        ends = np.flatnonzero(padded[:, 1:] != padded[:, :-1])  # of each line a beginning, then an end, and so on
        start, lengths = ends[0::2] % (length + 1), ends[1::2] - ends[0::2]
        faces = (start == 0).astype(np.int8) + (start + lengths == length)
        whole += np.bincount(lengths[faces == 0], minlength=length + 1)
        cut += np.bincount(lengths[faces == 1], minlength=length + 1)
    return Chords(whole, cut)


class ChordsAlongZ:
    """Counts chords along z of slices `[Y, X]`; holds the run that each pixel is in, and whether it began inside."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._run = np.zeros(shape, np.int64)
        self._inside = np.zeros(shape, np.bool_)
        self._slices = 0
        self._whole, self._cut = np.zeros(1, np.int64), np.zeros(1, np.int64)

    def add(self, plane: NDArray[np.bool_]) -> None:
        """Take the next slice, True in the phase."""
        self._slices += 1
        ended = (self._run > 0) & ~plane
        self._whole = self._counted(self._whole, self._run[ended & self._inside])
        self._cut = self._counted(self._cut, self._run[ended & ~self._inside])
        self._inside |= ~plane  # the next run of this pixel begins after a slice without the phase
        self._run = np.where(plane, self._run + 1, 0)

    def _counted(self, counts: Counts, lengths: Counts) -> Counts:
        size = self._slices + 1
        return np.pad(counts, (0, size - counts.size)) + np.bincount(lengths, minlength=size)

    def result(self) -> Chords:
        """Of all slices so far."""
        return Chords(self._whole, self._counted(self._cut, self._run[(self._run > 0) & self._inside]))
