"""How far the slices of a milled stack lie apart, where that is known: a help in finding them, and a check on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from txm2sem_core.errors import ConfigError
from txm2sem_core.geometry import Array, Matrix

CONTRADICTS = 0.25  # of the stated spacing: less is an uneven mill, and pixel sizes that are not quite right
CONTRADICTS_PX = 2.0  # over the whole stack, in widths of voxels: less is what slices may be misplaced by


@dataclass(frozen=True)
class Spacing:
    """What is stated of the distance, along the milling direction, between slices with consecutive numbers.

    Attributes:
        nm: the distance.
        voxel_nm: width of a voxel of the volume.
        source: where it is stated, for messages.
    """

    nm: float
    voxel_nm: float
    source: str

    @property
    def widths(self) -> float:
        """The distance in widths of voxels."""
        return self.nm / self.voxel_nm

    def pace(self, found: Matrix, planes_of: Sequence[Matrix], aspect: float) -> Matrix:
        """How far the centre moves from one number to the next, (x, y, z) in voxels.

        Args:
            found: the same as slices that are known have it, by a straight line through their centres. Its part in the
                planes, the drift, and its sense along the normal are taken from there.
            planes_of: of the known slices.
            aspect: height of a voxel over its width.
        """
        space, normal = np.array([1.0, 1.0, aspect]), mean_normal(planes_of, aspect)
        along = float(found * space @ normal)
        return np.asarray(found + (np.copysign(self.widths, along) - along) * normal / space)

    def check(self, numbers: Sequence[float], centres: Array, planes_of: Sequence[Matrix], aspect: float) -> None:
        """Hold what is stated against slices that were found without it.

        Args:
            numbers: of two slices or more.
            centres: their centres (x, y, z) [N, 3], in voxels.
            planes_of: their planes.
            aspect: height of a voxel over its width.

        Raises:
            ConfigError: they lie so far from one another that it cannot be right.
        """
        along = centres * (1.0, 1.0, aspect) @ mean_normal(planes_of, aspect)
        found = abs(float(np.polyfit(numbers, along, 1)[0]))
        apart = abs(found - self.widths)
        if apart > CONTRADICTS * self.widths and apart * np.ptp(numbers) > CONTRADICTS_PX:
            raise ConfigError(
                f"{self.source}: {self.nm:g} nm from one number to the next, but {len(numbers)} slices (numbers "
                f"{min(numbers):g} to {max(numbers):g}) were found {found * self.voxel_nm:.3g} nm apart a number. "
                "Correct it, or the numbers in the slices' names; or leave it out."
            )


def mean_normal(planes_of: Sequence[Matrix], aspect: float) -> Matrix:
    """The mean normal (x, y, z) of planes, of length 1 where voxels are `aspect` times as high as they are wide."""
    normal = np.sum([plane[:, 2] / np.linalg.norm(plane[:, 2] * (1.0, 1.0, aspect)) for plane in planes_of], axis=0)
    normal = normal * (1.0, 1.0, aspect)
    return np.asarray(normal / np.linalg.norm(normal))
