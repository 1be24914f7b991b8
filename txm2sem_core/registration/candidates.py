"""Ways in which a slice may lie on another, tried small: the strongest poses, refined on shrunk images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Matrix, scale, turn_between_deg
from txm2sem_core.registration.estimate import refined_small
from txm2sem_core.registration.frames import Frame, Scaled, frame_of
from txm2sem_core.registration.poses import SCALE_STEP, TURN_STEP_DEG, Pose, find_poses
from txm2sem_core.registration.similarity import prefilter

SIDE_PX = 112  # shorter side of the smaller slice at which candidates are compared


def strongest_poses(
    fixed: Scaled,
    moving: Scaled,
    scales: Sequence[float],
    settings: RegisterSettings,
    counts: tuple[int, int],
    threads: int,
) -> list[Pose]:
    """The strongest poses of these scales within the bounds, each unlike those before it: of grey levels, and of edges.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        scales: fixed pixels to a moving pixel.
        settings: with the bounds of turns, and whether slices may be mirrored.
        counts: how many of either feature.
        threads: of the search; the result does not depend on it.
    """
    only_shift = settings.transform == "translation"
    found = find_poses(
        fixed,
        moving,
        scales,
        0.0 if only_shift else settings.max_rotation_deg,
        mirrored=settings.mirrored and not only_shift,
        threads=threads,
    )
    return [pose for of_kind, count in zip(found, counts, strict=True) for pose in _unlike(of_kind, count)]


def _unlike(poses: Sequence[Pose], count: int) -> list[Pose]:
    """The strongest poses, each unlike those before it."""
    chosen: list[Pose] = []
    for pose in poses:
        if len(chosen) == count:
            break
        if not any(_alike(pose, other) for other in chosen):
            chosen.append(pose)
    return chosen


def _alike(pose: Pose, other: Pose) -> bool:
    turn = turn_between_deg(pose.turn_deg, other.turn_deg)
    near_scale = abs(np.log(pose.scale / other.scale)) < 1.5 * SCALE_STEP
    return pose.mirrored == other.mirrored and bool(near_scale) and turn <= 1.5 * TURN_STEP_DEG


def refined_small_from(
    fixed: Scaled, moving: Scaled, start: Matrix, settings: RegisterSettings
) -> tuple[float, Matrix] | None:
    """A start after mutual information on small images, with the similarity above chance there.

    None where they share too little to tell.
    """
    frame = _small_frame(fixed, moving, start, settings)
    one, two = prefilter(frame.fixed, 0, 1.0), prefilter(frame.moving, 0, 1.0)
    found = refined_small(one, two, frame.inward(start), settings)
    return None if found is None else (found[0], frame.outward(found[1]))


def small_step(fixed: Scaled, moving: Scaled, matrix: Matrix) -> float:
    """Width of the pixels of `refined_small_from`, in those of the fixed slice."""
    step = max(1.0, min(min(fixed.shape), abs(scale(matrix)) * min(moving.shape)) / SIDE_PX)
    return float(2.0 ** np.floor(np.log2(step)))


def _small_frame(fixed: Scaled, moving: Scaled, matrix: Matrix, settings: RegisterSettings) -> Frame:
    exact = settings.transform in ("translation", "rigid")
    return frame_of(fixed, moving, matrix, small_step(fixed, moving, matrix), exact=exact)
