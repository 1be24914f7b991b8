"""Planes in a volume: where each pixel of a slice lies, what the volume shows there, and the error against a truth.

A plane is a 3x4 matrix that takes a pixel (x, y, n, 1) of a slice to a voxel (x, y, z); n is 0 on the slice itself, and
counts pixels along its normal, towards rising z. Centres of pixels and voxels lie at whole numbers. In space, where a
voxel is `aspect` times as high along z as it is wide, a plane is a turn, a scale and a shift, mirrored or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Matrix = NDArray[np.float64]

TILE_PX = 256  # a plane is sampled in tiles of this side, so that a tilted one needs little of a volume at a time
SPLINE_MARGIN = 12  # voxels about a tile, beyond which a cubic spline's filter is not felt
INSIDE_TOLERANCE = 1e-6


def with_normal(linear: Matrix, origin_xyz: Matrix, aspect: float = 1.0) -> Matrix:
    """The plane [3, 4] whose pixel (0, 0) lies at `origin_xyz`, and whose pixels along x and y are `linear` [3, 2].

    All in voxels; voxels are `aspect` times as high as they are wide.
    """
    space = np.array([1.0, 1.0, aspect])
    along_x, along_y = (linear * space[:, None]).T
    normal = np.cross(along_x, along_y)
    normal *= np.sqrt(np.linalg.norm(along_x) * np.linalg.norm(along_y)) / np.linalg.norm(normal)
    normal *= -1.0 if normal[2] < 0 else 1.0
    return np.column_stack([linear, normal / space, origin_xyz])


def centred_plane(
    centre_xyz: tuple[float, float, float],
    shape: tuple[int, int],
    scale: float,
    turn_deg: float = 0.0,
    tilt_deg: float = 0.0,
    towards_deg: float = 0.0,
    *,
    mirrored: bool = False,
    aspect: float = 1.0,
) -> Matrix:
    """The plane of a slice [Y, X] by its centre, and how it is turned and tilted about it.

    Args:
        centre_xyz: voxel at which the slice's centre lies.
        shape: (Y, X) of the slice.
        scale: width of its pixels, in widths of voxels.
        turn_deg: turn in the plane, x towards y.
        tilt_deg: angle between the slice's normal and the z axis.
        towards_deg: direction in the xy plane in which the tilt raises the slice, from x towards y.
        mirrored: left to right, before it is turned.
        aspect: height of a voxel along z over its width.
    """
    turn, tilt, towards = np.deg2rad([turn_deg, tilt_deg, towards_deg])
    flat = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)], [0, 0]])
    if mirrored:
        flat[:, 0] *= -1
    linear = rotation(tilt * np.array([np.sin(towards), -np.cos(towards), 0])) @ flat
    linear[2] /= aspect
    middle = np.array([shape[1] - 1, shape[0] - 1]) / 2
    return with_normal(linear, np.asarray(centre_xyz) - linear @ middle, aspect)


def rotation(vector: Array) -> Matrix:
    """The rotation [3, 3] about an axis by the length of `vector` [3] in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle == 0:
        return np.eye(3)
    x, y, z = np.asarray(vector) / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def tilt_deg(plane: Matrix, aspect: float = 1.0) -> float:
    """The angle between a plane's normal and the z axis, 0 to 90 degrees."""
    normal = plane[:, 2] * (1.0, 1.0, aspect)
    return float(np.rad2deg(np.arccos(np.clip(normal[2] / np.linalg.norm(normal), -1, 1))))


def is_mirrored(plane: Matrix) -> bool:
    """Whether a slice is seen from behind."""
    return bool(np.linalg.det(plane[:, :3]) < 0)


def width(plane: Matrix, aspect: float = 1.0) -> float:
    """Width of a pixel, in widths of voxels."""
    along_x, along_y = (plane[:, :2] * np.array([[1.0], [1.0], [aspect]])).T
    return float(np.sqrt(np.linalg.norm(along_x) * np.linalg.norm(along_y)))


def corners_xyz(plane: Matrix, shape: tuple[int, int]) -> Matrix:
    """The voxels (x, y, z) [4, 3] at which the corner pixels of a slice [Y, X] lie."""
    y, x = shape[0] - 1, shape[1] - 1
    pixels = np.array([[0, 0, 0, 1], [x, 0, 0, 1], [0, y, 0, 1], [x, y, 0, 1]], dtype=np.float64)
    return np.asarray(pixels @ plane.T)


def corner_rms(plane: Matrix, truth: Matrix, shape: tuple[int, int], aspect: float = 1.0) -> float:
    """Root mean square distance of the four corner pixels from where `truth` puts them, in widths of voxels."""
    apart = (corners_xyz(plane, shape) - corners_xyz(truth, shape)) * (1.0, 1.0, aspect)
    return float(np.sqrt((apart**2).sum(axis=1).mean()))


def of_pixels(plane: Matrix, pixels: Matrix) -> Matrix:
    """The plane of a slice whose pixels (x, y, 1) are taken to those of `plane` by the similarity `pixels` [3, 3]."""
    step = np.sqrt(abs(np.linalg.det(pixels[:2, :2])))
    inner = np.zeros((4, 4))
    inner[:2, :2], inner[:2, 3], inner[2, 2], inner[3, 3] = pixels[:2, :2], pixels[:2, 2], step, 1
    return np.asarray(plane @ inner)


def positions_zyx(
    plane: Matrix, shape: tuple[int, int], normal: float = 0.0, corner: tuple[int, int] = (0, 0)
) -> Array:
    """The voxel (z, y, x) [3, Y, X] of each pixel; of the part `shape` of a slice that begins at `corner` (y, x)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    y, x = y + corner[0], x + corner[1]
    rows = [plane[i, 0] * x + plane[i, 1] * y + plane[i, 2] * normal + plane[i, 3] for i in (2, 1, 0)]
    return np.stack(rows)


def covered(plane: Matrix, shape: tuple[int, int], volume_shape: tuple[int, ...], normal: float = 0.0) -> Array:
    """Which pixels of a slice lie between voxel centres of a volume [Z, Y, X], bool [Y, X]."""
    at = positions_zyx(plane, shape, normal)
    last = np.array(volume_shape, dtype=np.float64).reshape(3, 1, 1) - 1
    return np.asarray(((at >= -INSIDE_TOLERANCE) & (at <= last + INSIDE_TOLERANCE)).all(axis=0))


def share_beyond(plane: Matrix, shape: tuple[int, int], depth: int) -> float:
    """Share of a slice [Y, X] that lies above the first or below the last of `depth` slices of a volume."""
    steps = tuple(max(1, n // 64) for n in shape)
    z = positions_zyx(plane, shape)[0, :: steps[0], :: steps[1]]
    return float(((z < -INSIDE_TOLERANCE) | (z > depth - 1 + INSIDE_TOLERANCE)).mean())


def sample(
    read: Callable[[slice, slice, slice], Array],
    volume_shape: tuple[int, int, int],
    plane: Matrix,
    shape: tuple[int, int],
    normal: float = 0.0,
    order: int = 3,
) -> Array:
    """What a volume shows on a plane [Y, X], in one resampling, in the volume's own type.

    Args:
        read: a box of the volume by slices of z, y, x.
        volume_shape: (Z, Y, X).
        plane: of the slice.
        shape: (Y, X) of the slice.
        normal: how far along the normal, in pixels of the slice.
        order: of the spline. Integers are rounded, and kept within the range of the voxels about.

    Beyond the volume its outermost voxels are repeated; `covered` says where. NaN where one of the eight voxels about
    is not finite, and there alone: the spline takes the nearest finite voxel instead of these.
    """
    tiles = []
    for y in range(0, shape[0], TILE_PX):
        rows = min(TILE_PX, shape[0] - y)
        of_row = [
            _tile(read, volume_shape, positions_zyx(plane, (rows, min(TILE_PX, shape[1] - x)), normal, (y, x)), order)
            for x in range(0, shape[1], TILE_PX)
        ]
        tiles.append(np.concatenate(of_row, axis=1))
    return np.concatenate(tiles)


def _tile(read: Callable[[slice, slice, slice], Array], shape: tuple[int, int, int], at: Array, order: int) -> Array:
    from scipy import ndimage  # here, not above: heavy, and imported with this module by much else

    last = np.array(shape, dtype=np.float64).reshape(3, 1, 1) - 1
    at = np.clip(at, 0, last)
    margin = SPLINE_MARGIN if order > 1 else 1
    low = np.maximum(np.floor(at.min(axis=(1, 2))).astype(int) - margin, 0)
    high = np.minimum(np.ceil(at.max(axis=(1, 2))).astype(int) + margin + 1, shape)
    box = read(*(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)))
    at = at - low.reshape(3, 1, 1)
    finite = np.isfinite(box)
    if not finite.any():
        return np.full(at.shape[1:], np.nan, dtype=box.dtype)
    source = box.astype(np.float64)
    if not finite.all():
        nearest = ndimage.distance_transform_edt(~finite, return_distances=False, return_indices=True)
        source = source[tuple(nearest)]
    values = ndimage.map_coordinates(source, at, order=order, mode="mirror")
    values = np.clip(values, source.min(), source.max())
    if not finite.all():
        known = ndimage.map_coordinates(finite.astype(np.float64), at, order=min(order, 1), mode="mirror")
        values[known < 1 - INSIDE_TOLERANCE] = np.nan
    if np.issubdtype(box.dtype, np.integer):
        values = np.rint(values)
    return np.asarray(values.astype(box.dtype))
