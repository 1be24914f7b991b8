"""Where a FIB-SEM slice lies on its TXM slice: nearly upright, else mirrored, turned, of any scale, or only a part.

The common case is tried first. Where it is refused, `poses` ranks what else may be; the
strongest are refined small, the best of these in full, and each is judged by the rule for every pair. What is accepted
must fit clearly better than any other way (`rivals`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import RegistrationError
from txm2sem_core.geometry import Matrix, rotation_deg, scale, shift_xy_px, stretch
from txm2sem_core.intensity.measured import Slice, measured_share
from txm2sem_core.registration.candidates import refined_small_from, strongest_poses
from txm2sem_core.registration.estimate import (
    HOPEFUL,
    NEAR_OVERLAP,
    NEAR_ROTATION_DEG,
    SMALLEST_SIDE_PX,
    Registration,
    describe_as_is,
    estimate_from,
    estimate_transform,
    judge,
)
from txm2sem_core.registration.frames import Frame, Scaled, frame_of
from txm2sem_core.registration.poses import SCALE_STEP
from txm2sem_core.registration.rivals import rivals_of
from txm2sem_core.registration.search import kind_on_small

CANDIDATES = (10, 4)  # poses that are refined small, of grey levels and of edges
TRIALS = 3  # of these that are registered in full
SCALES_STEP = 0.08
SAID_STRETCH = 1.01  # ratio of the scales from which on it is named
SWITCHES = 2  # of a way that was found to a better one

Starts = dict[tuple[object, ...], list[Matrix]]  # of one pair, by what they were sought with


@dataclass(frozen=True)
class Placed:
    """The registration of a pair, and why it is refused; None where nothing was found to describe."""

    found: Registration | None
    reasons: list[str]

    @property
    def accepted(self) -> bool:
        """Whether the pair can be used."""
        return not self.reasons


def place_near(
    fixed: Slice, moving: Slice, settings: RegisterSettings, stated_scale: float = float("nan"), threads: int = 1
) -> Placed:
    """Register slices that nearly lie on each other (see `estimate_transform`), or where they fit better (`rivals`)."""
    try:
        found = estimate_transform(fixed, moving, settings)
    except RegistrationError as error:
        return Placed(None, [str(error)])
    placed = Placed(found, judge(found, settings, fixed.shape, stated_scale))
    if settings.transform == "none":
        return placed
    return _settled(Scaled(fixed), Scaled(moving), placed, settings, stated_scale, threads)


def place_anywhere(
    fixed: Slice,
    moving: Slice,
    settings: RegisterSettings,
    stated_scale: float = float("nan"),
    starts: Sequence[Matrix] = (),
    threads: int = 1,
    searched: Starts | None = None,
) -> Placed | None:
    """The first way to lay `moving` on `fixed` that is accepted, within the settings' bounds; None if there is none.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        settings: with another transform than `none`.
        stated_scale: TXM pixels to a FIB-SEM pixel by the pixel sizes, tried first; NaN where they do not say it.
        starts: matrices that hold for other pairs of the set, tried before everything else.
        threads: of the search; the result does not depend on it.
        searched: the starts of this pair that earlier searches found, to which those of this one are added.
    """
    if not (fixed.mask.any() and moving.mask.any()) or min(*fixed.shape, *moving.shape) < SMALLEST_SIDE_PX:
        return None
    one, two = Scaled(fixed), Scaled(moving)
    searched = {} if searched is None else searched
    assert settings.transform != "none", "nothing is searched without a transform"
    for start in starts:
        placed = _in_full(one, two, start, settings, stated_scale)
        if placed is not None and (placed := _settled(one, two, placed, settings, stated_scale, threads)).accepted:
            return placed
    for scales in _scales(settings, stated_scale, moving.image.size / fixed.image.size):
        sought = tuple(scales), kind_on_small(settings.transform), settings.max_rotation_deg, settings.mirrored
        if sought not in searched:
            searched[sought] = _best_of(one, two, scales, settings, threads)
        for start in searched[sought]:
            placed = _in_full(one, two, start, settings, stated_scale)
            if placed is not None and (placed := _settled(one, two, placed, settings, stated_scale, threads)).accepted:
                return placed
    return None


def place(
    fixed: Slice,
    moving: Slice,
    settings: RegisterSettings,
    stated_scale: float = float("nan"),
    threads: int = 2,
    searched: Starts | None = None,
) -> Placed:
    """Register slices that nearly lie on each other, and others anywhere; what was refused first, if neither is."""
    placed = place_near(fixed, moving, settings, stated_scale, threads)
    if placed.accepted or settings.transform == "none":
        return placed
    return place_anywhere(fixed, moving, settings, stated_scale, threads=threads, searched=searched) or placed


def place_from(
    fixed: Scaled, moving: Scaled, start: Matrix, settings: RegisterSettings, stated_scale: float = float("nan")
) -> Placed | None:
    """Register from a start, and judge; None where the search drives the slices apart."""
    return _in_full(fixed, moving, start, settings, stated_scale)


def describe_matrix(fixed: Scaled, moving: Scaled, matrix: Matrix, settings: RegisterSettings) -> Registration:
    """The registration that a matrix is, without a search."""
    frame = frame_of(fixed, moving, matrix, 1.0, exact=False)
    found = describe_as_is(frame.fixed, frame.moving, frame.inward(matrix), settings)
    return _of_whole(found, frame, fixed.slice, moving.slice)


def describe(found: Registration) -> str:
    """What is unusual about how a slice lies, in words; empty where it nearly lies on its partner."""
    words = ["mirrored"] if found.mirrored else []
    if abs(found.rotation_deg) > NEAR_ROTATION_DEG:
        words.append(f"turned by {found.rotation_deg:.1f} degrees")
    if abs(found.scale - 1) > 2 * SCALE_STEP:
        words.append(f"scale {found.scale:.3g}")
    if stretch(found.matrix) > SAID_STRETCH:
        words.append(f"stretched by {100 * (stretch(found.matrix) - 1):.1f} %")
    if found.overlap < NEAR_OVERLAP:
        words.append(f"on {100 * found.overlap:.0f} % of the TXM slice")
    return ", ".join(words)


def _scales(settings: RegisterSettings, stated: float, share: float) -> Iterator[list[float]]:
    """Sets of scales, tried one after the other: about what the pixel sizes state, or 1, then all others."""
    fixed_scale = settings.transform in ("translation", "rigid")
    reach = settings.max_scale_percent / 100
    around = [1.0] if fixed_scale else _around(reach)
    first = [(stated if np.isfinite(stated) else 1.0) * step for step in around]
    yield first
    if fixed_scale or settings.scales[0] >= settings.scales[1]:
        return
    count = int(np.ceil(np.log(settings.scales[1] / settings.scales[0]) / np.log1p(SCALES_STEP))) + 1
    others = np.geomspace(*settings.scales, count).tolist()
    least = settings.min_overlap / (1 + SCALES_STEP)
    yield [
        s for s in others if least <= s * s * share <= 1 / least and all(abs(s / k - 1) > SCALE_STEP / 2 for k in first)
    ]


def _around(reach: float) -> list[float]:
    count = int(np.ceil(reach / SCALES_STEP))
    return [1.0, *(factor for k in range(1, count + 1) for factor in ((1 + SCALES_STEP) ** k, (1 + SCALES_STEP) ** -k))]


def _best_of(
    fixed: Scaled, moving: Scaled, scales: list[float], settings: RegisterSettings, threads: int
) -> list[Matrix]:
    """The best starts among poses of these scales, refined small, best first."""
    if not scales:
        return []
    poses = strongest_poses(fixed, moving, scales, settings, CANDIDATES, threads)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        ranked = list(pool.map(lambda pose: refined_small_from(fixed, moving, pose.matrix, settings), poses))
    hopeful = [each for each in ranked if each is not None and each[0] >= HOPEFUL * settings.min_similarity]
    return [matrix for _, matrix in sorted(hopeful, key=lambda each: -each[0])[:TRIALS]]


def _in_full(
    fixed: Scaled, moving: Scaled, start: Matrix, settings: RegisterSettings, stated_scale: float
) -> Placed | None:
    """Register from a start, and judge; None where the search drives the slices apart."""
    frame = frame_of(fixed, moving, start, 1.0, exact=settings.transform in ("translation", "rigid"))
    if min(*frame.fixed.shape, *frame.moving.shape) < SMALLEST_SIDE_PX:
        return None
    try:
        found = estimate_from(frame.fixed, frame.moving, frame.inward(start), settings)
    except RegistrationError:
        return None
    found = _of_whole(found, frame, fixed.slice, moving.slice)
    return Placed(found, judge(found, settings, fixed.shape, stated_scale))


def _settled(
    fixed: Scaled, moving: Scaled, placed: Placed, settings: RegisterSettings, stated_scale: float, threads: int
) -> Placed:
    """What was accepted, or a way that fits better; refused where another fits as well."""
    for switches_left in reversed(range(SWITCHES + 1)):
        if placed.found is None or not placed.accepted:
            break
        rivals = rivals_of(fixed, moving, placed.found.matrix, settings, threads)
        tried = [_in_full(fixed, moving, start, settings, stated_scale) for start in rivals.starts if switches_left]
        better = [each for each in tried if each is not None and each.accepted]
        best = max(better, key=_above_chance, default=placed)
        if _above_chance(best) <= _above_chance(placed):
            return replace(placed, reasons=rivals.reasons)
        placed = best
    return placed


def _above_chance(placed: Placed) -> float:
    return placed.found.above_chance if placed.found else float("-inf")


def _of_whole(found: Registration, frame: Frame, fixed: Slice, moving: Slice) -> Registration:
    """A frame's registration, described for the whole slices."""
    matrix = frame.outward(found.matrix)
    shift_x, shift_y = shift_xy_px(matrix, moving.shape, fixed.shape)
    return replace(
        found,
        matrix=matrix,
        mirrored=scale(matrix) < 0,
        rotation_deg=rotation_deg(matrix),
        scale=abs(scale(matrix)),
        shift_x_px=shift_x,
        shift_y_px=shift_y,
        overlap=found.overlap * int(frame.fixed.mask.sum()) / int(fixed.mask.sum()),
        fixed_measured=measured_share(fixed.mask),
        moving_measured=measured_share(moving.mask),
    )
