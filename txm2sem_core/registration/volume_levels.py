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

FEWEST_SLICES = 8  # that a volume is shrunk to along z: a thin one keeps voxels that are lower than wide


@dataclass(frozen=True)
class Level:
    """A volume shrunk by whole factors: features [kinds, Z, Y, X] of variance 1, 0 where it was not measured."""

    features: Image
    mask: Mask
    factors: Matrix  # voxels to one of the level's, along z, y, x

    def index(self, points_zyx: Matrix) -> Matrix:
        """Where voxels (z, y, x) [3, ...] lie on the level's grid."""
        factors = self.factors.reshape(3, *([1] * (points_zyx.ndim - 1)))
        return np.asarray((points_zyx - (factors - 1) / 2) / factors)


class VolumeLevels:
    """A volume at any whole shrinking; each is made once and kept.

    Args:
        volume: TXM.
        aspect: height of a voxel along z over its width.
    """

    def __init__(self, volume: Volume, aspect: float = 1.0) -> None:
        self.volume = volume
        self.aspect = aspect
        self._levels: dict[int, Level] = {}

    @property
    def shape(self) -> tuple[int, int, int]:
        """(Z, Y, X)."""
        return self.volume.shape

    def at(self, factor: int) -> Level:
        """The volume on voxels `factor` times as wide, and about as high as wide where it is thick enough.

        Grey levels and edges of each slice of these, without drift and evened out (see `poses`).
        """
        if factor not in self._levels:
            high = max(1, min(round(factor / self.aspect), self.shape[0] // FEWEST_SLICES))
            shrunk = [self._block(z, high, factor) for z in range(0, self.shape[0] // high * high, high)]
            features, masks = [], []
            for image, mask in shrunk:
                found = features_of(image, mask)
                masks.append(mask if found is not None else np.zeros_like(mask))
                features.append(np.zeros((2, *mask.shape), dtype=np.float32) if found is None else found)
            factors = np.array([high, factor, factor], dtype=np.float64)
            self._levels[factor] = Level(np.stack(features, axis=1), np.stack(masks), factors)
        return self._levels[factor]

    def _block(self, z: int, high: int, factor: int) -> tuple[Image, Mask]:
        """The mean of slices z to z + high - 1 over blocks, and where it was measured."""
        total, known = np.zeros(0), np.zeros(0)
        for k in range(z, z + high):
            plane = self._slice(k)
            small, share = (_means(each, factor) for each in (plane.filled, plane.mask))
            total, known = (small, share) if k == z else (total + small, np.minimum(known, share))
        return (total / high).astype(np.float32), known >= 0.5

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
