"""Whether a slice would fit as well in another way: then one large shape was matched, and not the rock in it.

A round sample in air, or one large grain, fits at any turn, with a similarity far above that of displaced slices, and
so do both halves of it. What lies within decides between the turns, if anything does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Matrix, corner_error_px, rotation_deg, scale, turn_between_deg
from txm2sem_core.registration.candidates import refined_small_from, small_step, strongest_poses
from txm2sem_core.registration.estimate import NEAR_ROTATION_DEG
from txm2sem_core.registration.frames import Scaled
from txm2sem_core.registration.poses import TURN_STEP_DEG

TRIED = (4, 2)  # poses, of grey levels and of edges
NOTABLE = 0.5  # of the strongest pose's strength, below which a pose is none to be compared
AS_GOOD = 0.85  # of the similarity above chance, from which on another way fits as well
SAME_TURN_DEG = 0.6 * TURN_STEP_DEG  # a pose's turn is right to half a step
APART_PX = 1.0  # mean distance of the corners on small images: nearer ones are the same way


@dataclass(frozen=True)
class Rival:
    """Another way in which a slice may lie.

    Attributes:
        matrix: moving pixel to fixed pixel.
        share: its similarity above chance over that of the way that was found, both on small images.
        other_turn: it is mirrored against that, or turned by more than a search from there would turn it.
    """

    matrix: Matrix
    share: float
    other_turn: bool

    @property
    def fits_as_well(self) -> bool:
        """Whether nothing decides between the two."""
        return self.other_turn and self.share >= AS_GOOD

    @property
    def why(self) -> str:
        """The reason to refuse the pair."""
        way = "mirrored and turned" if scale(self.matrix) < 0 else "turned"
        return (
            f"{way} by {rotation_deg(self.matrix):.0f} degrees it exceeds chance by {self.share:.0%} as much: what it "
            "shows is too symmetric, as the outline of a sample or one large grain. Give masks of the rock "
            "(txm_measured, sem_measured), landmarks, or bounds (register.max_rotation_deg, register.mirrored)"
        )


@dataclass(frozen=True)
class Rivals:
    """The other ways, best first, and starts from which a better way than the found one may be reached."""

    ranked: list[Rival]
    starts: list[Matrix]

    @property
    def reasons(self) -> list[str]:
        """To refuse the pair, as another way fits as well; empty where something decides."""
        return [rival.why for rival in self.ranked if rival.fits_as_well][:1]


def rivals_of(fixed: Scaled, moving: Scaled, matrix: Matrix, settings: RegisterSettings, threads: int = 1) -> Rivals:
    """The other ways to lay `moving` on `fixed`, at the scale that was found and within the settings' bounds.

    A start is what fits better on small images, or what the evened features, to which an outline is a line among
    others, are turned by where it is a little more or less than was found.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        matrix: how it was found to lie.
        settings: with the bounds of turns, and whether slices may be mirrored.
        threads: of the search; the result does not depend on it.
    """
    poses = strongest_poses(fixed, moving, [abs(scale(matrix))], settings, TRIED, threads)
    strongest = max((pose.strength for pose in poses), default=0.0)
    notable = [pose for pose in poses if pose.strength >= NOTABLE * strongest]
    if all(_turn_between(pose.matrix, matrix) <= SAME_TURN_DEG for pose in notable):
        return Rivals([], [])  # as of rock that fills the slices
    found = refined_small_from(fixed, moving, matrix, settings)
    if found is None or found[0] <= 0:
        return Rivals([], [])
    apart = APART_PX * small_step(fixed, moving, matrix)
    ranked = []
    for pose in notable:
        tried = refined_small_from(fixed, moving, pose.matrix, settings)
        if tried is not None and corner_error_px(tried[1], matrix, moving.shape) > apart:
            ranked.append(Rival(tried[1], tried[0] / found[0], _turn_between(tried[1], matrix) > NEAR_ROTATION_DEG))
    ranked.sort(key=lambda rival: -rival.share)
    better = [rival.matrix for rival in ranked[:1] if rival.share > 1]
    slightly = [p.matrix for p in poses[:1] if SAME_TURN_DEG < _turn_between(p.matrix, matrix) <= NEAR_ROTATION_DEG]
    return Rivals(ranked, better + slightly)


def _turn_between(one: Matrix, other: Matrix) -> float:
    """Degrees from one matrix to the other; infinite where one of them is mirrored."""
    if np.sign(scale(one)) != np.sign(scale(other)):
        return float("inf")
    return turn_between_deg(rotation_deg(one), rotation_deg(other))
