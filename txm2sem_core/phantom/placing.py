"""How a FIB-SEM image lies on the TXM slice: a turn, a scale and a shift, and how it is bent besides, known exactly.

A matrix `[3, 3]` takes a moving (FIB-SEM) pixel (x, y, 1) to a fixed (TXM) pixel; pixel centres are whole numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from txm2sem_core.config import PhantomSettings
from txm2sem_core.phantom.fields import random_field

Matrix = NDArray[np.float64]
Floats = NDArray[np.float32]

MISFIT_CELL_PX = 40.0  # so a bend is about twice as wide, and folds nothing at any size that settings allow
MISFIT_REACH = 4.0  # in root mean squares: few points would lie farther off, in small frames alone


def frame_shape(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Rows and columns of a FIB-SEM image: those of the TXM slice, less the rows that the data bar covered."""
    return max(shape[1] - shape[1] // 16, 1), shape[2]


def margin_px(settings: PhantomSettings) -> int:
    """Voxels of rock needed around the TXM's field so that every FIB-SEM pixel has content."""
    height, width = frame_shape(settings.shape)
    angle = np.deg2rad(min(settings.max_rotation_deg, 45.0))
    scale = 1.0 + settings.max_scale_percent / 100.0
    half_y = scale * (height * np.cos(angle) + width * np.sin(angle)) / 2.0
    half_x = scale * (width * np.cos(angle) + height * np.sin(angle)) / 2.0
    half_y = max(half_y, scale * height / 2.0)
    half_x = max(half_x, scale * width / 2.0)
    beyond = max(half_y - settings.shape[1] / 2.0, half_x - settings.shape[2] / 2.0)
    return int(np.ceil(max(beyond, 0.0) + settings.max_shift_px + MISFIT_REACH * settings.misfit_px)) + 3


def similarity(
    angle_deg: float,
    scale: float,
    shift_yx: tuple[float, float],
    moving_shape: tuple[int, int],
    fixed_shape: tuple[int, int],
) -> Matrix:
    """The matrix that turns and scales a moving image about its centre and lays it, shifted, on the fixed one's."""
    cosine, sine = scale * np.cos(np.deg2rad(angle_deg)), scale * np.sin(np.deg2rad(angle_deg))
    moving_y, moving_x = (moving_shape[0] - 1) / 2.0, (moving_shape[1] - 1) / 2.0
    fixed_y, fixed_x = (fixed_shape[0] - 1) / 2.0 + shift_yx[0], (fixed_shape[1] - 1) / 2.0 + shift_yx[1]
    return np.array(
        [
            [cosine, -sine, fixed_x - cosine * moving_x + sine * moving_y],
            [sine, cosine, fixed_y - sine * moving_x - cosine * moving_y],
            [0.0, 0.0, 1.0],
        ]
    )


def random_placing(settings: PhantomSettings, rng: np.random.Generator) -> Matrix:
    """A turn, a scale and a shift within the settings' bounds, all uniform."""
    angle = rng.uniform(-1.0, 1.0) * settings.max_rotation_deg
    scale = 1.0 + rng.uniform(-1.0, 1.0) * settings.max_scale_percent / 100.0
    shift = rng.uniform(-1.0, 1.0, 2) * settings.max_shift_px
    return similarity(angle, scale, (shift[0], shift[1]), frame_shape(settings.shape), settings.shape[1:])


def random_misfit(settings: PhantomSettings, rng: np.random.Generator) -> Floats | None:
    """How far each FIB-SEM pixel lies from where its matrix puts it: `[2, Y, X]` (y, x) in TXM pixels.

    A smooth Gaussian field, less the affine transform nearest to it: what is left, no registration by a matrix takes
    away. The root mean square of its length is `misfit_px`. None where that is 0.
    """
    if settings.misfit_px == 0:
        return None
    height, width = frame_shape(settings.shape)
    cells = (MISFIT_CELL_PX, MISFIT_CELL_PX, MISFIT_CELL_PX)
    drawn = np.stack([random_field(rng, (1, height, width), cells).plane(0).ravel() for _ in range(2)], axis=1)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    affine = np.stack([np.ones(height * width), y.ravel() / height, x.ravel() / width], axis=1)
    local = drawn - affine @ np.linalg.lstsq(affine, drawn, rcond=None)[0]
    local *= settings.misfit_px / np.sqrt(np.mean(np.sum(local**2, axis=1)))
    farthest = MISFIT_REACH * settings.misfit_px  # as far as there is rock about the field
    return local.clip(-farthest, farthest).T.reshape(2, height, width).astype(np.float32)


def sample_frame(
    plane: NDArray[Any],
    matrix: Matrix,
    shape: tuple[int, int],
    margin: int,
    order: int,
    misfit: Floats | None = None,
) -> NDArray[Any]:
    """The frame `shape` that a FIB-SEM placed by `matrix` sees of `plane` `[Y, X]`, by spline interpolation.

    `plane` reaches `margin` pixels beyond the TXM slice on every side. Order 0 is for labels. `misfit` is that of
    `random_misfit`.
    """
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    fixed_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
    fixed_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    if misfit is not None:
        fixed_y, fixed_x = fixed_y + misfit[0], fixed_x + misfit[1]
    return np.asarray(ndimage.map_coordinates(plane, [fixed_y + margin, fixed_x + margin], order=order, mode="nearest"))
