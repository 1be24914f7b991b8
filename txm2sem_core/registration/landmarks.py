"""Pairs that someone has marked by hand: the transform of the points, and what is made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import InputError, RegistrationError
from txm2sem_core.geometry import Matrix
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.frames import Scaled
from txm2sem_core.registration.placing import Placed, describe_matrix, place_from
from txm2sem_core.samples.raw_pairs import RawPair

Points = NDArray[np.float64]
BY_HAND = (
    "landmarks were marked for it, but no place about them is accepted: look whether they are right, or set "
    "register.landmarks: exact to take their transform as it is"
)
FEWEST_AFFINE = 3


def place_by_landmarks(pair: RawPair, fixed: Slice, moving: Slice, settings: RegisterSettings) -> Placed | None:
    """Register a pair from its landmarks, or by them alone; None where it has none, or needs no transform.

    Of `exact` landmarks nothing is judged, and `disagreement_px` is their root mean square residual.

    Raises:
        InputError: they cannot be read, are too few, or lie outside of the images.
    """
    points = pair.read_landmarks()
    if points is None or settings.transform == "none":
        return None
    on_moving, on_fixed = points
    for name, at, shape in (("FIB-SEM", on_moving, moving.shape), ("TXM", on_fixed, fixed.shape)):
        if (at < -1).any() or (at > np.array([shape[1], shape[0]])).any():
            raise InputError(
                f"{pair.landmarks[0]}: a point lies outside of the {name} slice, which has {shape[0]} x {shape[1]} "
                "pixels (Y, X). Coordinates are pixels: save the landmarks from images without a physical pixel size."
            )
    matrix = matrix_of(on_moving, on_fixed, settings.transform, pair.stated_scale, str(pair.landmarks[0]))
    one, two = Scaled(fixed), Scaled(moving)
    if settings.landmarks == "exact":
        residual = (np.c_[on_moving, np.ones(len(on_moving))] @ matrix.T)[:, :2] - on_fixed
        rms = float(np.sqrt((residual**2).sum(axis=1).mean()))
        try:
            found = describe_matrix(one, two, matrix, settings)
        except RegistrationError as error:
            return Placed(None, [str(error)])
        return Placed(replace(found, disagreement_px=rms), [])
    placed = place_from(one, two, matrix, settings, pair.stated_scale)
    return placed if placed is not None else Placed(None, ["the search drove the slices apart from their landmarks"])


def matrix_of(moving: Points, fixed: Points, transform: str, stated_scale: float = np.nan, source: str = "") -> Matrix:
    """The least squares transform of this kind from points (x, y) [N, 2] to points, mirrored where that fits better.

    Least squares of a similarity are linear in complex numbers: fixed = a moving + b, or a of the conjugate. A rigid
    transform keeps the scale that is stated, or 1.

    Raises:
        InputError: fewer than three points of an affine transform.
    """
    if transform == "affine":
        if len(moving) < FEWEST_AFFINE:
            raise InputError(f"{source}: an affine transform needs {FEWEST_AFFINE} points; there are {len(moving)}.")
        solved, *_ = np.linalg.lstsq(np.c_[moving, np.ones(len(moving))], fixed, rcond=None)
        return np.vstack([solved.T, [0, 0, 1]])
    target = fixed[:, 0] + 1j * fixed[:, 1]
    found = []
    for mirrored in (False, True) if transform != "translation" and len(moving) >= FEWEST_AFFINE else (False,):
        source_points = moving[:, 0] + 1j * moving[:, 1] * (-1 if mirrored else 1)
        centred = source_points - source_points.mean()
        factor = np.vdot(centred, target - target.mean()) / max(float(np.vdot(centred, centred).real), 1e-12)
        if transform == "translation":
            factor = 1.0 + 0j
        elif transform == "rigid":
            factor = factor / max(abs(factor), 1e-12) * (stated_scale if np.isfinite(stated_scale) else 1.0)
        shift = (target - factor * source_points).mean()
        error = float(np.abs(factor * source_points + shift - target).max())
        sign = -1 if mirrored else 1
        a, b = factor.real, factor.imag
        found.append((error, np.array([[a, -b * sign, shift.real], [b, a * sign, shift.imag], [0, 0, 1.0]])))
    return min(found, key=lambda each: each[0])[1]
