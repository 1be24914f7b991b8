"""Equal distances along z and in the plane for voxels that are not cubes: whole steps, or between two steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

VoxelSize = tuple[float | None, float | None, float | None]
PlaneStep = float | tuple[float, float]
"""Slice distance in pixels of the plane: along y and x, or one number for both."""

_WHOLE = 1e-6  # a distance so near to a whole number of voxels is one


def plane_step(voxel_size_nm: VoxelSize | None) -> tuple[float, float]:
    """How many pixels along y and x are as far apart as two slices, for voxels of that size along z, y, x."""
    if voxel_size_nm is None:
        return 1.0, 1.0
    z_nm, y_nm, x_nm = voxel_size_nm
    if z_nm is None or y_nm is None or x_nm is None:
        return 1.0, 1.0
    return float(z_nm) / float(y_nm), float(z_nm) / float(x_nm)


@dataclass(frozen=True)
class Lag:
    """A distance in voxels along one axis, and the whole numbers of voxels about it; both are the same if it is one."""

    distance: float

    @property
    def low(self) -> int:
        """Whole voxels, not above it."""
        return math.floor(self.distance + _WHOLE)

    @property
    def high(self) -> int:
        """Whole voxels, not below it."""
        return math.ceil(self.distance - _WHOLE)

    @property
    def both(self) -> tuple[int, ...]:
        """Those at which to measure."""
        return (self.low,) if self.low == self.high else (self.low, self.high)

    def between(self, values: tuple[float, ...]) -> float:
        """What was measured at `both`, at the distance itself: by a power of the distance.

        A change grows so, with 1 for its square at rough walls and 2 in smooth rock. Interpolating grey levels instead
        would smooth them, and their change would be too small.
        """
        if len(values) == 1:
            return values[0]
        low, high = values
        if not (low > 0 and high > 0):
            return low + (high - low) * (self.distance - self.low) / (self.high - self.low)
        power = math.log(self.distance / self.low) / math.log(self.high / self.low)
        return float(low ** (1 - power) * high**power)


def equal_lags(step: PlaneStep) -> tuple[Lag, Lag, Lag]:
    """The least distance that is a voxel or more along z, y and x: the slice distance, or the edge of a wider pixel."""
    y, x = step if isinstance(step, tuple) else (step, step)
    slices = max(1.0, 1 / y, 1 / x)
    return Lag(slices), Lag(slices * y), Lag(slices * x)
