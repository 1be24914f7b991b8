"""Whether a slice is stretched: its pixels are not square, or it was seen at an angle, which no similarity holds.

A FIB-SEM slice that is seen at an angle is shorter along one axis. Within a few per cent it still passes without an
affine transform, some pixels off at its edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Matrix, corner_error_px, stretch
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.estimate import above_chance
from txm2sem_core.registration.frames import Scaled, frame_of
from txm2sem_core.registration.search import COARSE_MIN_STEP_PX, FINE_MIN_STEP_PX, refine, usable_levels
from txm2sem_core.registration.similarity import prefilter

SIDE_PX = 256  # shorter side at which it is looked at
NOTABLE = 1.05  # times the similarity above chance that an affine transform must reach
NOTABLE_PX = 1.0  # pixels of the TXM slice by which it must move the corners, in the mean


@dataclass(frozen=True)
class Stretch:
    """How an affine transform lays a slice otherwise: what it gains, and by how much it moves and stretches.

    Attributes:
        ratio: greatest over least scale; 1 where it is not stretched.
        corners_px: mean distance of the corners from where they were found, in pixels of the TXM slice.
        gain: similarity above chance over that of what was found.
    """

    ratio: float = 1.0
    corners_px: float = 0.0
    gain: float = 1.0

    @property
    def notable(self) -> bool:
        """Whether it fits clearly better."""
        return self.gain >= NOTABLE and self.corners_px >= NOTABLE_PX

    @property
    def in_words(self) -> str:
        """What is notable about it; empty where nothing is."""
        return f"fits better stretched by {self.ratio - 1:.1%}" if self.notable else ""

    @property
    def record(self) -> dict[str, float]:
        """The columns of a table: 1 and 0 where nothing is notable."""
        of = self if self.notable else Stretch()
        return {"stretch": of.ratio, "stretch_px": of.corners_px}


def stretch_of(fixed: Slice, moving: Slice, matrix: Matrix, settings: RegisterSettings) -> Stretch:
    """How an affine transform would lay a slice that was registered without one; none where the settings have it.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        matrix: how it was found to lie.
        settings: of the registration.
    """
    if settings.transform in ("none", "affine"):
        return Stretch()
    step = max(1.0, min(fixed.shape) / SIDE_PX)
    frame = frame_of(Scaled(fixed), Scaled(moving), matrix, step, exact=False)
    one, two = (prefilter(each, settings.median_px, settings.smooth_px) for each in (frame.fixed, frame.moving))
    start = frame.inward(matrix)
    before = above_chance(one, two, start)
    if not before > 0:
        return Stretch()
    best, above = start, before
    levels = usable_levels(settings.levels, one.shape)
    for min_step_px in (FINE_MIN_STEP_PX, COARSE_MIN_STEP_PX):  # the one is exact, the other goes astray less often
        try:
            again = refine(one, two, start, "affine", levels, min_step_px)
        except RuntimeError:  # the slices part company
            continue
        if (reached := above_chance(one, two, again)) > above:
            best, above = again, reached
    return Stretch(stretch(best), corner_error_px(frame.outward(best), matrix, moving.shape), above / before)


def of_notable(stretched: Mapping[str, Stretch]) -> dict[str, tuple[float, float]]:
    """Ratio and distance of the corners of those that are notable, by name: what a warning is made of."""
    return {name: (each.ratio, each.corners_px) for name, each in stretched.items() if each.notable}
