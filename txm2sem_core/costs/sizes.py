"""How large a sample is, by its settings or the headers of its files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.splits import pair_slices
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import open_sample_volume

SOUGHT_VOXELS = 10**8  # a tilted slice of 576 voxels a side needs less, and of larger ones the voxels are shrunk


@dataclass(frozen=True)
class Sizes:
    """A sample's pairs and its TXM volume.

    Attributes:
        pairs: how many.
        plane: Y and X of the largest slice of them.
        volume: Z, Y and X of the TXM volume; None where there is none.
        txm_bytes, sem_bytes: of a pixel, in all scans together.
        sought: whether the planes of its FIB-SEM slices are sought in the volume.
        scans: of the rock.
    """

    pairs: int
    plane: tuple[int, int]
    volume: tuple[int, int, int] | None
    txm_bytes: int = 2
    sem_bytes: int = 1
    sought: bool = False
    scans: int = 1

    @property
    def plane_px(self) -> int:
        """Pixels of a slice, of the pairs or of the volume, whichever has more."""
        return max(math.prod(self.plane), math.prod(self.volume[1:]) if self.volume else 0)

    @property
    def voxels(self) -> int:
        """Voxels of the TXM volume."""
        return math.prod(self.volume) if self.volume else 0

    @property
    def sought_voxels(self) -> int:
        """Voxels of the TXM volume that are held at once where planes are sought in it: what lies about a slice."""
        return min(self.voxels, SOUGHT_VOXELS) if self.sought else 0

    def store_bytes(self, context: int) -> int:
        """Of the patch store: each pair once, with so many TXM slices on each side, its masks and its classes.

        With the slices further off, where there is a volume.
        """
        pixel = (2 * context + 1) * self.txm_bytes + self.sem_bytes + 3
        beyond = 2 * max(io.REACH_Z - context, 0) * self.txm_bytes // self.scans if self.volume else 0
        middle = min(math.prod(self.plane), io.MIDDLE_PX**2)
        return self.pairs * (math.prod(self.plane) * pixel + middle * beyond)


def sizes_of(sample: Sample, phantom: PhantomSettings, raw: Path) -> Sizes:
    """The sizes of a sample.

    Args:
        sample: a row of the table.
        phantom: settings of its phantom, if it is one.
        raw: where a phantom leaves its files.

    Raises:
        InputError: a file cannot be read.
    """
    if sample.source == "phantom":
        depth, height, width = phantom.shape
        scans, milled = sample.scans(phantom), phantom.milled
        if sample.sought and milled.slices:
            side = max(1.0, milled.share / milled.pixel)
            plane = int(side * height), int(side * width)
            return Sizes(milled.slices, plane, phantom.shape, txm_bytes=2 * scans, scans=scans, sought=True)
        slices, sought = len(pair_slices(depth, phantom.pair_every)), sample.sought
        return Sizes(slices, (height, width), phantom.shape, txm_bytes=2 * scans, scans=scans, sought=sought)
    pairs = list_pairs(sample, raw)
    kinds = [(pair.txm_kind(), io.image_kind(pair.sem)) for pair in pairs]
    shapes = [shape for pair in kinds for shape, _ in pair]
    largest = max(shapes, key=math.prod)
    volume = open_sample_volume(sample, raw)
    (_, txm), (_, sem) = kinds[0]
    if sample.sought:
        further = [scan.dtype for scan in volume.further] if volume is not None else []
    else:
        further = [io.image_kind(slice_)[1] for slice_ in pairs[0].further]
    return Sizes(
        len(pairs),
        (largest[0], largest[1]),
        None if volume is None else volume.shape,
        sum(np.dtype(each).itemsize for each in (txm, *further)),
        np.dtype(sem).itemsize,
        sample.sought,
        1 + len(further),
    )
