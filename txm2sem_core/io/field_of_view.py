"""Which part of a volume was measured: by slice, as a share of voxels, and the largest box that was fully measured.

`measured.measured` decides it for one slice. A volume adds what one slice cannot show: the value that its program wrote
outside of the field of view, and, in a volume that TXM2SEM predicted, what the file itself states. A mask from the user
(`Volume.mask`) replaces all of this.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import NamedTuple

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.geometry import Array, Mask, common_crop
from txm2sem_core.intensity.measured import corner_values, filled, measured, measured_within
from txm2sem_core.io import Volume
from txm2sem_core.metrics import Segmenter

_SAMPLED = 5  # slices, evenly over the volume, that tell the value outside
_MOST = 0.5  # of these, how many must agree


class Box(NamedTuple):
    """A box of voxels."""

    z: slice
    y: slice
    x: slice

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        return self.z.stop - self.z.start, self.y.stop - self.y.start, self.x.stop - self.x.start

    @classmethod
    def of_shape(cls, shape: Sequence[int]) -> Box:
        """All of a volume."""
        z, y, x = (slice(0, n) for n in shape)
        return cls(z, y, x)


class FieldOfView:
    """Finds what was measured in the slices of a volume; the result for a slice does not depend on earlier calls.

    To be used by one thread at a time, since results of one slice are kept for the next.
    """

    def __init__(self, volume: Volume, *, guess: bool = True) -> None:
        """Reads a few slices for the value outside, unless the file or a mask states what was measured.

        Where these have two values at most, as in a blank or segmented volume, only NaN can mark what was not measured.

        Args:
            volume: the volume.
            guess: False where only NaN and what the file states count: in a prediction, which may be constant, and in a
                known truth without noise, whose corners may be one flat grain.
        """
        self.volume = volume
        self.further = tuple(FieldOfView(other, guess=guess) for other in volume.further)
        self._guess = guess and not volume.stated and volume.mask is None
        self._outside = volume.unmeasured
        if self._guess:
            self._guess, self._outside = _sampled(volume)
        self._mask: Mask | None = None
        self._from: tuple[Array, ...] = ()

    @property
    def scans(self) -> tuple[FieldOfView, ...]:
        """Of the volume and its further scans."""
        return (self, *self.further)

    @property
    def is_whole(self) -> bool:
        """Whether the volume's type or metadata say that all was measured, so that no voxel need be read."""
        known = not self._guess and self._outside is None and self.volume.mask is None
        return known and self.volume.dtype.kind != "f"

    @property
    def is_of_values(self) -> bool:
        """Whether a voxel's own value and slice tell whether it was measured, so that parts of slices will do."""
        return not self._guess and self.volume.mask is None

    def of(self, plane: Array, z: int) -> Mask | None:
        """Where the slice [Y, X] at z of the volume was measured; None where everywhere."""
        if self.is_whole or (self.volume.mask is None and any(z in each for each in self.volume.whole)):
            return None
        if self.volume.mask is not None:
            mask = measured_within(plane, self.volume.mask.read(z, z + 1)[0])
        elif self._guess:
            mask = measured(plane, self._outside)
        else:
            mask = np.isfinite(plane) if self._outside is None else np.isfinite(plane) & (plane != self._outside)
        return None if mask.all() else mask

    def filled(self, plane: Array, mask: Mask | None) -> Array:
        """A slice with the value of the nearest measured pixel where none was measured, 0 where there is none at all.

        Everything in it is finite.
        """
        if mask is None:
            return plane
        if not mask.any():
            return np.where(np.isfinite(plane), plane, 0).astype(plane.dtype)
        if self._mask is None or not np.array_equal(self._mask, mask):
            numbers = np.arange(plane.size).reshape(plane.shape)
            self._mask, self._from = mask, np.unravel_index(filled(numbers, mask)[~mask], plane.shape)
        result = plane.copy()
        result[~mask] = plane[self._from]
        return result


def sampled_slices(volume: Volume) -> list[int]:
    """The slices that a volume is judged by before all of it is read."""
    return np.unique(np.linspace(0, volume.shape[0] - 1, _SAMPLED).round().astype(int)).tolist()


def _sampled(volume: Volume) -> tuple[bool, float | None]:
    """From some slices: whether they have grey levels at all, and the value that most of them have outside."""
    positions = sampled_slices(volume)
    found: Counter[float] = Counter()
    telling = False
    for z in positions:
        plane = volume.read(z, z + 1)[0]
        mask = measured(plane)
        telling |= _has_grey_levels(plane)
        if mask.any():
            found.update(corner_values(plane, mask))
    value, slices = found.most_common(1)[0] if found else (0.0, 0)
    return telling, value if telling and slices > _MOST * len(positions) else None


def _has_grey_levels(plane: Array) -> bool:
    """Whether it has more than two values beside NaN."""
    known = plane[np.isfinite(plane)]
    others = known[known != known[:1]] if known.size else known
    return bool((others != others[:1]).any()) if others.size else False


@dataclass(frozen=True)
class Measured:
    """The measured part of one volume, or the common one of several.

    Attributes:
        fields: of each volume.
        shape: Z, Y, X, of the first volume; the others are looked at from their first voxels on.
        share: of the voxels that were measured in all of them.
        box: the largest box that was measured wholly: of the slices in a row of which anything was measured, what was
            measured in all of them.
    """

    fields: tuple[FieldOfView, ...]
    shape: tuple[int, int, int]
    share: float
    box: Box

    @classmethod
    def of(cls, *fields: FieldOfView) -> Measured:
        """Look at all slices, one after the other.

        Args:
            fields: the shape is that of the first volume; the others have as many slices, and cover its planes.

        Raises:
            InputError: nothing was measured, or no box; or a volume does not cover the first.
        """
        shape = z, y, x = fields[0].volume.shape
        for other in (field.volume for field in fields):
            if other.shape[0] != z or other.shape[1] < y or other.shape[2] < x:
                raise InputError(
                    f"{fields[0].volume.source} has the shape {shape} (Z, Y, X), and {other.source} {other.shape}, "
                    "which does not cover it. Compare equal parts."
                )
        whole = cls(fields, shape, 1.0, Box.of_shape(shape))
        if all(field.is_whole for field in fields):
            return whole
        count, run, longest = 0, _Run(0, 0, None), _Run(0, 0, None)
        for number, (_, mask) in enumerate(whole.slices(fill=False)):
            count += y * x if mask is None else int(np.count_nonzero(mask))
            run = _Run(number + 1, number + 1, None) if mask is not None and not mask.any() else run.and_(mask)
            longest = max(longest, run, key=lambda each: each.stop - each.start)
        if count == z * y * x:
            return whole
        names = " and ".join(field.volume.source for field in fields)
        if not count:
            raise InputError(f"{names}: nothing was measured: every slice is NaN or has one value. Check the file.")
        common = np.ones((y, x), dtype=bool) if longest.mask is None else longest.mask
        if not common.any():
            raise InputError(
                f"{names}: no pixel [Y, X] was measured in all of the slices {longest.start} to {longest.stop - 1}, so "
                "that there is no box to measure the rock in. Crop the volume."
            )
        crop = common_crop(common)
        box = Box(slice(longest.start, longest.stop), slice(crop.y0, crop.y1), slice(crop.x0, crop.x1))
        return cls(fields, shape, count / (z * y * x), box)

    @property
    def is_whole(self) -> bool:
        """Whether every voxel was measured."""
        return self.share == 1

    def slices(self, *, fill: bool = True) -> Iterator[tuple[list[Array], Mask | None]]:
        """The slices [Y, X] of the volumes, filled where not measured, and where all were measured; None: everywhere.

        Without `fill` the slices are as they are.
        """
        _, height, width = self.shape
        for z in range(self.shape[0]):
            planes = [field.volume.read(z, z + 1)[0] for field in self.fields]
            own = [field.of(plane, z) for field, plane in zip(self.fields, planes, strict=True)]
            if fill:
                planes = [f.filled(plane, mask) for f, plane, mask in zip(self.fields, planes, own, strict=True)]
            masks = [mask[:height, :width] for mask in own if mask is not None]
            common = np.logical_and.reduce(masks) if masks else None
            yield [plane[:height, :width] for plane in planes], common

    def apart(self) -> tuple[list[Iterator[Array]], Iterator[Mask]]:
        """The slices of each volume, filled, and where all were measured: to be read side by side, in one pass."""
        _, height, width = self.shape
        *copies, of_masks = tee(self.slices(), len(self.fields) + 1)

        def of_volume(number: int) -> Iterator[Array]:
            return (planes[number] for planes, _ in copies[number])

        everywhere = np.ones((height, width), dtype=bool)
        masks = (everywhere if mask is None else mask for _, mask in of_masks)
        return [of_volume(number) for number in range(len(self.fields))], masks

    def phase_shares(self, segmenter: Segmenter) -> dict[str, float]:
        """`fraction_{p}` of every phase, and `porosity`, of all that was measured of the first volume."""
        counts = np.zeros(segmenter.phases, dtype=np.int64)
        for planes, mask in self.slices():
            labels = segmenter(planes[0])
            counts += np.bincount((labels if mask is None else labels[mask]).ravel(), minlength=counts.size)
        shares = {f"fraction_{phase}": float(count / counts.sum()) for phase, count in enumerate(counts)}
        return {**shares, "porosity": shares["fraction_0"]}

    def boxed(self, number: int) -> Volume:
        """One of the volumes, cut to the box; as it is from the first voxel on where all was measured."""
        volume, box = self.fields[number].volume, self.box

        def read(z0: int, z1: int) -> Array:
            return volume.read(box.z.start + z0, box.z.start + z1)[:, box.y, box.x]

        return Volume(box.shape, volume.dtype, volume.voxel_size_nm, volume.source, read)

    def metrics(self) -> dict[str, float]:
        """The measured share and the size of the box in voxels; empty where all was measured."""
        if self.is_whole:
            return {}
        sizes = {f"box_{axis}_px": float(n) for axis, n in zip("zyx", self.box.shape, strict=True)}
        return {"measured_share": self.share, **sizes}

    def remark(self) -> str:
        """The same in words, for the log."""
        depth, height, width = self.box.shape
        return (
            f"{self.share:.1%} of the voxels were measured; the others count nowhere. What needs a box is measured in "
            f"the largest that was measured wholly, of {depth} x {height} x {width} voxels (z, y, x)."
        )


class _Run(NamedTuple):
    """Slices in a row, and what was measured in all of them; None: everywhere."""

    start: int
    stop: int
    mask: Mask | None

    def and_(self, mask: Mask | None) -> _Run:
        """With the next slice."""
        both = self.mask if mask is None else mask if self.mask is None else self.mask & mask
        return _Run(self.start, self.stop + 1, both)


def as_shown(plane: Array, mask: Mask | None) -> Array:
    """A slice for a figure: NaN, which is drawn in a colour of its own, where nothing was measured."""
    return plane if mask is None else np.where(mask, plane, math.nan)
