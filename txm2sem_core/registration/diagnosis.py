"""Finds what is wrong with a refused pair by one more try: mirrored, rotated, other pixel size, a part, a data bar.

A cheap search (`poses`) ranks what may be wrong. The strongest are corrected and registered again, small and then in
full, and judged by the rule for every pair: a hint is given only where the corrected pair is accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from skimage.transform import rescale

from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import RegistrationError
from txm2sem_core.geometry import Array, Matrix, centred_similarity, coverage
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.data_bar import bar_rows
from txm2sem_core.registration.estimate import SMALLEST_SIDE_PX, Registration, estimate_from, is_blank, judge
from txm2sem_core.registration.poses import AS_IT_IS, EIGHT, Pose, Upright, find_poses, resize_mask
from txm2sem_core.registration.search import ROTATION_STEP_DEG, SCALE_STEP, shrink_slice, symmetric_steps

NOTHING = "tried without success: mirrored, turned, of another pixel size, a part, with a data bar"
PAGE = "docs/guides/your-own-data.md, 'What a hint says'"
TRIAL_SIDE_PX = 256  # shorter side at which a hint is tried first
TRIALS = 3  # of the strongest poses; each takes about as long as all of the coarse search
SCALES = tuple(np.geomspace(0.1, 2.0, 39).tolist())  # fixed pixels to a moving one, where the files do not say it
SMALLEST_PART = 0.05  # share of the TXM slice that the FIB-SEM slice must cover to be looked for
OVERLAP_MARGIN = 0.8  # of what a part covers is asked for in a hint, so that its neighbours pass as well
TURN_MARGIN_DEG = 3.0
SHIFT_MARGIN = 0.05

_TURNS = {1: "turned by 90 degrees clockwise", 2: "turned by 180 degrees", 3: "turned by 90 degrees counter-clockwise"}
_MIRRORS = {
    0: "mirrored left to right",
    1: "mirrored along the diagonal from top left to bottom right",
    2: "mirrored top to bottom",
    3: "mirrored along the diagonal from bottom left to top right",
}
_MIRROR_CODE = {0: "[:, ::-1]", 1: ".T", 2: "[::-1]", 3: "[::-1, ::-1].T"}

Keys = tuple[tuple[str, float], ...]  # of `register`, with their new values


@dataclass(frozen=True)
class Remedy:
    """What to do to every FIB-SEM slice, and which settings to change, so that a pair is accepted."""

    upright: Upright = AS_IT_IS
    scale: float = 1.0
    stated: bool = False  # whether `scale` is what the files' pixel sizes say
    bar: tuple[int, int] = (0, 0)  # rows to cut at the top and at the bottom
    keys: Keys = ()

    def of(self, image: Array) -> Array:
        """What `code` makes of `image` [Y, X]."""
        image = self._stood(image)
        if self.scale == 1:
            return image
        resized = rescale(image, self.scale, anti_aliasing=True, preserve_range=True)
        return np.asarray(resized.round() if np.issubdtype(image.dtype, np.integer) else resized).astype(image.dtype)

    def of_slice(self, slice_: Slice) -> Slice:
        """The same of a slice and of the mask that was given of it, where one was."""
        image = self.of(slice_.image)
        if slice_.given is None:
            return Slice(image)
        mask = self._stood(slice_.given)
        return Slice(image, mask if self.scale == 1 else resize_mask(mask, self.scale, image.shape))

    def _stood(self, image: Array) -> Array:
        return self.upright.of(image[self.bar[0] : image.shape[0] - self.bar[1]])

    @property
    def code(self) -> str:
        """The Python expression that corrects `image`; empty where the images need no change."""
        code = "image" + (f"[{self.bar[0]}:{-self.bar[1] or ''}]" if any(self.bar) else "")
        if self.upright.mirrored:
            code += _MIRROR_CODE[self.upright.quarters]
        elif self.upright.quarters:
            code = f"np.rot90({code}, {self.upright.quarters})"
        if self.scale != 1:
            code = f"rescale({code}, {self.scale:.4g}, anti_aliasing=True, preserve_range=True)"
        return "" if code == "image" else code

    def settings(self, settings: RegisterSettings) -> RegisterSettings:
        """`settings` with the keys changed."""
        return settings.model_copy(update=dict(self.keys))


@dataclass(frozen=True)
class Hint:
    """A remedy with which the pair was accepted."""

    remedy: Remedy
    found: Registration

    def __str__(self) -> str:
        remedy = self.remedy
        todo = [f"save every FIB-SEM slice anew as {remedy.code} ({PAGE})"] if remedy.code else []
        todo += [f"set register.{key}: {value:g}" for key, value in remedy.keys]
        return f"hint: {', and '.join(self._wrong())}; so mended the pair is accepted: {'; '.join(todo)}"

    def _wrong(self) -> list[str]:
        remedy = self.remedy
        wrong = []
        for rows, place in zip(remedy.bar, ("top", "bottom"), strict=True):
            if rows:
                wrong.append(f"{rows} rows at the {place} of the FIB-SEM slice are a data bar or an empty border")
        if remedy.upright.mirrored:
            wrong.append(f"the FIB-SEM slice is {_MIRRORS[remedy.upright.quarters]}")
        elif remedy.upright.quarters:
            wrong.append(f"the FIB-SEM slice is {_TURNS[remedy.upright.quarters]}")
        if remedy.scale != 1:
            source = "as the files state" if remedy.stated else "as the slices match"
            wrong.append(f"a FIB-SEM pixel is {remedy.scale:.4g} TXM pixels wide, {source}")
        changed = dict(remedy.keys)
        if "max_rotation_deg" in changed:
            wrong.append(f"the FIB-SEM slice is turned by {abs(self.found.rotation_deg):.3g} degrees")
        if "min_overlap" in changed:
            wrong.append(f"the FIB-SEM slice covers only {100 * self.found.overlap:.0f} % of the TXM slice")
        if "max_shift_fraction" in changed:
            wrong.append("the FIB-SEM slice lies far from the middle of the TXM slice")
        return wrong


def explain(fixed: Slice, moving: Slice, settings: RegisterSettings, stated_scale: float) -> str:
    """`diagnose` in words, also where an image is blank or nothing helps."""
    for name, image in (("TXM", fixed), ("FIB-SEM", moving)):
        if is_blank(image, settings):
            level = f"{float(np.median(image.image[image.mask] if image.mask.any() else image.image)):g}"
            return f"hint: (nearly) every pixel of the {name} slice is {level}: save it anew, or leave the pair out"
    hint = diagnose(fixed, moving, settings, stated_scale)
    return NOTHING if hint is None else str(hint)


def diagnose(fixed: Slice, moving: Slice, settings: RegisterSettings, stated_scale: float) -> Hint | None:
    """The remedy with which a refused pair is accepted; None where nothing that is tried helps.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        settings: those that the pair was refused with; not `transform: none`.
        stated_scale: TXM pixels to a FIB-SEM pixel by the files; NaN where they do not say it.
    """
    bar = bar_rows(moving.image)
    cut = Remedy(bar=bar).of_slice(moving)
    stated = stated_scale if _is_other(stated_scale, settings) else None
    for pose in _worth_a_trial(fixed, cut, settings, stated):
        scale = _remedy_scale(pose, settings, stated)
        remedy = Remedy(pose.upright, scale, scale == stated, bar)
        if not remedy.code and _within_reach(pose, fixed.shape, moving.shape, settings):
            continue  # what was refused already
        hint = _tried(fixed, moving, remedy, pose, settings)
        if hint is not None:
            return hint
    return None


def _is_other(stated_scale: float, settings: RegisterSettings) -> bool:
    """Whether the files state a scale that the search for a pair does not reach."""
    return bool(np.isfinite(stated_scale)) and 100 * abs(stated_scale - 1) > settings.max_scale_percent


def _within_reach(
    pose: Pose, fixed_shape: tuple[int, int], moving_shape: tuple[int, int], settings: RegisterSettings
) -> bool:
    """Whether the search for a pair reaches this turn, shift and overlap, of images that stay as they are."""
    covered = coverage(pose.start(moving_shape, fixed_shape), moving_shape, fixed_shape).mean()
    return bool(
        abs(pose.turn_deg) <= settings.max_rotation_deg
        and np.hypot(*pose.shift_xy) <= settings.max_shift_fraction
        and covered >= settings.min_overlap
    )


def _remedy_scale(pose: Pose, settings: RegisterSettings, stated: float | None) -> float:
    """1 where the search for a pair bridges the pose's scale, that of the files where it fits, else the pose's own."""
    reach = settings.max_scale_percent / 100
    for scale in (1.0, stated):
        if scale is not None and abs(pose.scale / scale - 1) <= reach:
            return scale
    return pose.scale


def _worth_a_trial(fixed: Slice, moving: Slice, settings: RegisterSettings, stated: float | None) -> Iterator[Pose]:
    """The strongest poses, each unlike those before it."""
    chosen: list[Pose] = []
    for pose in find_poses(fixed, moving, _searches(fixed, moving, settings, stated)):
        if any(_alike(pose, other) for other in chosen):
            continue
        chosen.append(pose)
        yield pose
        if len(chosen) == TRIALS:
            return


def _alike(pose: Pose, other: Pose) -> bool:
    return (
        pose.upright == other.upright
        and abs(np.log(pose.scale / other.scale)) < 2 * SCALE_STEP
        and abs(pose.turn_deg - other.turn_deg) <= 2 * ROTATION_STEP_DEG
    )


def _searches(
    fixed: Slice, moving: Slice, settings: RegisterSettings, stated: float | None
) -> list[tuple[tuple[Upright, ...], list[float], list[float]]]:
    """At scale 1 and at that of the files every turn; at other scales what is upright, or turned by quarters."""
    free = settings.transform in ("similarity", "affine")
    around = [1.0, 1 - SCALE_STEP, 1 + SCALE_STEP] if free else [1.0]
    known = [scale * step for scale in (1.0, stated) if scale is not None for step in around]
    share = moving.image.size / fixed.image.size
    others = [
        s for s in SCALES if s * s * share >= SMALLEST_PART and all(abs(s / k - 1) > SCALE_STEP / 2 for k in known)
    ]
    if settings.transform == "translation":
        return [(EIGHT, known + others, [0.0])]
    circle = np.arange(-45, 45, ROTATION_STEP_DEG).tolist()
    return [
        (EIGHT, known, circle),
        ((AS_IT_IS,), others, symmetric_steps(2 * ROTATION_STEP_DEG, ROTATION_STEP_DEG)),
        (EIGHT[1:], others, [0.0]),
    ]


def _tried(fixed: Slice, moving: Slice, remedy: Remedy, pose: Pose, settings: RegisterSettings) -> Hint | None:
    """Register the corrected pair, small and then in full; the hint if it is accepted both times."""
    mended = remedy.of_slice(moving)
    factor = max(1, min(min(fixed.shape), 2 * min(mended.shape)) // TRIAL_SIDE_PX)
    small = shrink_slice(fixed, factor), shrink_slice(mended, factor)
    trial = _accepted(*small, pose.start(small[1].shape, small[0].shape), settings)
    if trial is None:
        return None
    if remedy.scale != 1 and not remedy.stated:
        remedy = replace(remedy, scale=float(f"{remedy.scale * trial[0].scale:.4g}"))
        mended = remedy.of_slice(moving)
    if factor == 1 and mended.shape == small[1].shape:
        return Hint(replace(remedy, keys=trial[1]), trial[0])
    in_full = _accepted(fixed, mended, _enlarged(trial[0], factor, mended.shape, fixed.shape), settings)
    return Hint(replace(remedy, keys=in_full[1]), in_full[0]) if in_full is not None else None


def _accepted(
    fixed: Slice, moving: Slice, start: Matrix, settings: RegisterSettings
) -> tuple[Registration, Keys] | None:
    """A registration that is accepted, with the keys of `settings` that must change for it."""
    if min(*fixed.shape, *moving.shape) < SMALLEST_SIDE_PX:
        return None
    keys: Keys = ()
    try:
        found = estimate_from(fixed, moving, start, settings)
        keys = _keys(found, settings, fixed.shape)
        alike = found.similarity_after - found.similarity_chance >= settings.min_similarity
        if keys and alike and found.overlap >= SMALLEST_PART:
            settings = settings.model_copy(update=dict(keys))
            found = estimate_from(fixed, moving, start, settings)  # its halves are sought within the new bounds
    except RegistrationError:
        return None
    return None if judge(found, settings, fixed.shape) else (found, keys)


def _enlarged(found: Registration, factor: int, moving_shape: tuple[int, int], fixed_shape: tuple[int, int]) -> Matrix:
    """The start in full that a registration of small images gives."""
    shift = (factor * found.shift_x_px, factor * found.shift_y_px)
    return centred_similarity(found.rotation_deg, 1.0, shift, moving_shape, fixed_shape)


def _keys(found: Registration, settings: RegisterSettings, fixed_shape: tuple[int, int]) -> Keys:
    """The bounds that the registration leaves, with values that hold it, and a margin."""
    turn = abs(found.rotation_deg)
    shift = float(np.hypot(found.shift_x_px, found.shift_y_px)) / min(fixed_shape)
    keys: list[tuple[str, float]] = []
    if turn > settings.max_rotation_deg:
        keys.append(("max_rotation_deg", float(np.ceil((turn + TURN_MARGIN_DEG) / 5) * 5)))
    if found.overlap < settings.min_overlap:
        keys.append(("min_overlap", float(np.floor(100 * OVERLAP_MARGIN * found.overlap) / 100)))
    if shift > settings.max_shift_fraction:
        keys.append(("max_shift_fraction", min(1.0, float(np.ceil((shift + SHIFT_MARGIN) * 20) / 20))))
    return tuple(keys)
