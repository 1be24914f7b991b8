"""How a slice is bent beside its matrix: a smooth displacement on the fixed grid, by cubic B-splines.

A fixed pixel p shows what the moving slice has at M^-1 (p + u(p)), where M is the slice's matrix (see `geometry`) and
u(p) the displacement, in fixed pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DEGREE = 3
EXTRA = 3  # coefficients along an axis more than it has cells


@dataclass(frozen=True)
class Bend:
    """A displacement by uniform cubic B-splines; beyond their rectangle it is that of its edge.

    At no place is it longer than the longest of its coefficients, since B-splines are weights that add up to one.

    Attributes:
        origin_xy: the rectangle's first fixed pixel.
        spacing_px: side of a cell, in fixed pixels.
        coefficients: [2, cells along y + 3, cells along x + 3], of the displacement along y and along x.
    """

    origin_xy: tuple[float, float]
    spacing_px: float
    coefficients: Array

    def displacement(self, shape: tuple[int, int]) -> Array:
        """U (y, x) of every fixed pixel, [2, Y, X]."""
        along_y = self._weights(shape[0], self.origin_xy[1], self.coefficients.shape[1])
        along_x = self._weights(shape[1], self.origin_xy[0], self.coefficients.shape[2])
        return np.asarray(np.einsum("yi,cij,xj->cyx", along_y, self.coefficients, along_x, optimize=True))

    def _weights(self, size: int, origin: float, count: int) -> Array:
        """The B-splines `[size, count]` at each pixel of an axis."""
        from scipy.interpolate import BSpline  # here, not above: heavy, and most that reads a transform has no bend

        cells = (np.arange(size) - origin) / self.spacing_px
        knots = np.arange(-DEGREE, count + 1, dtype=np.float64)
        inside = np.clip(cells, 0, count - EXTRA)
        return np.asarray(BSpline.design_matrix(inside, knots, DEGREE).toarray())

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        y, x = self.coefficients.tolist()
        return {"origin_xy": list(self.origin_xy), "spacing_px": self.spacing_px, "along_x": x, "along_y": y}


def bend_of_record(record: Mapping[str, Any] | None) -> Bend | None:
    """The inverse of `Bend.record`; None of None."""
    if record is None:
        return None
    x, y = record["origin_xy"]
    return Bend((x, y), record["spacing_px"], np.array([record["along_y"], record["along_x"]], dtype=np.float64))
