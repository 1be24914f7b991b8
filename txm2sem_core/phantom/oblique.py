"""FIB-SEM slices that lie obliquely in the TXM volume: where, and what the microscope shows there.

The rock is cut plane by plane along z, so an oblique slice is resampled from the truth: pixels finer than the voxels
show no finer rock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from txm2sem_core import planes
from txm2sem_core.config import PhantomSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.phantom import sem
from txm2sem_core.phantom.grains import as_generator
from txm2sem_core.planes import Matrix

TRIES = 1000


def random_plane(
    rng: np.random.Generator,
    volume_shape: tuple[int, int, int],
    sides: tuple[float, float],
    scales: tuple[float, float],
    max_tilt_deg: float,
    *,
    mirrored: bool,
    aspect: float = 1.0,
) -> tuple[Matrix, tuple[int, int]]:
    """A plane wholly within a volume, and the shape (Y, X) of its slice.

    Scales are uniform in their logarithm, sides and angles uniform; turns are over the whole circle.

    Args:
        rng: source of numbers.
        volume_shape: (Z, Y, X).
        sides: least and greatest side of the slice, in widths of voxels.
        scales: least and greatest width of a pixel, in widths of voxels.
        max_tilt_deg: greatest angle between the slice's normal and the z axis.
        mirrored: whether half of the slices are mirrored.
        aspect: height of a voxel over its width.

    Raises:
        ValueError: no such slice fits.
    """
    last = np.array(volume_shape[::-1]) - 1.0
    for _ in range(TRIES):
        scale = float(np.exp(rng.uniform(*np.log(scales))))
        shape = int(rng.uniform(*sides) / scale), int(rng.uniform(*sides) / scale)
        turn, tilt, towards = rng.uniform(-180, 180), rng.uniform(0, max_tilt_deg), rng.uniform(-180, 180)
        flip = bool(rng.integers(2)) and mirrored
        centre = rng.uniform(0, 1, 3) * last
        plane = planes.centred_plane(
            (centre[0], centre[1], centre[2]), shape, scale, turn, tilt, towards, mirrored=flip, aspect=aspect
        )
        corners = planes.corners_xyz(plane, shape)
        room = (last - np.ptp(corners, axis=0)).clip(0)  # moved within, where it fits at all
        plane[:, 3] += np.clip(corners.min(axis=0), 0, room) - corners.min(axis=0)
        if (planes.corners_xyz(plane, shape) <= last + 1e-9).all():
            return plane, shape
    raise ValueError(f"no slice of {sides[0]:g} to {sides[1]:g} voxels a side fits into a volume of {volume_shape}")


def jittered_stack(plane: Matrix, spacings: Sequence[float], jitter: float, rng: np.random.Generator) -> list[Matrix]:
    """Planes of one pose along its normal, `spacings` pixels from the first, each shifted in itself by the jitter.

    Args:
        plane: of the first slice.
        spacings: distance of each from the first, in pixels.
        jitter: standard deviation of the shift along x and y, and of the distance, in pixels.
        rng: source of numbers.
    """
    found = []
    for distance in spacings:
        x, y, n = rng.normal(0, jitter, 3) if jitter else np.zeros(3)
        moved = plane.copy()
        moved[:, 3] = plane @ (x, y, distance + n, 1.0)
        found.append(moved)
    return found


def milled_planes(settings: PhantomSettings) -> tuple[list[Matrix], tuple[int, int]]:
    """The planes of the phantom's milled stack, in its middle, and the shape (Y, X) of its slices.

    Raises:
        ConfigError: they reach beyond the volume.
    """
    milled, volume = settings.milled, settings.shape
    aspect = settings.voxel_size_nm[0] / settings.voxel_size_nm[2]
    shape = int(milled.share * volume[1] / milled.pixel), int(milled.share * volume[2] / milled.pixel)
    middle = planes.centred_plane(
        ((volume[2] - 1) / 2, (volume[1] - 1) / 2, (volume[0] - 1) / 2),
        shape,
        milled.pixel,
        milled.turn_deg,
        milled.tilt_deg,
        milled.towards_deg,
        mirrored=milled.mirrored,
        aspect=aspect,
    )
    spacing, jitter = milled.spacing / milled.pixel, milled.jitter / milled.pixel
    distances = [spacing * (k - (milled.slices - 1) / 2) for k in range(milled.slices)]
    stack = jittered_stack(middle, distances, jitter, as_generator(settings.seed, "milled"))
    for plane in stack:
        corners = planes.corners_xyz(plane, shape)
        if (corners < 0).any() or (corners > np.array(volume[::-1]) - 1).any():
            raise ConfigError(
                f"phantom.milled: a stack of {milled.slices} slices with tilt_deg = {milled.tilt_deg:g} reaches beyond "
                f"a volume of {list(volume)} voxels (Z, Y, X). Lower slices, spacing, share or tilt_deg, or enlarge "
                "phantom.shape."
            )
    return stack, shape


def cut_plane(
    truth_sem: NDArray[np.uint8],
    truth_labels: NDArray[np.uint8],
    plane: Matrix,
    shape: tuple[int, int],
    pixel_nm: float,
    electrons: float,
    rng: np.random.Generator,
) -> sem.SemImage:
    """One FIB-SEM image [Y, X] of a plane in the truth [Z, Y, X] (see `sem.acquire`)."""

    def cut(volume: NDArray[np.uint8], order: int) -> NDArray[np.uint8]:
        depth, height, width = volume.shape
        return planes.sample(lambda z, y, x: volume[z, y, x], (depth, height, width), plane, shape, order=order)

    clean, seen = cut(truth_sem, 3).astype(np.float32), cut(truth_labels, 0)
    return sem.acquire(clean, seen, pixel_nm, electrons, rng)
