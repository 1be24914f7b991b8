"""Whether a slice is stretched: its pixels are not square, or it was seen at an angle, which no similarity holds.

A FIB-SEM slice that is seen at an angle is shorter along one axis. Within a few per cent it still passes without an
affine transform, some pixels off at its edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Matrix, corner_error_px, scale, stretch
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.estimate import above_chance
from txm2sem_core.registration.frames import Scaled, frame_of
from txm2sem_core.registration.search import COARSE_MIN_STEP_PX, FINE_MIN_STEP_PX, Kind, refine, usable_levels
from txm2sem_core.registration.similarity import Filtered, prefilter

SIDE_PX = 256  # shorter side of what the slice covers, at which it is looked at
LEAST_GAIN = 1.05  # times the similarity above chance that a stretch must reach
LEAST_CORNERS_PX = 1.0  # pixels of the TXM slice by which it must move the corners, in the mean
LEAST_RATIO = 1.005


@dataclass(frozen=True)
class Stretch:
    """How an affine transform lays a slice against the best similarity: what it gains, and by how much it stretches.

    Attributes:
        ratio: greatest over least scale; 1 where it is not stretched.
        corners_px: mean distance of the corners under the one from where they are under the other, in TXM pixels.
        gain: similarity above chance of the one over that of the other.
    """

    ratio: float = 1.0
    corners_px: float = 0.0
    gain: float = 1.0

    @property
    def notable(self) -> bool:
        """Whether it fits clearly better stretched."""
        return self.gain >= LEAST_GAIN and self.corners_px >= LEAST_CORNERS_PX and self.ratio >= LEAST_RATIO

    @property
    def in_words(self) -> str:
        """What is notable about it; empty where nothing is."""
        return f"fits better stretched by {100 * (self.ratio - 1):.1f} %" if self.notable else ""


def record_of_stretch(found: Stretch | None) -> dict[str, float | None]:
    """For tables and JSON, which has no NaN: 1 and 0 where nothing is notable, None where it was not asked."""
    if found is None:
        return {"stretch": None, "stretch_px": None}
    said = found if found.notable else Stretch()
    return {"stretch": said.ratio, "stretch_px": said.corners_px}


def stretch_of(fixed: Slice, moving: Slice, matrix: Matrix, settings: RegisterSettings) -> Stretch | None:
    """How an affine transform would lay a slice that was registered without one.

    None where the settings have no transform, or an affine one, or where nothing can be told.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        matrix: how it was found to lie.
        settings: of the registration.
    """
    if settings.transform in ("none", "affine"):
        return None
    step = max(1.0, min(*fixed.shape, abs(scale(matrix)) * min(moving.shape)) / SIDE_PX)
    frame = frame_of(Scaled(fixed), Scaled(moving), matrix, step, exact=False)
    one, two = (prefilter(each, settings.median_px, settings.smooth_px) for each in (frame.fixed, frame.moving))
    start = frame.inward(matrix)
    plain, before = _best_from(one, two, start, "similarity", settings.levels)
    if not before > 0:
        return None
    stretched, after = _best_from(one, two, start, "affine", settings.levels)
    if after < before:
        return Stretch()
    corners = corner_error_px(frame.outward(stretched), frame.outward(plain), moving.shape)
    return Stretch(stretch(stretched), corners, after / before)


def _best_from(one: Filtered, two: Filtered, start: Matrix, kind: Kind, levels: int) -> tuple[Matrix, float]:
    """The best of a start and of what two searches of a kind make of it, and by how much it exceeds chance."""
    best, above = start, above_chance(one, two, start)
    for min_step_px in (FINE_MIN_STEP_PX, COARSE_MIN_STEP_PX):  # the one is exact, the other goes astray less often
        try:
            again = refine(one, two, start, kind, usable_levels(levels, one.shape), min_step_px)
        except RuntimeError:  # the slices part company
            continue
        if (reached := above_chance(one, two, again)) > above:
            best, above = again, reached
    return best, above


def of_notable(stretched: Mapping[str, Stretch | None]) -> dict[str, tuple[float, float]]:
    """Ratio and distance of the corners of those that are notable, by name: what a warning is made of."""
    of = {name: each for name, each in stretched.items() if each is not None and each.notable}
    return {name: (each.ratio, each.corners_px) for name, each in of.items()}
