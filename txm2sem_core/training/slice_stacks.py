"""Stacks of consecutive TXM slices, for the `stack` penalty: unpaired, and away from held-out pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.io import PatchStore, Volume
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.provenance import volume_digest
from txm2sem_core.samples.splits import drawable_slices
from txm2sem_core.training.batches import orient

POSITIONS_PER_EPOCH = 8  # along z; their slices are all that is held in memory of a volume of any size


class SliceStacks:
    """Draws patches of 2 k + 2 consecutive TXM slices: the input of one prediction, and that of the next along z."""

    def __init__(self, volume: Volume, store: PatchStore, context: int) -> None:
        """Find the positions along z that may be drawn.

        Args:
            volume: TXM volume [Z, Y/f, X/f] at the store's factor f.
            store: its index says at which z pairs stand, and for which split.
            context: k.

        Raises:
            InputError: the volume is smaller than a patch, too thin, or no position is left.
        """
        self._volume, self._context = volume, context
        self._field = FieldOfView(volume)
        self._size = store.size_px // store.factor
        self._range, self._preparation = store.txm_range, store.preparation
        depth, height, width = volume.shape
        if min(height, width) < self._size:
            raise InputError(
                f"{volume.source}: slices of {height} x {width} pixels are smaller than a patch of {self._size}; "
                "the penalty z_penalty.stack cannot be drawn from it. Lower patches.size_px."
            )
        pairs = store.index.drop_duplicates("pair")
        self.positions = drawable_slices(pairs["z"], list(pairs["split"]), depth, context)
        if not self.positions.size:
            raise InputError(
                f"{volume.source}: none of its {depth} slices can be used for z_penalty.stack: {2 * context + 2} "
                "consecutive slices are needed, nearer to training pairs than to held-out ones. Set "
                "z_penalty.stack to 0."
            )

    def fingerprint(self) -> str:
        """A digest that distinguishes volumes."""
        return volume_digest(self._volume)

    def of_epoch(self, count: int, seed: int, epoch: int) -> Iterator[NDArray[np.float32]]:
        """`count` patches [2 k + 2, size/f, size/f] in [-1, 1]; position and orientation follow from (seed, epoch)."""
        rng = np.random.default_rng([seed, epoch, 1])
        chosen = np.sort(rng.choice(self.positions, min(POSITIONS_PER_EPOCH, self.positions.size), replace=False))
        k = self._context
        slabs = [self._preparation.apply(self._filled(int(z) - k, int(z) + k + 2)) for z in chosen]
        _, height, width = slabs[0].shape
        which = rng.integers(0, len(slabs), count)
        tops = rng.integers(0, height - self._size + 1, count)
        lefts = rng.integers(0, width - self._size + 1, count)
        mirrored, turns = rng.integers(0, 2, count), rng.integers(0, 4, count)
        for index, top, left, mirror, turn in zip(which, tops, lefts, mirrored, turns, strict=True):
            patch = slabs[index][:, top : top + self._size, left : left + self._size]
            yield self._range.to_unit(orient(patch, int(mirror), int(turn)))

    def _filled(self, z0: int, z1: int) -> NDArray[np.generic]:
        """Slices [z1 - z0, Y, X], filled where nothing was measured."""
        slab = self._volume.read(z0, z1)
        return np.stack([self._field.filled(slab[z - z0], self._field.of(slab[z - z0], z)) for z in range(z0, z1)])
