"""The planes of a milled stack: one pose, slices in order along it, each with a small shift of its own.

A few slices are sought in all of the volume until two agree on a pose; the others are sought where these put them. A
slice that alone would not be believed is, where its own estimate comes to lie where its neighbours put it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from txm2sem_core import planes
from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Matrix
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.frames import Scaled
from txm2sem_core.registration.spacing import Spacing
from txm2sem_core.registration.volume_levels import VolumeLevels, seen
from txm2sem_core.registration.volume_placing import (
    PlacedPlane,
    at_end,
    finer,
    finest_factor,
    judged,
    place_in_volume,
    within,
)
from txm2sem_core.registration.volume_refine import Template, refined
from txm2sem_core.registration.volume_search import Bounds, coarse_factor
from txm2sem_core.samples.sought import Depths

SAME_POSE_DEG = 4.0  # between slices of one stack: what one slice leaves open, and a cut that is not quite straight
SAME_SCALE = 0.03
FEWEST_HOLDING = 2  # accepted slices that put another where it belongs
SAME_LIKENESS = 0.9  # of a slice's similarity above chance at its own pose, what it keeps at that of its stack
SIDEWAYS = 0.5  # of the distance along the normal that two slices of a stack may be shifted against each other
SIDEWAYS_PX = 12.0  # beside this


@dataclass(frozen=True)
class StackSlice:
    """A FIB-SEM slice of a stack."""

    number: float  # slices are in its order, equal steps of it are equal distances
    read: Callable[[], Slice]
    stated_scale: float = float("nan")
    z: Depths | None = None  # slices of the volume between which its centre may lie; None: any


def place_stack(
    volume: VolumeLevels, slices: Sequence[StackSlice], settings: RegisterSettings, spacing: Spacing | None = None
) -> list[PlacedPlane]:
    """The plane of each slice in the volume; one after the other where they are of no common pose.

    Args:
        volume: TXM.
        slices: of one stack, or single ones.
        settings: as for one slice; `max_disagreement_px` also bounds how far a slice may lie from where its neighbours
            put it.
        spacing: distance between slices of consecutive numbers, where it is known.

    Raises:
        ConfigError: slices of one pose contradict `spacing`.
    """
    placed: dict[int, PlacedPlane] = {}
    for i in _spread(len(slices)):
        one = slices[i]
        placed[i] = place_in_volume(volume, one.read(), settings, one.z, one.stated_scale)
        stack = _Stack.of(volume, slices, placed, spacing)
        if stack is not None and len(slices) > FEWEST_HOLDING:
            found = _along(volume, slices, settings, stack, placed)
            if 2 * sum(each.accepted for each in found) > len(found):
                return found
            break  # a pair that looks like a stack, and others that do not
    for i in [i for i in range(len(slices)) if i not in placed]:
        placed[i] = place_in_volume(volume, slices[i].read(), settings, slices[i].z, slices[i].stated_scale)
    _Stack.of(volume, slices, placed, spacing)
    return [placed[i] for i in range(len(slices))]


def _spread(count: int) -> list[int]:
    """Indices from the middle outwards: of halves, quarters, and so on."""
    found: list[int] = []
    parts = 2
    while len(found) < count:
        found += [i for k in range(1, parts) if (i := k * count // parts) not in found]
        parts = parts * 2 if parts < count else count + 1
        if parts > count:
            found += [i for i in range(count) if i not in found]
    return found


@dataclass(frozen=True)
class _Known:
    """A slice of the stack whose plane is believed."""

    number: float
    plane: Matrix
    shape: tuple[int, int]

    @property
    def centre(self) -> Matrix:
        """Its centre's voxel (x, y, z)."""
        return np.asarray(self.plane @ [(self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2, 0, 1])


@dataclass(frozen=True)
class _Stack:
    """The slices of a stack that are believed, by index, all of one pose."""

    known: dict[int, _Known]
    aspect: float
    spacing: Spacing | None = None

    @classmethod
    def of(
        cls,
        volume: VolumeLevels,
        slices: Sequence[StackSlice],
        placed: dict[int, PlacedPlane],
        spacing: Spacing | None = None,
    ) -> _Stack | None:
        """The largest set of accepted slices that agree on a pose; None where fewer than two do.

        Raises:
            ConfigError: they contradict `spacing`.
        """
        accepted = {
            i: _Known(slices[i].number, one.plane, one.shape)
            for i, one in placed.items()
            if one.accepted and one.plane is not None
        }
        sets = [
            {k: other for k, other in accepted.items() if k == i or _one_pose(known, other, volume.aspect)}
            for i, known in accepted.items()
        ]
        best = max(sets, key=len, default={})
        if len(best) < FEWEST_HOLDING:
            return None
        stack = cls(best, volume.aspect, spacing)
        stack.check()
        return stack

    def check(self) -> None:
        """Raise `ConfigError` where the slices contradict the spacing that is stated."""
        if self.spacing is not None:
            known = list(self.known.values())
            centres = np.stack([one.centre for one in known])
            self.spacing.check([one.number for one in known], centres, [one.plane for one in known], self.aspect)

    def expected(self, i: int, number: float, shape: tuple[int, int]) -> Matrix:
        """Where the other slices put slice `i`: their pose, and a place between them or beyond."""
        others = [known for k, known in self.known.items() if k != i]
        numbers = np.array([known.number for known in others])
        centres = np.stack([known.centre for known in others])
        pace = np.zeros(3)
        if len(others) > 1:
            pace = np.polyfit(numbers, centres, 1)[0]
            if self.spacing is not None:
                pace = self.spacing.pace(pace, [known.plane for known in others], self.aspect)
        below, above = numbers[numbers < number], numbers[numbers > number]
        beside = [
            numbers == side for side in ([below.max()] if below.size else []) + ([above.min()] if above.size else [])
        ]
        weights = np.array([1 / max(1e-9, abs(float(numbers[at][0]) - number)) for at in beside])
        ahead = [centres[at][0] + pace * (number - float(numbers[at][0])) for at in beside]
        centre = np.average(ahead, axis=0, weights=weights)
        linear = mean_pose([known.plane for known in others], self.aspect)
        middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
        return planes.with_normal(linear, centre - linear @ middle, self.aspect)


def mean_pose(found: Sequence[Matrix], aspect: float) -> Matrix:
    """The mean of planes' turns and scales, as `linear` [3, 2] of `planes.with_normal`.

    The projected mean of Moakher, SIAM Journal on Matrix Analysis and Applications 24 (2002) 1.
    """
    space = np.array([[1.0], [1.0], [aspect]])
    mean = np.mean([plane[:, :2] * space / planes.width(plane, aspect) for plane in found], axis=0)
    left, _, right = np.linalg.svd(mean, full_matrices=False)
    scale = np.exp(np.mean([np.log(planes.width(plane, aspect)) for plane in found]))
    return np.asarray(scale * (left @ right) / space)


def _one_pose(one: _Known, other: _Known, aspect: float) -> bool:
    space = np.array([[1.0], [1.0], [aspect]])
    first, second = (each.plane[:, :2] * space / planes.width(each.plane, aspect) for each in (one, other))
    angle = np.rad2deg(np.linalg.norm(first - second) / np.sqrt(2))
    ratio = abs(np.log(planes.width(one.plane, aspect) / planes.width(other.plane, aspect)))
    normal = one.plane[:, 2] * space[:, 0]
    apart = (other.centre - one.centre) * space[:, 0]
    along = float(apart @ normal / np.linalg.norm(normal))
    aside = float(np.sqrt(max(0.0, apart @ apart - along**2)))
    return bool(angle < SAME_POSE_DEG and ratio < SAME_SCALE and aside < SIDEWAYS_PX + SIDEWAYS * abs(along))


def _along(
    volume: VolumeLevels,
    slices: Sequence[StackSlice],
    settings: RegisterSettings,
    stack: _Stack,
    placed: dict[int, PlacedPlane],
) -> list[PlacedPlane]:
    """All slices, those nearest to known ones first; then each once more, shifted only, with the pose of all."""
    known = dict(stack.known)
    local: dict[int, PlacedPlane] = {i: placed[i] for i in known}
    while left := [i for i in range(len(slices)) if i not in local]:
        i = min(left, key=lambda k: min(abs(slices[k].number - one.number) for one in known.values()))
        local[i] = within(slices[i].z, _beside(volume, slices[i], i, settings, replace(stack, known=known)))
        if local[i].accepted and local[i].plane is not None:
            known[i] = _Known(slices[i].number, np.asarray(local[i].plane), local[i].shape)
    replace(stack, known=known).check()
    pose = mean_pose([one.plane for one in known.values()], volume.aspect)
    return [within(one.z, _with_pose(volume, one, settings, pose, local[i])) for i, one in enumerate(slices)]


def _beside(volume: VolumeLevels, one: StackSlice, i: int, settings: RegisterSettings, stack: _Stack) -> PlacedPlane:
    """A slice sought where the others put it, and held by them where its halves alone would not tell."""
    moving = one.read()
    expected = stack.expected(i, one.number, moving.shape)
    scale = planes.width(expected, volume.aspect)
    factor = coarse_factor(moving.shape, scale)
    here = seen(Scaled(moving), scale, factor)
    if here is None:
        return PlacedPlane(None, 0.0, None, None, ["too little is seen in it to be searched for"], moving.shape)
    bounds = replace(Bounds.of(settings, (0, volume.shape[0] - 1)), free="rigid")
    start = refined(volume.at(factor), Template.of(here), expected, volume.aspect, "rigid")
    if not np.isfinite(start[0]):
        reason = "its neighbours put it beyond the volume"
        return PlacedPlane(expected, 0.0, None, None, [reason], moving.shape)
    plane, score = finer(volume, Scaled(moving), scale, [start], bounds)
    found = judged(volume, moving, plane, score, settings, one.stated_scale)
    off = planes.corner_rms(plane, expected, moving.shape, volume.aspect)
    if off > 2 * settings.max_disagreement_px:
        reason = f"it lies {off:.1f} voxels from where its neighbours put it (register.max_disagreement_px)"
        return replace(found, reasons=[*found.reasons, reason])
    if found.found is not None and found.reasons and off <= settings.max_disagreement_px:
        held = judged(volume, moving, plane, score, settings, one.stated_scale, off)
        return replace(held, held=held.accepted)
    return found


def _with_pose(
    volume: VolumeLevels, one: StackSlice, settings: RegisterSettings, pose: Matrix, placed: PlacedPlane
) -> PlacedPlane:
    """An accepted slice with the pose of the stack, shifted to where it correlates best; or with its own.

    The latter where it is clearly less like the volume with the pose of the stack, as in a stack whose slices were
    turned or scaled each on its own.
    """
    if not placed.accepted or placed.plane is None or placed.found is None:
        return placed
    moving = one.read()
    middle = np.array([(moving.shape[1] - 1) / 2, (moving.shape[0] - 1) / 2])
    centre = placed.plane @ [*middle, 0, 1]
    start = planes.with_normal(pose, centre - pose @ middle, volume.aspect)
    scale = planes.width(start, volume.aspect)
    factor = max(1, coarse_factor(moving.shape, scale) // 2)
    while True:
        here = seen(Scaled(moving), scale, factor)
        if here is None:
            return placed
        template = Template.of(here)
        level = volume.about(factor, template.ends(start))
        score, start = refined(level, template, start, volume.aspect, "shift")
        if factor <= finest_factor(moving.shape, scale):
            break
        factor = max(1, factor // 2)
    apart = planes.corner_rms(start, placed.plane, moving.shape, volume.aspect)
    if apart > 2 * settings.max_disagreement_px:
        return replace(placed, reasons=[f"it lies {apart:.1f} voxels from where the pose of its stack puts it"])
    disagreement = placed.found.disagreement_px
    found = judged(volume, moving, start, score, settings, one.stated_scale, disagreement)
    if _clearly_worse(found, placed):
        return placed
    if found.found is not None:  # how far it lies from its own estimate is not a reason to refuse it, but to be said
        found = replace(found, found=replace(found.found, disagreement_px=max(disagreement, apart)))
    return replace(found, held=placed.held, at_end=at_end(found, volume.shape[0], known_tilt=True))


def _clearly_worse(of_stack: PlacedPlane, own: PlacedPlane) -> bool:
    """Whether a slice is so much less like the volume with the pose of its stack that it has one of its own.

    One that is held by its neighbours, whose own pose is loose, has it only where it lies beyond the volume else.
    """
    if own.found is None:
        return False
    if of_stack.found is None or not np.isfinite(of_stack.score):
        return True
    if own.held:
        return False
    return not of_stack.accepted or of_stack.found.above_chance < SAME_LIKENESS * own.found.above_chance
