"""What a TXM volume shows on the plane of a FIB-SEM slice: on pixels as wide as voxels, upright in the volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from txm2sem_core import planes
from txm2sem_core.geometry import Matrix
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.io import Volume, finer_image, volume_on


@dataclass(frozen=True)
class PlaneCut:
    """The volume on a plane.

    Attributes:
        txm: the slice [Y, X]; its rows and columns follow y and x of the volume as nearly as the plane allows.
        grid: [3, 4], from its pixel (x, y, n, 1) to the voxel (x, y, z).
        matrix: [3, 3], from the FIB-SEM slice's pixel (x, y, 1) to its pixel.
    """

    txm: Slice
    grid: Matrix
    matrix: Matrix

    def finer(self, factor: int) -> PlaneCut:
        """The same on pixels finer by this factor, so many of the same value for each (see `io.finer_image`)."""
        if factor == 1:
            return self
        middle = (factor - 1) / 2
        to_finer = np.array([[factor, 0, middle], [0, factor, middle], [0, 0, 1]], dtype=np.float64)
        given = None if self.txm.given is None else finer_image(self.txm.given, factor)
        grid = planes.of_pixels(self.grid, np.linalg.inv(to_finer).astype(np.float64))
        return PlaneCut(Slice(finer_image(self.txm.image, factor), given), grid, to_finer @ self.matrix)


def upright_grid(plane: Matrix, shape: tuple[int, int], aspect: float) -> tuple[Matrix, tuple[int, int], Matrix]:
    """The grid [3, 4], the shape and the matrix [3, 3] of `PlaneCut`, that hold all of a slice [Y, X].

    Of an untilted plane the grid is that of the volume's slices.
    """
    space = np.array([1.0, 1.0, aspect])
    normal = plane[:, 2] * space
    normal /= np.linalg.norm(normal)
    along_x = np.array([1.0, 0, 0]) - normal[0] * normal
    along_x /= np.linalg.norm(along_x)
    along_y = np.cross(normal, along_x)
    height = normal @ (plane[:, 3] * space)
    axes = np.stack([along_x, along_y])
    corners = (planes.corners_xyz(plane, shape) * space) @ axes.T
    low = np.floor(corners.min(axis=0) + planes.INSIDE_TOLERANCE).astype(int)
    high = np.ceil(corners.max(axis=0) - planes.INSIDE_TOLERANCE).astype(int)
    origin = height * normal + low @ axes
    grid = np.column_stack([along_x, along_y, normal, origin]) / space[:, None]
    matrix = np.eye(3)
    matrix[:2, :2] = axes @ (plane[:, :2] * space[:, None])
    matrix[:2, 2] = axes @ (plane[:, 3] * space) - low
    return grid, (int(high[1] - low[1]) + 1, int(high[0] - low[0]) + 1), matrix


def cut_volume(volume: Volume, plane: Matrix, shape: tuple[int, int], aspect: float = 1.0) -> PlaneCut | None:
    """The volume on the plane of a slice [Y, X], within the volume; None where they do not meet."""
    grid, (height, width), matrix = upright_grid(plane, shape, aspect)
    within = planes.covered(grid, (height, width), volume.shape)
    rows, columns = np.flatnonzero(within.any(axis=1)), np.flatnonzero(within.any(axis=0))
    if not rows.size:
        return None
    y0, x0 = int(rows[0]), int(columns[0])
    corner = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], dtype=np.float64)
    grid = planes.of_pixels(grid, np.linalg.inv(corner).astype(np.float64))
    size = (int(rows[-1]) - y0 + 1, int(columns[-1]) - x0 + 1)
    return PlaneCut(volume_on(volume, grid, size), grid, corner @ matrix)
