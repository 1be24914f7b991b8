"""A TXM volume and a FIB-SEM slice at several pixel sizes, as the search for the slice's plane sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.geometry import Array, Mask, Matrix
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.io import Volume
from txm2sem_core.registration.frames import Scaled, shrinking
from txm2sem_core.registration.poses import features_of

Image = NDArray[np.float32]

MARGIN = 12  # of a level's voxels about what is looked at: a search moves by less, filters see no further
FEWEST_SLICES = 8  # that a volume is shrunk to along z: a thin one keeps voxels that are lower than wide


@dataclass(frozen=True)
class Level:
    """A volume, or a box of it, shrunk by whole factors.

    Attributes:
        features: [kinds, Z, Y, X] of variance 1, 0 where it was not measured.
        mask: where it was measured.
        factors: voxels to one of the level's, along z, y, x.
        first: the voxel (z, y, x) at which the box begins.
    """

    features: Image
    mask: Mask
    factors: Matrix
    first: Matrix

    def index(self, points_zyx: Matrix) -> Matrix:
        """Where voxels (z, y, x) [3, ...] lie on the level's grid."""
        axes = (3, *([1] * (points_zyx.ndim - 1)))
        factors, first = self.factors.reshape(axes), self.first.reshape(axes)
        return np.asarray((points_zyx - first - (factors - 1) / 2) / factors)

    def holds(self, low: Matrix, high: Matrix) -> bool:
        """Whether all voxels from `low` to `high` (z, y, x) are in the box."""
        last = self.first + np.array(self.mask.shape) * self.factors
        return bool((low >= self.first).all() and (high <= last).all())


class VolumeLevels:
    """A volume at any whole shrinking: all of it, or what lies about a plane; each is kept until another is asked for.

    Args:
        volume: TXM.
        aspect: height of a voxel along z over its width.
    """

    def __init__(self, volume: Volume, aspect: float = 1.0) -> None:
        self.volume = volume
        self.aspect = aspect
        self._whole: dict[int, Level] = {}
        self._boxes: dict[int, Level] = {}

    @property
    def shape(self) -> tuple[int, int, int]:
        """(Z, Y, X)."""
        return self.volume.shape

    def at(self, factor: int) -> Level:
        """All of the volume on voxels `factor` times as wide, and about as high as wide where it is thick enough.

        Grey levels and edges of each slice of these, without drift and evened out (see `poses`).
        """
        if factor not in self._whole:
            self._whole[factor] = self._level(factor, np.zeros(3), np.array(self.shape, dtype=np.float64))
        return self._whole[factor]

    def about(self, factor: int, corners_xyz: Matrix) -> Level:
        """The same of the box about some points (x, y, z) [N, 3]: a fine level of all of a large volume is not held."""
        if factor in self._whole:
            return self._whole[factor]
        shape = np.array(self.shape, dtype=np.float64)
        low, high = (edge[::-1] for edge in (corners_xyz.min(axis=0), corners_xyz.max(axis=0)))
        needed = [np.clip(edge + sign * MARGIN * factor, 0, shape) for edge, sign in ((low, -1), (high, 1))]
        if factor not in self._boxes or not self._boxes[factor].holds(*needed):
            wide = [np.clip(edge + sign * 2 * MARGIN * factor, 0, shape) for edge, sign in ((low, -1), (high + 1, 1))]
            self._boxes[factor] = self._level(factor, np.floor(wide[0]), np.ceil(wide[1]))
        return self._boxes[factor]

    def _level(self, factor: int, low: Matrix, high: Matrix) -> Level:
        """The voxels from `low` to before `high`; a block at the end that is not whole is left out."""
        step = max(1, min(round(factor / self.aspect), self.shape[0] // FEWEST_SLICES))
        (z0, y0, x0), (z1, y1, x1) = (edge.astype(int).tolist() for edge in (low, high))
        z1 = max(z1, min(z0 + step, self.shape[0]))
        box = (slice(y0, y1), slice(x0, x1))
        shape = ((z1 - z0) // step, (y1 - y0) // factor, (x1 - x0) // factor)
        features, masks = np.zeros((2, *shape), dtype=np.float32), np.zeros(shape, dtype=bool)
        for k in range(shape[0]):
            image, mask = self._block(z0 + k * step, step, factor, box)
            found = features_of(image, mask)
            if found is not None:
                features[:, k], masks[k] = found, mask
        factors = np.array([step, factor, factor], dtype=np.float64)
        return Level(features, masks, factors, np.array([z0, y0, x0], dtype=np.float64))

    def _block(self, z: int, step: int, factor: int, box: tuple[slice, slice]) -> tuple[Image, Mask]:
        """The mean of slices z to z + step - 1 over blocks, and where it was measured."""
        total, known = np.zeros(0), np.zeros(0)
        for k in range(z, z + step):
            plane = self._slice(k)
            small, share = (_means(each[box], factor) for each in (plane.filled, plane.mask))
            total, known = (small, share) if k == z else (total + small, np.minimum(known, share))
        return (total / step).astype(np.float32), known >= 0.5

    def _slice(self, z: int) -> Slice:
        plane = self.volume.read(z, z + 1)[0]
        mask = None if self.volume.mask is None else self.volume.mask.read(z, z + 1)[0]
        return Slice(plane, mask)


def _means(image: Array, factor: int) -> Array:
    height, width = (n // factor * factor for n in image.shape)
    blocks = image[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


@dataclass(frozen=True)
class Seen:
    """A FIB-SEM slice at one pixel size: its features [kinds, Y, X], and the pixel (x, y) of each in the slice."""

    features: Image
    mask: Mask
    pixel: Matrix  # 3x3, from its pixel to the slice's


def seen(moving: Scaled, scale: float, factor: int) -> Seen | None:
    """The slice on pixels about `factor` voxels wide, where its own are `scale` wide; None where it is bare."""
    shrink = round(min(1.0, scale / factor), 6)
    small = moving.at(shrink)
    features = features_of(small.image.astype(np.float32), small.mask)
    return None if features is None else Seen(features, small.mask, np.linalg.inv(shrinking(shrink)).astype(np.float64))
