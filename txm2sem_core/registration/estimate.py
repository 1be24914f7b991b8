"""The transform that brings one slice onto another, how well it did, and whether to believe it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import RegistrationError
from txm2sem_core.geometry import (
    Array,
    Crop,
    Mask,
    Matrix,
    common_crop,
    corner_error_px,
    rotation_deg,
    scale,
    shift_xy_px,
    warp,
)
from txm2sem_core.intensity.measured import Slice, measured_share
from txm2sem_core.registration.frames import shrinking
from txm2sem_core.registration.search import (
    COARSE_MIN_STEP_PX,
    FINE_MIN_STEP_PX,
    ROTATION_STEP_DEG,
    SCALE_STEP,
    Kind,
    best_start,
    coarse_factor,
    kind_on_small,
    refine,
    rough_starts,
    shared_share,
    shrink_filtered,
    symmetric_steps,
    to_full,
    usable_levels,
)
from txm2sem_core.registration.similarity import Filtered, chance_similarity, correlation, prefilter, similarity

SMALLEST_SIDE_PX = 32  # of a slice, and of what two slices share
ENOUGH_PX = 80**2  # pixels that slices share, from which on `min_similarity` alone is asked
CONTRADICTED = 2.0  # times as much is asked of a scale that is not the one which pixel sizes state
NEAR_ROTATION_DEG = 15.0
NEAR_SHIFT_FRACTION = 0.35
NEAR_OVERLAP = 0.5
HOPEFUL = 0.5  # share of `min_similarity` that shrunk images must reach, or they are not registered in full
HOPEFUL_SIDE_PX = 128  # shorter side of the shrunk images, of slices that are at least three times as large
ALONG_ROWS_DEG = 5.0  # a turn by which rows of both slices hold about the same
AGREEMENT_SIDE_PX = 256  # halves are registered at this size at most: they need not be exact


@dataclass(frozen=True)
class Registration:
    """How a moving slice lies on a fixed one. Before: as delivered, pixel on pixel. After: with `matrix`.

    All values are of the pixels that were measured in both slices.
    """

    matrix: Matrix  # 3x3, moving pixel (x, y, 1) to fixed pixel
    similarity_before: float  # normalised mutual information of the filtered slices, 1 unrelated
    similarity_after: float
    similarity_chance: float  # the highest of the registered slices displaced against each other
    disagreement_px: float  # mean corner distance between this transform and that of the better half alone
    correlation_before: float  # Pearson, of the slices as delivered
    correlation_after: float
    overlap: float  # share of what was measured of the fixed slice that the moving one covers
    fixed_measured: float  # share of the fixed slice that was measured
    moving_measured: float
    mirrored: bool  # left to right, before it is turned
    rotation_deg: float  # x towards y
    scale: float  # fixed pixels to a moving pixel
    shift_x_px: float  # of the centre
    shift_y_px: float

    @property
    def above_chance(self) -> float:
        """By how much the similarity exceeds that of the slices displaced against each other."""
        return self.similarity_after - self.similarity_chance


def estimate_transform(fixed: Slice, moving: Slice, settings: RegisterSettings) -> Registration:
    """Find the transform that registers `moving` to `fixed`, whatever their contrasts, where they nearly lie so.

    Turns, scales and shifts are sought in a window about the identity (`near`); `placing.place` goes on from there.
    Pixels that were not measured are ignored.

    Coarse search by masked normalised cross-correlation over a grid of rotations and scales and all shifts, the best by
    mutual information, then mutual information over all pixels, coarse to fine. The same input gives the same bytes.
    Large slices that are no more alike than by chance when they are shrunk are not searched in full: they are described
    as they lie then, with an infinite disagreement of their halves, by which they are refused.
    With `transform: none` the matrix is the identity and only the quality metrics are computed.

    Raises:
        RegistrationError: a slice is blank or too small, or the search moves the two apart.
    """
    settings = near(settings)
    images, (filtered_fixed, filtered_moving) = _seen(fixed, moving, settings)
    if settings.transform == "none":
        return _described(np.eye(3), images, (filtered_fixed, filtered_moving), disagreement_px=0.0)
    for name, filtered in (("fixed (TXM)", filtered_fixed), ("moving (FIB-SEM)", filtered_moving)):
        if min(filtered.shape) < SMALLEST_SIDE_PX:
            raise RegistrationError(f"the {name} slice is {filtered.shape}, smaller than {SMALLEST_SIDE_PX} pixels")
        if not filtered.image.any():
            raise RegistrationError(f"the {name} slice is blank")
    start = _search(filtered_fixed, filtered_moving, settings)
    if not _is_hopeful(filtered_fixed, filtered_moving, start, settings):
        return _described(start, images, (filtered_fixed, filtered_moving), disagreement_px=float("inf"))
    matrix = _refined(filtered_fixed, filtered_moving, start, FINE_MIN_STEP_PX, settings)
    disagreement = _disagreement_px(filtered_fixed, filtered_moving, matrix, settings)
    return _described(matrix, images, (filtered_fixed, filtered_moving), disagreement)


def estimate_from(fixed: Slice, moving: Slice, start: Matrix, settings: RegisterSettings) -> Registration:
    """As `estimate_transform`, from a `start` that is known already, and not with `transform: none`.

    Half of the time goes into comparing the halves: that is left out, and their disagreement infinite, where the
    slices are no more alike than by chance.

    Raises:
        RegistrationError: the search drives the slices apart.
    """
    images, filtered = _seen(fixed, moving, settings)
    matrix = _refined(*filtered, start, FINE_MIN_STEP_PX, settings)
    found = _described(matrix, images, filtered, disagreement_px=float("inf"))
    if not found.above_chance >= settings.min_similarity:
        return found
    return replace(found, disagreement_px=_disagreement_px(*filtered, matrix, settings))


def describe_as_is(fixed: Slice, moving: Slice, matrix: Matrix, settings: RegisterSettings) -> Registration:
    """The quality metrics of a matrix, without a search; what two halves would say is not known, and infinite."""
    images, filtered = _seen(fixed, moving, settings)
    return _described(matrix, images, filtered, disagreement_px=float("inf"))


def near(settings: RegisterSettings) -> RegisterSettings:
    """The settings with bounds within which the slices nearly lie on each other."""
    return settings.model_copy(
        update={
            "max_rotation_deg": min(settings.max_rotation_deg, NEAR_ROTATION_DEG),
            "max_shift_fraction": min(settings.max_shift_fraction, NEAR_SHIFT_FRACTION),
            "min_overlap": max(settings.min_overlap, NEAR_OVERLAP),
            "scales": (1.0, 1.0),
        }
    )


def _seen(
    fixed: Slice, moving: Slice, settings: RegisterSettings
) -> tuple[tuple[Array, Array], tuple[Filtered, Filtered]]:
    """The two slices with what was not measured filled up from beside it, and as the search sees them."""
    one, other = (prefilter(each, settings.median_px, settings.smooth_px) for each in (fixed, moving))
    return (fixed.filled, moving.filled), (one, other)


def is_blank(image: Slice, settings: RegisterSettings) -> bool:
    """Whether nothing is left of a slice once it is filtered for the search."""
    return not prefilter(image, settings.median_px, settings.smooth_px).image.any()


def _search(fixed: Filtered, moving: Filtered, settings: RegisterSettings) -> Matrix:
    """A start from no knowledge: turns and scales within the bounds, and all shifts."""
    kind = _kind(settings)
    rotations = [0.0] if kind == "translation" else symmetric_steps(settings.max_rotation_deg, ROTATION_STEP_DEG)
    no_scale = kind in ("translation", "rigid")
    scales = [1.0] if no_scale else [1 + s for s in symmetric_steps(settings.max_scale_percent / 100, SCALE_STEP)]
    return _start_among(fixed, moving, rotations, scales, settings)


def _is_hopeful(fixed: Filtered, moving: Filtered, start: Matrix, settings: RegisterSettings) -> bool:
    """Whether large slices are more alike than by chance from a start, shrunk; of small ones it is not asked.

    The full search of large slices that belong elsewhere takes half a minute.
    """
    factor = min(*fixed.shape, *moving.shape) // HOPEFUL_SIDE_PX
    if factor < 3:
        return True
    small = shrink_filtered(fixed, factor), shrink_filtered(moving, factor)
    found = refined_small(*small, to_full(start, 1 / factor), settings)
    return found is not None and found[0] >= HOPEFUL * settings.min_similarity


def refined_small(
    fixed: Filtered, moving: Filtered, start: Matrix, settings: RegisterSettings
) -> tuple[float, Matrix] | None:
    """A start after mutual information on small images, with the similarity above chance there.

    None where they share too little to tell.
    """
    try:
        matrix = refine(fixed, moving, start, kind_on_small(_kind(settings)), 1, COARSE_MIN_STEP_PX)
    except RuntimeError:  # the images no longer overlap: not a start
        return None
    above = above_chance(fixed, moving, matrix)
    return (above, matrix) if np.isfinite(above) else None


def above_chance(fixed: Filtered, moving: Filtered, matrix: Matrix) -> float:
    """By how much their similarity exceeds that of displaced slices; NaN where they share too little to tell."""
    placed = moving.onto(matrix, fixed.shape)
    both = fixed.mask & placed.mask
    if both.sum() < SMALLEST_SIDE_PX**2 / 2:
        return float("nan")
    return similarity(fixed.image, placed.image, both) - chance_similarity(fixed, placed)


def _start_among(
    fixed: Filtered, moving: Filtered, rotations_deg: list[float], scales: list[float], settings: RegisterSettings
) -> Matrix:
    """The best start that is found on small images, as a matrix between the full ones."""
    factor = coarse_factor(fixed.shape, moving.shape)
    small_fixed, small_moving = shrink_filtered(fixed, factor), shrink_filtered(moving, factor)
    if not (small_fixed.mask.any() and small_moving.mask.any()):
        raise RegistrationError("too little of the slices was measured")
    max_shift_px = settings.max_shift_fraction * min(small_fixed.shape)
    starts = rough_starts(small_fixed, small_moving, rotations_deg, scales, max_shift_px, settings.min_overlap)
    start = best_start(small_fixed, small_moving, starts, _kind(settings), settings.min_overlap)
    if start is None:
        raise RegistrationError(
            f"no position of the slices as they are covers {settings.min_overlap:g} of what was measured of the TXM "
            "slice"
        )
    return to_full(start, factor)


def _refined(
    fixed: Filtered, moving: Filtered, start: Matrix, min_step_px: float, settings: RegisterSettings
) -> Matrix:
    levels = usable_levels(settings.levels, min(fixed.shape, moving.shape, key=min))
    try:
        return refine(fixed, moving, start, _kind(settings), levels, min_step_px)
    except RuntimeError as error:
        raise RegistrationError("the search drove the slices apart: they share too little") from error


def _kind(settings: RegisterSettings) -> Kind:
    assert settings.transform != "none", "nothing is searched without a transform"
    return settings.transform


def _disagreement_px(fixed: Filtered, moving: Filtered, matrix: Matrix, settings: RegisterSettings) -> float:
    """Register each half of the overlap again, and compare: a chance match does not repeat at the same position.

    Each half is searched over all shifts, from the turn and scale of the whole. The better half counts, since the
    other may be bare of structure. Infinite where nothing can be compared.
    """
    shared = _shared_rectangle(fixed, moving, matrix)
    factor = max(1, min(shared[0].shape) // AGREEMENT_SIDE_PX)
    if min(shared[0].shape) < SMALLEST_SIDE_PX:
        return float("inf")
    shared_fixed, shared_moving = (shrink_filtered(each, factor) for each in shared)
    errors = []
    for half in _halves(shared_fixed.shape):
        half_fixed, half_moving = shared_fixed.within(half), shared_moving.within(half)
        try:
            start = _start_among(half_fixed, half_moving, [0.0], [1.0], near(settings))
            again = _refined(half_fixed, half_moving, start, COARSE_MIN_STEP_PX, near(settings))
        except RegistrationError:
            continue
        errors.append(factor * corner_error_px(again, np.eye(3), half_moving.shape))
    return min(errors, default=float("inf"))


def _shared_rectangle(fixed: Filtered, moving: Filtered, matrix: Matrix) -> tuple[Filtered, Filtered]:
    """What both slices show, pixel on pixel: a rectangle along the rows of the one or the other, the larger.

    Into a square piece that is turned by 45 degrees a rectangle of half its area fits along the fixed slice's rows.
    """
    still = fixed, moving.onto(matrix, fixed.shape)
    off_axes_deg = (rotation_deg(matrix) + 45) % 90 - 45
    if abs(off_axes_deg) <= ALONG_ROWS_DEG:
        return _within_both(*still)
    pixels = abs(scale(matrix))
    to_rows, shape = shrinking(pixels), (int(moving.shape[0] * pixels), int(moving.shape[1] * pixels))
    turned = fixed.onto(to_rows @ np.linalg.inv(matrix), shape), moving.onto(to_rows, shape)
    return max(_within_both(*still), _within_both(*turned), key=lambda pair: pair[0].mask.size)


def _within_both(one: Filtered, other: Filtered) -> tuple[Filtered, Filtered]:
    crop = _shared_crop(one.mask & other.mask)
    return one.within(crop), other.within(crop)


def _shared_crop(both: Mask) -> Crop:
    """The largest rectangle of what both slices show; pixels left out within do not break it."""
    return common_crop(both if both.all() else ndimage.binary_fill_holes(both))


def _halves(shape: tuple[int, int]) -> tuple[Crop, Crop]:
    """The two halves of an image along its longer side; the first has the odd row or column."""
    height, width = shape
    if height >= width:
        middle = (height + 1) // 2
        return Crop(0, middle, 0, width), Crop(middle, height, 0, width)
    middle = (width + 1) // 2
    return Crop(0, height, 0, middle), Crop(0, height, middle, width)


def _described(
    matrix: Matrix, images: tuple[Array, Array], filtered: tuple[Filtered, Filtered], disagreement_px: float
) -> Registration:
    fixed, moving = images
    identity = np.eye(3)
    before, _ = shared_share(*filtered, identity)
    after, overlap = shared_share(*filtered, matrix)
    crop = _shared_crop(after)
    registered = filtered[1].onto(matrix, fixed.shape)
    at_first = filtered[1].onto(identity, fixed.shape)
    shift_x, shift_y = shift_xy_px(matrix, moving.shape, fixed.shape)
    return Registration(
        matrix=matrix,
        similarity_before=similarity(filtered[0].image, at_first.image, before),
        similarity_after=similarity(filtered[0].image, registered.image, after),
        similarity_chance=chance_similarity(filtered[0].within(crop), registered.within(crop)),
        disagreement_px=disagreement_px,
        correlation_before=correlation(fixed, warp(moving, identity, fixed.shape, order=1), before),
        correlation_after=correlation(fixed, warp(moving, matrix, fixed.shape), after),
        overlap=overlap,
        fixed_measured=measured_share(filtered[0].mask),
        moving_measured=measured_share(filtered[1].mask),
        mirrored=scale(matrix) < 0,
        rotation_deg=rotation_deg(matrix),
        scale=abs(scale(matrix)),
        shift_x_px=shift_x,
        shift_y_px=shift_y,
    )


def judge(
    registration: Registration,
    settings: RegisterSettings,
    fixed_shape: tuple[int, int],
    stated_scale: float = float("nan"),
) -> list[str]:
    """The reasons to refuse a registration, each with value, bound and key; empty when it is accepted.

    With `transform: none` the slices are declared registered, and nothing is refused.

    Args:
        registration: of a pair.
        settings: its bounds.
        fixed_shape: (Y, X) of the TXM slice.
        stated_scale: TXM pixels to a FIB-SEM pixel by the pixel sizes; NaN where they do not say it.
    """
    if settings.transform == "none":
        return []
    found = registration
    shift_fraction = float(np.hypot(found.shift_x_px, found.shift_y_px)) / min(fixed_shape)
    anywhere = settings.max_shift_fraction == 1
    above_chance = found.above_chance
    shared_px = found.overlap * found.fixed_measured * fixed_shape[0] * fixed_shape[1]
    needed = least_above_chance(settings.min_similarity, shared_px)
    at_most = [
        ("rotation", abs(found.rotation_deg), settings.max_rotation_deg, "max_rotation_deg"),
        *_scale_bound(found.scale, settings, stated_scale),
        ("shift by fraction of the side", 0 if anywhere else shift_fraction, settings.max_shift_fraction,
         "max_shift_fraction"),
        ("halves disagree by pixels", found.disagreement_px, settings.max_disagreement_px, "max_disagreement_px"),
    ]  # fmt: skip
    at_least = [
        ("overlap", found.overlap, settings.min_overlap, "min_overlap"),
        ("similarity above chance", above_chance, settings.min_similarity, "min_similarity"),
    ]
    # written so that a NaN is refused
    reasons = [
        f"{what} {value:.3g} > register.{key} {bound:g}" for what, value, bound, key in at_most if not value <= bound
    ]
    reasons += [
        f"{what} {value:.3g} < register.{key} {bound:g}" for what, value, bound, key in at_least if not value >= bound
    ]
    contradicted = _is_contradicted(found.scale, settings, stated_scale)
    if needed <= above_chance < CONTRADICTED * needed and contradicted:
        reasons.append(
            f"similarity above chance {above_chance:.3g} < {CONTRADICTED * needed:.3g}, which is asked where slices "
            f"fit at the scale {found.scale:.3g}, and the pixel sizes state {stated_scale:.3g}"
        )
    if settings.min_similarity <= above_chance < needed:
        reasons.append(
            f"similarity above chance {above_chance:.3g} < {needed:.3g}, which register.min_similarity "
            f"{settings.min_similarity:g} asks of slices that share {shared_px:,.0f} pixels only"
        )
    return (
        reasons if settings.mirrored or not found.mirrored else ["mirrored, and register.mirrored is false", *reasons]
    )


def _is_contradicted(found_scale: float, settings: RegisterSettings, stated_scale: float) -> bool:
    """Whether the scale lies farther from the stated one than pixel sizes are wrong by."""
    reach = np.log1p(settings.max_scale_percent / 100)
    return bool(np.isfinite(stated_scale) and abs(np.log(found_scale / stated_scale)) > reach)


def least_above_chance(min_similarity: float, shared_px: float) -> float:
    """By how much the similarity must exceed chance, where slices share so many pixels of the fixed one.

    Chance grows as pixels get fewer, about with the root of their number, and a search over all poses finds the best of
    many: `min_similarity` is that of `ENOUGH_PX`, and more is asked of fewer.
    """
    return min_similarity * float(np.sqrt(max(1.0, ENOUGH_PX / max(shared_px, 1.0))))


def _scale_bound(found: float, settings: RegisterSettings, stated_scale: float) -> list[tuple[str, float, float, str]]:
    """The entry for `judge` where a scale lies neither near 1, nor near the stated one, nor within `scales`."""
    reach = settings.max_scale_percent / 100
    lowest, highest = settings.scales
    if lowest * (1 - reach) <= found <= highest * (1 + reach):
        return []
    off = min(abs(found / known - 1) for known in (1.0, stated_scale) if np.isfinite(known)) * 100
    return [("scale off by percent", off, settings.max_scale_percent, "max_scale_percent")]
