"""Gaussian noise of a volume's voxels, each by its position and the number of the sample alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

LEVELS = 5  # scales of the noise: 2, 4 ... 32 pixels, and what is larger
Region = tuple[int, int, int, int]
"""First row and column, height, width."""

_KEPT_SIGMAS = 4  # the filter along z is cut off there
_LEAST_SIGMA = 0.1  # slices; a narrower filter leaves noise as it is
_MOST_SIGMA = 64.0  # slices
_ROW = 2**64  # counts of the generator from a row to the next
_NUMBERS_A_COUNT = 4  # of Philox
_FIRST = 2**32  # slice 0 of the volume, so that slices before it have a number too


class VoxelNoise:
    """Noise of unit variance, independent along y and x, that holds together along z: the longer, the coarser it is.

    The noise of a voxel follows from the sample's number and the voxel's z, y, x, so that it is the same however a
    volume is cut into planes, tiles, slabs or jobs, and in any part of a volume that begins at the same position.

    A plane is made of its wavelets (Haar's, an orthonormal basis: independent coefficients of unit variance give
    independent pixels of unit variance). Those of 2^k pixels are smoothed along z by a Gaussian filter of
    `coherence * 2^k` pixels, and brought to unit variance again. So a plane by itself is white, and its coarse parts
    stay the same for more slices than its fine ones, as in a rock. Coefficients come from a generator that counts
    (Philox, Salmon et al. 2011), one stream a row, and the inverse of the normal distribution.
    """

    def __init__(self, number: int, coherence: float = 0.0, pixels_per_slice: float = 1.0) -> None:
        """Noise of a sample.

        Args:
            number: of the sample, from 1 on.
            coherence: sigma of the filter along z as a share of the wavelet's size; 0 for independent slices.
            pixels_per_slice: distance of two slices in pixels.
        """
        self.number, self.coherence, self.pixels_per_slice = number, coherence, pixels_per_slice
        sigmas = [coherence * 2**level / pixels_per_slice for level in range(1, LEVELS + 1)]
        self._filters = [filter_along_z(sigma) for sigma in [*sigmas, 2 * sigmas[-1]]]
        self._kept: dict[tuple[int, Region], _Coefficients] = {}

    def plane(self, z: int, y: int, x: int, height: int, width: int) -> NDArray[np.float32]:
        """Noise `[height, width]` of slice `z`, from pixel (y, x) on."""
        side = 2**LEVELS
        top, left = y // side, x // side
        bottom, right = -(-(y + height) // side), -(-(x + width) // side)
        kept, self._kept = self._kept, {}  # of the slice before, whose neighbours are the same but for one
        coarse: Region = (top, left, bottom - top, right - left)
        image = self._smoothed(z, LEVELS + 1, 1, coarse, kept)[0]
        for level in range(LEVELS, 0, -1):
            scale = 2 ** (LEVELS - level)
            region = (top * scale, left * scale, coarse[2] * scale, coarse[3] * scale)
            image = _refined(image, self._smoothed(z, level, 3, region, kept))
        y0, x0 = y - top * side, x - left * side
        return image[y0 : y0 + height, x0 : x0 + width]

    def _smoothed(
        self, z: int, level: int, kinds: int, region: Region, kept: dict[tuple[int, Region], _Coefficients]
    ) -> NDArray[np.float32]:
        """Coefficients `[kinds, height, width]` of a level, smoothed along z."""
        weights = self._filters[level - 1]
        shape, key = (kinds, *region[2:]), (level, region)
        white = self._kept[key] = kept[key] if key in kept else _Coefficients(len(weights), shape)
        total = np.zeros(shape, dtype=np.float32)
        for number, weight in enumerate(weights, start=z - len(weights) // 2):
            if not white.holds(number):
                white.put(number, self._made(number, level, kinds, region))
            total += np.float32(weight) * white.of(number)
        return total

    def _made(self, z: int, level: int, kinds: int, region: Region) -> NDArray[np.float32]:
        top, left, height, width = region
        bits = np.empty((kinds, height, width), dtype=np.uint64)
        to_next_row = _ROW - -(-(left + width) // _NUMBERS_A_COUNT)
        for kind in range(kinds):
            counter = [0, top, 4 * level + kind, 0]
            stream = np.random.Philox(key=[self.number, _FIRST + z], counter=counter)
            for row in range(height):
                if row:
                    stream.advance(to_next_row)
                bits[kind, row] = stream.random_raw(left + width)[left:]
        evenly = ((bits >> np.uint64(11)) + 0.5) * 2.0**-53
        return torch.special.ndtri(torch.from_numpy(evenly)).float().numpy()


class _Coefficients:
    """The coefficients of as many slices as a filter along z is long, in one array.

    Arrays of their own, that come and go at different times, leave the memory in pieces: a plane's worth a slice.
    """

    def __init__(self, slices: int, shape: tuple[int, ...]) -> None:
        self._values = np.empty((slices, *shape), dtype=np.float32)
        self._numbers: list[int | None] = [None] * slices

    def holds(self, z: int) -> bool:
        """Whether those of a slice are there."""
        return self._numbers[z % len(self._numbers)] == z

    def of(self, z: int) -> NDArray[np.float32]:
        """Those of a slice that is there."""
        return np.asarray(self._values[z % len(self._numbers)])

    def put(self, z: int, values: NDArray[np.float32]) -> None:
        """Keep those of a slice, in place of another."""
        self._values[z % len(self._numbers)] = values
        self._numbers[z % len(self._numbers)] = z


def _refined(image: NDArray[np.float32], details: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image of twice the size, by Haar's wavelets: what is coarser, and differences along x, y and both."""
    along_x, along_y, both = details
    made = np.empty((2 * image.shape[0], 2 * image.shape[1]), dtype=np.float32)
    made[::2, ::2] = image + along_x + along_y + both
    made[::2, 1::2] = image - along_x + along_y - both
    made[1::2, ::2] = image + along_x - along_y - both
    made[1::2, 1::2] = image - along_x - along_y + both
    return made * np.float32(0.5)


def filter_along_z(sigma: float) -> NDArray[np.float64]:
    """Weights of a Gaussian filter of `sigma` slices that leaves the variance of independent noise as it is."""
    if sigma < _LEAST_SIGMA:
        return np.ones(1)
    sigma = min(sigma, _MOST_SIGMA)
    reach = math.ceil(_KEPT_SIGMAS * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(weights / np.sqrt((weights**2).sum()))
