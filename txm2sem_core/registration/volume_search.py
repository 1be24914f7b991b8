"""Where in a volume a FIB-SEM slice may lie: any depth and shift, any turn, mirrored or not, and tilts up to a bound.

A coarse search. First untilted: a tilted slice agrees with a strip of each slice of the volume that it crosses. The
correlation of features at every whole shift in every slice ranks turns and places; then tilts are tried at the best.
Where that is not enough, the same is done in the volume sheared by some tilts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from txm2sem_core import planes
from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Mask, Matrix
from txm2sem_core.registration.poses import TURN_STEP_DEG, turned, upright, upright_matrix
from txm2sem_core.registration.volume_levels import Image, Level, Seen
from txm2sem_core.registration.volume_refine import Free, Template, correlations, nearest, score_of

COARSE_SIDE_PX = 36
STRONGEST = 80  # untilted places at which tilts are tried
TILT_STEP_DEG = 6.0
FURTHER_TILT = 0.6  # of the greatest tilt
DEPTHS = 3  # of the level's voxels that a tilted plane's centre is tried below and above
Z_PEAKS = 2
RANKING_POINTS = 600


@dataclass(frozen=True)
class Bounds:
    """What is searched: depths in slices of the volume, turns, tilts, and whether slices may be mirrored."""

    z: tuple[float, float]
    max_turn_deg: float = 180.0
    max_tilt_deg: float = 15.0
    mirrored: bool = True
    free: Free = "similarity"  # rigid: the scale stays as it is stated

    @classmethod
    def of(cls, settings: RegisterSettings, z: tuple[float, float]) -> Bounds:
        """Those of the settings, between two slices of the volume; affine is no more than similarity here."""
        free: Free = "similarity" if settings.transform in ("similarity", "affine") else "rigid"
        return cls(z, settings.max_rotation_deg, settings.max_tilt_deg, settings.mirrored, free)


def coarse_factor(moving_shape: tuple[int, int], scale: float, side_px: int = COARSE_SIDE_PX) -> int:
    """By how much a volume is shrunk for the first search."""
    return max(1, int(min(moving_shape) * scale / side_px))


def find_starts(
    level: Level, moving: Seen, bounds: Bounds, aspect: float, tilt: tuple[float, float] = (0.0, 0.0)
) -> list[tuple[float, Matrix]]:
    """Places of one tilt, as (strength, plane), strongest first: the strongest shifts of each turn in each slice.

    Args:
        level: the volume.
        moving: the slice.
        bounds: of the search.
        aspect: height of a voxel over its width.
        tilt: angle and direction in degrees. The volume is sheared along z until planes so tilted lie flat in it.
    """
    fixed, mask = _sheared(level, tilt, aspect)
    z0, z1 = (0, len(mask) - 1) if tilt[0] else _slices(level, bounds)
    fixed, known = fixed[:, z0 : z1 + 1], mask[z0 : z1 + 1].any(axis=0)
    side = int(np.ceil(np.hypot(*moving.mask.shape))) + 1
    shape = tuple(fft.next_fast_len(n + side // 2, real=True) for n in known.shape)
    spectra, of_known = fft.rfft2(fixed, shape), fft.rfft2(known.astype(np.float32), shape)
    stack = np.concatenate([moving.features * moving.mask, moving.mask[None]]).astype(np.float32)
    found: list[list[tuple[float, Matrix]]] = [[], []]
    for turn in np.arange(0, 90, TURN_STEP_DEG):
        canvas, matrix = turned(stack, float(turn), side)
        for flip, quarters in upright(float(turn), bounds.max_turn_deg, mirrored=bounds.mirrored):
            placed = np.rot90(canvas[..., ::-1] if flip else canvas, quarters, axes=(1, 2))
            spectrum = np.conj(fft.rfft2(placed, shape))
            shared = fft.irfft2(of_known * spectrum[-1], shape)
            least = 0.5 * float(placed[-1].sum())
            weight = np.where(shared >= least, 1 / np.sqrt(np.maximum(shared, 1)), 0).astype(np.float32)
            maps = fft.irfft2(spectra * spectrum[:-1, None], shape)
            maps *= weight
            to_level = upright_matrix(side, quarters, flip=flip) @ matrix @ np.linalg.inv(moving.pixel)
            for kind, each in enumerate(maps):
                for strength, z, y, x in _peaks(np.abs(each) if kind == 0 else each, known.shape):
                    shifted = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]]) @ to_level
                    found[kind].append((strength, _plane(shifted, z + z0, level, moving, tilt, aspect)))
    return [pair for of_kind in found for pair in sorted(of_kind, key=lambda pair: -pair[0])[: STRONGEST // 2]]


def _peaks(maps: Image, shape: tuple[int, ...]) -> Iterator[tuple[float, int, int, int]]:
    """The strongest shift in the slices [Z, Y, X] that have the strongest, as (strength, z, y, x); none of zeros."""
    flat = maps.reshape(len(maps), -1)
    if not flat.any():  # nowhere do both share enough, as where the slice is larger than the volume
        return
    at = flat.argmax(axis=1)
    values = flat[np.arange(len(flat)), at]
    noise = float(np.sqrt(np.vdot(flat, flat) / np.count_nonzero(flat)))
    for z in np.argsort(-values)[:Z_PEAKS]:
        place = np.unravel_index(int(at[z]), maps.shape[1:])
        y, x = (int(i) if i < n else int(i) - m for i, n, m in zip(place, shape, maps.shape[1:], strict=True))
        yield float(values[z]) / noise, int(z), y, x


def _slices(level: Level, bounds: Bounds) -> tuple[int, int]:
    """The first and the last slice of a level in which a slice's centre may lie."""
    ends = level.index(np.array([[*bounds.z], [0.0, 0.0], [0.0, 0.0]]))[0]
    first, last = (int(np.clip(round(z), 0, level.mask.shape[0] - 1)) for z in ends)
    return first, last


def _rise(level: Level, tilt: tuple[float, float], aspect: float) -> Matrix:
    """By how many slices of a level a tilted plane rises along y and x, for each of its voxels [2]."""
    angle, towards = np.deg2rad(tilt)
    step = np.tan(angle) * level.factors[2] / (aspect * level.factors[0])
    return np.asarray(step * np.array([np.sin(towards), np.cos(towards)]))


def _sheared(level: Level, tilt: tuple[float, float], aspect: float) -> tuple[Image, Mask]:
    """A level's features and mask, shifted along z so that planes of a tilt through its middle lie flat."""
    if not tilt[0]:
        return level.features, level.mask
    depth, height, width = level.mask.shape
    by_y, by_x = _rise(level, tilt, aspect)
    y, x = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    at = np.arange(depth)[:, None, None] + np.rint(by_y * y + by_x * x).astype(np.intp)
    within = (at >= 0) & (at < depth)
    at = np.clip(at, 0, depth - 1)
    mask = np.take_along_axis(level.mask, at, axis=0) & within
    return np.stack([np.take_along_axis(each, at, axis=0) * mask for each in level.features]), mask


def _plane(matrix: Matrix, z: int, level: Level, moving: Seen, tilt: tuple[float, float], aspect: float) -> Matrix:
    """The plane of a slice that a 3x3 matrix lays on slice z of a level that was sheared by a tilt."""
    high, factor = level.factors[0], level.factors[2]
    height, width = moving.mask.shape
    middle = moving.pixel @ [(width - 1) / 2, (height - 1) / 2, 1]
    linear = np.zeros((3, 2))
    linear[:2] = factor * matrix[:2, :2]
    centre = matrix @ middle
    rise = 0.0
    if tilt[0]:
        of_level = np.array(level.mask.shape[1:])
        rise = float(_rise(level, tilt, aspect) @ (centre[1::-1] - (of_level - 1) / 2))
    x, y = factor * centre[:2] + (factor - 1) / 2
    middle_xyz = np.array([x, y, high * (z + rise) + (high - 1) / 2])
    flat = planes.with_normal(linear, middle_xyz - linear @ middle[:2], aspect)
    return _turned_about(flat, middle_xyz, tilt, aspect)


def _turned_about(plane: Matrix, centre_xyz: Matrix, tilt: tuple[float, float], aspect: float) -> Matrix:
    """A plane tilted about a voxel."""
    angle, towards = np.deg2rad(tilt)
    space = np.array([1.0, 1.0, aspect])
    turn = planes.rotation(angle * np.array([np.sin(towards), -np.cos(towards), 0]))
    linear = (turn @ (plane[:, :2] * space[:, None])) / space[:, None]
    origin = centre_xyz + (turn @ ((plane[:, 3] - centre_xyz) * space)) / space
    return planes.with_normal(linear, origin, aspect)


def further_tilts(max_tilt_deg: float) -> list[tuple[float, float]]:
    """Tilts and their directions in degrees for which `find_starts` is tried where an untilted start does not do."""
    tilt = FURTHER_TILT * max_tilt_deg
    return [(tilt, float(towards)) for towards in np.arange(0, 360, 60)] if tilt >= TILT_STEP_DEG / 2 else []


def tilts(max_tilt_deg: float) -> list[tuple[float, float]]:
    """Tilts and their directions in degrees, about evenly spread up to a bound."""
    found = [(0.0, 0.0)]
    for k in range(1, int(np.ceil(max_tilt_deg / TILT_STEP_DEG - 0.5)) + 1):
        tilt = min(k * TILT_STEP_DEG, max_tilt_deg)
        found += [(tilt, float(d)) for d in np.arange(6 * k) * 360 / (6 * k)]
    return found


def tilted(plane: Matrix, template: Template, tilt: tuple[float, float], rise: float, aspect: float) -> Matrix:
    """A plane tilted about the slice's centre, which is then raised by so many voxels."""
    found = _turned_about(plane, plane @ template.pixels.mean(axis=1), tilt, aspect)
    found[2, 3] += rise
    return found


def best_tilts(
    level: Level, template: Template, starts: Sequence[Matrix], bounds: Bounds, aspect: float
) -> list[tuple[float, Matrix]]:
    """Each start with its best tilt and depth, as (score, plane), best first."""
    found = []
    few = template.thinned(RANKING_POINTS)
    for start in starts:
        trials = [
            tilted(start, template, tilt, step * level.factors[0], aspect)
            for tilt in tilts(bounds.max_tilt_deg)
            for step in (range(-DEPTHS, DEPTHS + 1) if tilt[0] else (0,))
        ]
        scores = [score_of(correlations(few, *nearest(level, (trial @ few.pixels)[::-1]))) for trial in trials]
        best = int(np.argmax(scores))
        found.append((scores[best], trials[best]))
    return sorted(found, key=lambda pair: -pair[0])
