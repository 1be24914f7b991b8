"""Where one slice lands on another: resampling, coverage, the common rectangle, and the error against a truth.

Every matrix here is 3x3 float64 and takes a moving pixel (x, y, 1) to a fixed pixel; pixel centres lie at whole
numbers, so the centre of the top left pixel is (0, 0). A slice may be bent beside its matrix (see `bends`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.bends import Bend

Array = NDArray[Any]
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]

EDGE_TOLERANCE_PX = 1e-6  # so that rounding in a matrix does not uncover the outermost row
FINER = 1.25  # moving pixels along a fixed one from which a fixed pixel is a mean over its area
POINTS_AT_ONCE = 2**23


class Crop(NamedTuple):
    """A rectangle of whole pixels; y1 and x1 lie one past the last."""

    y0: int
    y1: int
    x0: int
    x1: int

    def of(self, image: Array) -> Array:
        """The part of `image` [Y, X] inside the rectangle."""
        return image[self.y0 : self.y1, self.x0 : self.x1]

    def on_grid(self, step: int) -> Crop:
        """The part of it that begins and ends at multiples of `step`."""
        y0, x0 = -(-self.y0 // step) * step, -(-self.x0 // step) * step
        return Crop(y0, max(y0, self.y1 // step * step), x0, max(x0, self.x1 // step * step))


def centred(length: int, most: int) -> slice:
    """The middle of an axis, at most so many pixels of it."""
    start = max(length - most, 0) // 2
    return slice(start, min(start + most, length))


def relative_length(one_nm: float | None, other_nm: float | None) -> float:
    """The ratio of two edges of a voxel; 1, as of a cube, where one is not known."""
    return 1.0 if one_nm is None or other_nm is None else one_nm / other_nm


def _moving_coordinates(matrix: Matrix, fixed_shape: tuple[int, int], bend: Bend | None) -> NDArray[np.float64]:
    """For every fixed pixel the moving (y, x) that lands on it, [2, Y, X]."""
    inverse = np.linalg.inv(matrix)
    y, x = np.mgrid[: fixed_shape[0], : fixed_shape[1]].astype(np.float64)
    if bend is not None:
        along_y, along_x = bend.displacement(fixed_shape)
        y, x = y + along_y, x + along_x
    return np.stack(
        [
            inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2],
            inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2],
        ]
    )


def _footprint(matrix: Matrix) -> NDArray[np.float64]:
    """Moving (y, x) from a fixed pixel's centre to each point that stands for its area, [points, 2].

    One point, the centre, where moving pixels are about as large as fixed ones or larger; otherwise a grid of points at
    most one moving pixel apart.
    """
    finer = 1 / abs(scale(matrix))
    count = 1 if finer < FINER else int(np.ceil(finer - EDGE_TOLERANCE_PX))
    steps = (np.arange(count) + 0.5) / count - 0.5
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    inverse = np.linalg.inv(matrix)
    return np.asarray(offsets @ inverse[:2, :2][::-1, ::-1].T)


def _inside(coordinates: NDArray[np.float64], moving_shape: tuple[int, int], footprint: NDArray[np.float64]) -> Mask:
    """Which coordinates [2, Y, X] have their whole footprint between moving pixel centres."""
    last = np.array(moving_shape, dtype=np.float64).reshape(2, 1, 1) - 1
    low, high = (edge.reshape(2, 1, 1) for edge in (footprint.min(axis=0), footprint.max(axis=0)))
    within = (coordinates + low >= -EDGE_TOLERANCE_PX) & (coordinates + high <= last + EDGE_TOLERANCE_PX)
    return np.asarray(within.all(axis=0))


def coverage(
    matrix: Matrix, moving_shape: tuple[int, int], fixed_shape: tuple[int, int], bend: Bend | None = None
) -> Mask:
    """Which fixed pixels the moving image covers, bool [Y, X]: those that fall between moving pixel centres."""
    return _inside(_moving_coordinates(matrix, fixed_shape, bend), moving_shape, _footprint(matrix))


def covered_by(mask: Mask, matrix: Matrix, fixed_shape: tuple[int, int], bend: Bend | None = None) -> Mask:
    """Which fixed pixels the True pixels of the moving `mask` [Y, X] cover, bool [Y, X]; by nearest neighbour.

    Where moving pixels are finer, all of those within the fixed pixel must be True.
    """
    covered = coverage(matrix, mask.shape, fixed_shape, bend)
    return covered if mask.all() else covered & ~touched_by(~mask, matrix, fixed_shape, bend)


def touched_by(mask: Mask, matrix: Matrix, fixed_shape: tuple[int, int], bend: Bend | None = None) -> Mask:
    """Which fixed pixels at least one True pixel of the moving `mask` [Y, X] reaches, bool [Y, X]."""
    return _resampled(mask.astype(np.uint8), matrix, fixed_shape, 0, lambda points: points.max(axis=0), bend) > 0


def warp(
    moving: Array,
    matrix: Matrix,
    shape: tuple[int, int],
    order: int = 3,
    fill: float = 0,
    bend: Bend | None = None,
) -> Array:
    """Resample `moving` [Y, X] onto the fixed grid.

    Where moving pixels are clearly finer than fixed ones, a fixed pixel is the mean over its area, so that nothing is
    aliased (of `order` 0: the value of most of it).

    Args:
        moving: image of any integer, float or bool type; bool is always resampled by nearest neighbour. NaN stays
            where it is by nearest neighbour, and spreads with a spline.
        matrix: moving pixel to fixed pixel.
        shape: (Y, X) of the fixed grid.
        order: of the spline, 0 (nearest) to 5; 3 keeps the sharpness that linear interpolation would take.
        fill: value where the moving image does not cover the fixed grid.
        bend: of the moving image beside the matrix.

    Returns:
        [Y, X] of the moving image's type. Integers are rounded, and kept within the moving image's own range: a
        cubic spline overshoots at edges.
    """
    if moving.dtype == np.bool_:
        order = 0
    source = moving.astype(np.float64)
    points = len(_footprint(matrix))
    if order == 0:  # the lower median is the value of most, and never one that is not there
        values = _resampled(
            source, matrix, shape, 0, lambda of: np.partition(of, (points - 1) // 2, axis=0)[(points - 1) // 2], bend
        )
    else:
        values = _resampled(source, matrix, shape, order if points == 1 else 1, lambda of: of.mean(axis=0), bend)
    values = np.clip(values, np.nanmin(source), np.nanmax(source))
    if np.issubdtype(moving.dtype, np.integer):
        values = np.rint(values)
    values[~coverage(matrix, moving.shape, shape, bend)] = fill
    return values.astype(moving.dtype)


def _resampled(
    source: Array,
    matrix: Matrix,
    shape: tuple[int, int],
    order: int,
    summary: Callable[[Array], Array],
    bend: Bend | None,
) -> Array:
    """`summary` [Y, X] of the values [points, Y, X] at each fixed pixel's footprint; beyond its edge the image's edge.

    Taken by bands of rows, so that the points of a much finer image need little memory.
    """
    from scipy import ndimage  # here, not above: heavy, and imported with this module by every prediction

    footprint, coordinates = _footprint(matrix), _moving_coordinates(matrix, shape, bend)
    last = np.array(source.shape, dtype=np.float64).reshape(2, 1, 1) - 1
    if len(footprint) == 1:
        clipped = np.clip(coordinates, 0, last)
        return np.asarray(ndimage.map_coordinates(source, clipped, order=order, mode="mirror"))
    rows = max(1, POINTS_AT_ONCE // (len(footprint) * max(1, shape[1])))
    bands = []
    for y in range(0, shape[0], rows):
        here = coordinates[:, y : y + rows]
        at = [np.clip(here + offset.reshape(2, 1, 1), 0, last) for offset in footprint]
        bands.append(summary(np.stack([ndimage.map_coordinates(source, each, order=order) for each in at])))
    return np.concatenate(bands) if bands else np.zeros(shape, dtype=source.dtype)


def common_crop(covered: Mask) -> Crop:
    """The largest axis-aligned rectangle in which every pixel of `covered` [Y, X] is True.

    Largest rectangle in a histogram, row by row, with a stack: exact, in time proportional to the pixels. The first
    found of several equal ones, reading from the top; an empty rectangle at (0, 0) if nothing is covered.
    """
    best, best_area = Crop(0, 0, 0, 0), 0
    heights = np.zeros(covered.shape[1], dtype=np.int64)
    for y, row in enumerate(covered):
        heights = np.where(row, heights + 1, 0)
        if int(heights.max()) * int(np.count_nonzero(row)) <= best_area:
            continue  # no rectangle that ends here can be larger
        stack: list[tuple[int, int]] = []  # (x where the bar begins, its height), heights rising
        for x, height in enumerate([*heights.tolist(), 0]):
            begin = x
            while stack and stack[-1][1] >= height:
                begin, bar = stack.pop()
                if bar * (x - begin) > best_area:
                    best_area = bar * (x - begin)
                    best = Crop(y + 1 - bar, y + 1, begin, x)
            stack.append((begin, height))
    return best


def corner_error_px(matrix: Matrix, truth: Matrix, moving_shape: tuple[int, int]) -> float:
    """Mean distance in fixed pixels between where `matrix` and `truth` put the moving image's four corner pixels."""
    last_y, last_x = moving_shape[0] - 1, moving_shape[1] - 1
    corners = np.array([[0, 0, 1], [last_x, 0, 1], [0, last_y, 1], [last_x, last_y, 1]], dtype=np.float64).T
    difference = ((matrix - truth) @ corners)[:2]
    return float(np.hypot(difference[0], difference[1]).mean())


def centred_similarity(
    rotation_deg: float,
    scale: float,
    shift_xy_px: tuple[float, float],
    moving_shape: tuple[int, int],
    fixed_shape: tuple[int, int],
) -> Matrix:
    """Turn and scale about the moving image's centre, then put that centre `shift_xy_px` from the fixed image's.

    A positive angle turns x towards y: clockwise as the image is seen, y downwards.
    """
    angle = np.deg2rad(rotation_deg)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moving_centre, fixed_centre = _centre_xy(moving_shape), _centre_xy(fixed_shape)
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = fixed_centre + np.asarray(shift_xy_px) - linear @ moving_centre
    return matrix


def _centre_xy(shape: tuple[int, int]) -> NDArray[np.float64]:
    return (np.array([shape[1], shape[0]], dtype=np.float64) - 1) / 2


def stretch(matrix: Matrix) -> float:
    """Greatest over least scale of a matrix: 1 of a similarity."""
    scales = np.linalg.svd(matrix[:2, :2], compute_uv=False)
    return float(scales[0] / scales[1])


def turn_between_deg(one_deg: float, other_deg: float) -> float:
    """The angle from one turn to another, 0 to 180 degrees."""
    return abs((one_deg - other_deg + 180) % 360 - 180)


def rotation_deg(matrix: Matrix) -> float:
    """The rotation nearest to the matrix, in degrees, x towards y positive.

    Of a mirrored image that which follows once it is mirrored left to right.
    """
    sign = -1.0 if np.linalg.det(matrix[:2, :2]) < 0 else 1.0
    return float(np.rad2deg(np.arctan2(sign * matrix[1, 0] - matrix[0, 1], sign * matrix[0, 0] + matrix[1, 1])))


def scale(matrix: Matrix) -> float:
    """Fixed pixels to a moving pixel: the square root of the area factor (negative for a mirrored image)."""
    determinant = float(np.linalg.det(matrix[:2, :2]))
    return float(np.copysign(np.sqrt(abs(determinant)), determinant))


def shift_xy_px(matrix: Matrix, moving_shape: tuple[int, int], fixed_shape: tuple[int, int]) -> tuple[float, float]:
    """Where the moving image's centre lands, from the fixed image's centre, (x, y) in fixed pixels."""
    landed = (matrix @ np.append(_centre_xy(moving_shape), 1.0))[:2] - _centre_xy(fixed_shape)
    return float(landed[0]), float(landed[1])


def window_share(mask: np.ndarray, size: int) -> np.ndarray:
    """Share of True pixels in every size x size window, [Y - size + 1, X - size + 1], by an integral image."""
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    total[1:, 1:] = mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    sums = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    return np.asarray(sums / size**2)
