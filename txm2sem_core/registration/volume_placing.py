"""The plane of a FIB-SEM slice in a TXM volume: found, estimated again from halves of the slice, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from txm2sem_core import planes
from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Matrix
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.estimate import Registration, judge
from txm2sem_core.registration.frames import Scaled
from txm2sem_core.registration.placing import describe_matrix
from txm2sem_core.registration.plane_cut import PlaneCut, cut_volume
from txm2sem_core.registration.rivals import rivals_of
from txm2sem_core.registration.volume_levels import Seen, VolumeLevels, seen
from txm2sem_core.registration.volume_refine import Free, Template, refined, sampled
from txm2sem_core.registration.volume_search import (
    COARSE_SIDE_PX,
    Bounds,
    best_tilts,
    coarse_factor,
    find_starts,
    further_tilts,
)
from txm2sem_core.samples.sought import Depths

FURTHER_STARTS = 24  # at which tilts are tried in each sheared volume
BATCH = 12  # untilted places between two looks at the best
CERTAIN = 0.45  # correlation at the first level beyond doubt (see `certain`): unrelated slices stayed below 0.32
REFINED = (4, 4, 2)  # planes of a batch that are refined at the first level; at the second, and at further ones
SMALLEST_SIDE_PX = 24  # of a slice, in voxels
FINEST_SIDE_PX = 384  # a slice whose shorter side has more voxels by half is refined on shrunk ones
BEYOND = 1.0  # slices of the volume by which a centre may lie outside of the range in which it is sought
END = 1.0  # slices from the volume's first or last, at which the centre of a slice that lies beyond can come to lie
END_SHARE = 0.1  # of a slice that lies beyond: more makes its place doubtful
SAME_PLACE = 1.0  # of a level's voxels that two planes lie apart which are one
SCALE_STEP = 0.08
TILT_TOLERANCE_DEG = 2.0
HALF_REACH = 0.35  # of the slice's shorter side: how far along its normal each half is sought again
HALF_FREE: Free = "shift"  # a half is too narrow to tell a tilt
HALF_MARGIN = 0.5  # the same within the plane


@dataclass(frozen=True)
class PlacedPlane:
    """Where a slice lies in a volume, what the volume shows there, and why that is not believed."""

    plane: Matrix | None  # [3, 4], see `planes`; None where nothing was found
    score: float  # mean correlation of grey levels and edges at the finest level
    cut: PlaneCut | None  # the volume on that plane
    found: Registration | None  # of the slice on it
    reasons: list[str]
    shape: tuple[int, int]  # (Y, X) of the slice
    held: bool = False  # believed since it lies where its neighbours in a stack put it, not by its halves
    at_end: bool = False  # whether it may lie beyond the volume (see `at_end`)

    @property
    def accepted(self) -> bool:
        """Whether it can be used."""
        return not self.reasons

    @property
    def centre_z(self) -> float:
        """The slice of the volume at which its centre lies; NaN where nothing was found."""
        if self.plane is None:
            return float("nan")
        return float(self.plane[2] @ [(self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2, 0, 1])


def place_in_volume(
    volume: VolumeLevels,
    moving: Slice,
    settings: RegisterSettings,
    z: Depths | None = None,
    stated_scale: float = float("nan"),
) -> PlacedPlane:
    """Find the plane of a FIB-SEM slice in a TXM volume, and judge it.

    Args:
        volume: TXM.
        moving: FIB-SEM slice.
        settings: its bounds of scale, turn, tilt and mirroring hold.
        z: slices of the volume between which its centre may lie; None: any.
        stated_scale: widths of voxels to a pixel of the slice by the pixel sizes; NaN where they do not say it.
    """
    bounds = Bounds.of(settings, (0, volume.shape[0] - 1) if z is None else (z.first, z.last))
    found = find_plane(volume, moving, _scales(settings, stated_scale, moving, volume), bounds)
    if found is None:
        return PlacedPlane(None, 0.0, None, None, ["too little is seen in it to be searched for"], moving.shape)
    return within(z, judged(volume, moving, *found, settings, stated_scale))


def within(z: Depths | None, placed: PlacedPlane) -> PlacedPlane:
    """A plane, refused where its centre lies outside of the range in which it was sought."""
    if z is None or z.guessed or placed.plane is None or z.first - BEYOND <= placed.centre_z <= z.last + BEYOND:
        return placed
    reason = f"its centre is found at z {placed.centre_z:.1f}, but is sought from {z.first:g} to {z.last:g} only"
    return replace(placed, reasons=[*placed.reasons, f"{reason} (--z, or column pair_z)"])


def judged(
    volume: VolumeLevels,
    moving: Slice,
    plane: Matrix,
    score: float,
    settings: RegisterSettings,
    stated_scale: float = float("nan"),
    disagreement_px: float | None = None,
) -> PlacedPlane:
    """A plane with its quality metrics, and the reasons to refuse it.

    Those of a slice on a slice (`estimate.judge`) where the volume is cut by the plane; but that both halves of the
    slice must come to lie where the whole does, within the volume, unless how far two estimates disagree is given.
    """
    cut = cut_volume(volume.volume, plane, moving.shape, volume.aspect)
    if cut is None or min(cut.txm.shape) < SMALLEST_SIDE_PX:
        return PlacedPlane(plane, score, None, None, ["it is found beyond the volume"], moving.shape)
    if not cut.txm.mask.any():
        return PlacedPlane(
            plane, score, None, None, ["it is found where nothing of the volume was measured"], moving.shape
        )
    if disagreement_px is None:
        disagreement_px = max(half_disagreements(volume, moving, plane))
    found = describe_matrix(Scaled(cut.txm), Scaled(moving), cut.matrix, settings)
    found = replace(found, disagreement_px=disagreement_px, overlap=1.0)  # of a slice that is cut to its extent
    anywhere = settings.model_copy(update={"max_shift_fraction": 1.0, "min_overlap": 1e-6})
    reasons = judge(found, anywhere, cut.txm.shape, stated_scale)
    tilt = planes.tilt_deg(plane, volume.aspect)
    if tilt > settings.max_tilt_deg + TILT_TOLERANCE_DEG:
        reasons.append(f"tilt {tilt:.3g} > register.max_tilt_deg {settings.max_tilt_deg:g}")
    if not reasons:
        reasons = rivals_of(Scaled(cut.txm), Scaled(moving), cut.matrix, anywhere).reasons
    placed = PlacedPlane(plane, score, cut, found, reasons, moving.shape)
    return replace(placed, at_end=at_end(placed, volume.shape[0]))


def at_end(placed: PlacedPlane, depth: int, *, known_tilt: bool = False) -> bool:
    """Whether a slice that was found so may lie beyond the first or last of a volume's `depth` slices.

    A slice from a few slices beyond is found where the volume ends, untilted, or tilted where it still meets it; the
    latter not where its stack has this tilt.
    """
    if min(placed.centre_z, depth - 1 - placed.centre_z) < END:
        return True
    return not known_tilt and planes.share_beyond(np.asarray(placed.plane), placed.shape, depth) > END_SHARE


def _scales(settings: RegisterSettings, stated: float, moving: Slice, volume: VolumeLevels) -> list[float]:
    """Scales that are tried: the stated one; where none is stated, 1 and then all that fit the volume, greatest first.

    The smaller a slice is in the volume, the more places it has there, and the higher it correlates by chance.
    """
    if np.isfinite(stated) or settings.transform not in ("similarity", "affine"):
        return [stated if np.isfinite(stated) else 1.0]
    least, most = SMALLEST_SIDE_PX / min(moving.shape), max(volume.shape[1:]) / min(moving.shape)
    low, high = max(settings.scales[0], least), min(settings.scales[1], most)
    count = max(1, int(np.ceil(np.log(max(high / low, 1)) / np.log1p(SCALE_STEP))) + 1)
    return [1.0, *(s for s in np.geomspace(high, low, count).tolist() if abs(s - 1) > SCALE_STEP / 2)]


def find_plane(
    volume: VolumeLevels, moving: Slice, scales: Sequence[float], bounds: Bounds
) -> tuple[Matrix, float] | None:
    """The plane on which a slice correlates best with a volume, and the score there; None where nothing can be seen.

    Args:
        volume: TXM.
        moving: FIB-SEM slice.
        scales: widths of voxels to a pixel of the slice, one of them right to 5 % or so.
        bounds: of the search.
    """
    shown = Scaled(moving)
    best: tuple[float, float, list[tuple[float, Matrix]]] | None = None  # score to a certain one, scale, planes
    for scale in scales:
        factor = coarse_factor(moving.shape, scale)
        here = seen(shown, scale, factor) if min(moving.shape) * scale >= SMALLEST_SIDE_PX else None
        if here is None:
            continue
        found: list[tuple[float, Matrix]] = []
        for tilt in [(0.0, 0.0), *further_tilts(bounds.max_tilt_deg)]:
            starts = find_starts(volume.at(factor), here, bounds, volume.aspect, tilt)
            starts = starts[: FURTHER_STARTS if tilt[0] else None]
            found = [*found, *_coarse(volume, factor, here, starts, bounds)]
            if max((score for score, _ in found), default=0.0) >= certain(here):
                break
        found.sort(key=lambda each: -each[0])
        sureness = found[0][0] / certain(here) if found else 0.0
        if found and (best is None or sureness > best[0]):
            best = sureness, scale, found
        if best is not None and best[0] >= 1:
            break
    if best is None:
        return None
    return finer(volume, shown, best[1], best[2], bounds)


def certain(here: Seen) -> float:
    """The correlation at the first level that is beyond doubt: more of few pixels, which correlate by chance."""
    return CERTAIN * max(1.0, COARSE_SIDE_PX / float(np.sqrt(here.mask.size)))


def _coarse(
    volume: VolumeLevels, factor: int, here: Seen, starts: Sequence[tuple[float, Matrix]], bounds: Bounds
) -> list[tuple[float, Matrix]]:
    """Untilted places after tilts and refinement, best first; a few at a time, until one is beyond doubt."""
    level, template = volume.at(factor), Template.of(here)
    found: list[tuple[float, Matrix]] = []
    for k in range(0, len(starts), BATCH):
        some = best_tilts(level, template, [plane for _, plane in starts[k : k + BATCH]], bounds, volume.aspect)
        found = [*found, *_refine_all(volume, factor, template, [plane for _, plane in some[: REFINED[0]]], bounds)]
        if max((score for score, _ in found), default=0.0) >= certain(here):
            break
    return _distinct(template, found, factor)


def _refine_all(
    volume: VolumeLevels, factor: int, template: Template, starts: Sequence[Matrix], bounds: Bounds
) -> list[tuple[float, Matrix]]:
    """Starts after refinement at one level, best first, without duplicates."""
    ranked = []
    for start in starts:
        level = volume.about(factor, template.ends(start))
        ranked.append(refined(level, template, start, volume.aspect, bounds.free))
    return _distinct(template, ranked, factor)


def _distinct(template: Template, found: Sequence[tuple[float, Matrix]], factor: int) -> list[tuple[float, Matrix]]:
    """Planes, best first, without those that lie where a better one does."""
    kept: list[tuple[float, Matrix]] = []
    ends = template.pixels[:, [0, -1]]
    for score, plane in sorted(found, key=lambda each: -each[0]):
        apart = [np.linalg.norm((plane - other) @ ends, axis=0).max() for _, other in kept]
        if np.isfinite(score) and not any(distance < SAME_PLACE * factor for distance in apart):
            kept.append((score, plane))
    return kept


def finest_factor(shape: tuple[int, int], scale: float) -> int:
    """By how much a volume is shrunk for the last refinement of a slice [Y, X]."""
    return max(1, round(min(shape) * scale / FINEST_SIDE_PX))


def finer(
    volume: VolumeLevels, shown: Scaled, scale: float, found: list[tuple[float, Matrix]], bounds: Bounds
) -> tuple[Matrix, float]:
    """Refine planes of the coarsest level at ever finer ones, fewer of them each time; the best, and its score."""
    factor = coarse_factor(shown.shape, scale)
    finest = finest_factor(shown.shape, scale)
    keep = REFINED[1]
    while factor > finest:
        factor = max(finest, factor // 2)
        here = seen(shown, scale, factor)
        if here is None:
            break
        found = _refine_all(volume, factor, Template.of(here), [plane for _, plane in found[:keep]], bounds) or found
        keep = REFINED[2]
    score, plane = found[0]
    return plane, score


def half_disagreements(volume: VolumeLevels, moving: Slice, plane: Matrix) -> tuple[float, float]:
    """How far each half of a slice, sought again about the plane, comes to lie from it, in voxels.

    At its corners, root mean square; each half is sought along the normal and over all shifts, from the turn, tilt and
    scale of the whole, and refined alone. Infinite where it finds nothing.
    """
    factor = coarse_factor(moving.shape, planes.width(plane, volume.aspect))
    tall = moving.shape[0] >= moving.shape[1]
    parts = [(0, 0.5, 0, 1), (0.5, 1, 0, 1)] if tall else [(0, 1, 0, 0.5), (0, 1, 0.5, 1)]
    one, other = (_half(volume, Scaled(moving), factor, part, plane) for part in parts)
    return one, other


def _half(
    volume: VolumeLevels, moving: Scaled, factor: int, part: tuple[float, float, float, float], plane: Matrix
) -> float:
    """As `half_disagreements`, of one part: y0, y1, x0, x1 as shares of the sides."""
    start = plane.copy()
    scale = planes.width(plane, volume.aspect)
    corners = np.zeros((4, 0))
    for k in (factor, max(1, factor // 2)):
        here = seen(moving, scale, k)
        if here is None:
            return float("inf")
        box = _box(part, here.mask.shape)
        if k == factor:
            start[:, 3] = plane @ _best_shift(volume, k, here, box, plane)
        template = Template.of(here, box)
        level = volume.at(k) if k == factor else volume.about(k, template.ends(start))
        score, start = refined(level, template, start, volume.aspect, HALF_FREE)
        if not np.isfinite(score):
            return float("inf")
        corners = _corners(here, box)
    apart = ((start - plane) @ corners) * np.array([[1.0], [1.0], [volume.aspect]])
    return float(np.sqrt((apart**2).sum(axis=0).mean()))


def _box(part: tuple[float, float, float, float], shape: tuple[int, int]) -> tuple[slice, slice]:
    y0, y1, x0, x1 = (round(share * shape[i // 2]) for i, share in enumerate(part))
    return slice(y0, y1), slice(x0, x1)


def _corners(here: Seen, box: tuple[slice, slice]) -> Matrix:
    """The corner pixels (x, y, 0, 1) [4, 4] of a part, in pixels of the slice."""
    (y0, y1), (x0, x1) = ((side.start, side.stop - 1) for side in box)
    found = here.pixel @ np.array([[x0, y0, 1], [x1, y0, 1], [x0, y1, 1], [x1, y1, 1]], dtype=np.float64).T
    return np.stack([found[0], found[1], np.zeros(4), np.ones(4)])


def _best_shift(
    volume: VolumeLevels, factor: int, here: Seen, part: tuple[slice, slice], plane: Matrix
) -> NDArray[np.float64]:
    """The shift (x, y, n, 1), in pixels of the slice, at which a part of it agrees best with planes beside its own."""
    height, width = here.mask.shape
    margin = max(4, int(HALF_MARGIN * min(height, width)))
    reach = max(4, int(HALF_REACH * min(height, width)))
    of_small = planes.of_pixels(plane, here.pixel)
    y, x = np.mgrid[-margin : height + margin, -margin : width + margin].astype(np.float64)
    steps = np.arange(-reach, reach + 1)
    stack = []
    for n in steps:
        pixels = np.stack([x.ravel(), y.ravel(), np.full(x.size, float(n)), np.ones(x.size)])
        values, within = sampled(volume.at(factor), (of_small @ pixels)[::-1])
        stack.append((values * within).reshape(len(values), *x.shape))
    beside = np.stack(stack, axis=1)
    mask = np.zeros(here.mask.shape, dtype=np.float32)
    mask[part] = here.mask[part]
    padded = [fft.next_fast_len(x.shape[i] + mask.shape[i], real=True) for i in range(2)]
    spectrum = np.conj(fft.rfft2(here.features * mask, padded))
    maps = fft.irfft2(fft.rfft2(beside, padded) * spectrum[:, None], padded)[..., : 2 * margin + 1, : 2 * margin + 1]
    total = np.abs(maps[0]) + maps[1]
    n, dy, dx = np.unravel_index(int(total.argmax()), total.shape)
    step = np.sqrt(abs(np.linalg.det(here.pixel[:2, :2])))
    return np.array([step * (dx - margin), step * (dy - margin), step * steps[n], 1.0])
