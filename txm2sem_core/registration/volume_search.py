"""Where in a volume a FIB-SEM slice may lie: any depth and shift, any turn, mirrored or not, and tilts up to a bound.

A coarse search. First untilted: a tilted slice agrees with a strip of each slice of the volume that it crosses. The
correlation of features at every whole shift in every slice ranks turns and places; then tilts are tried at the best,
and these are refined from level to level of the volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from txm2sem_core import planes
from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Matrix
from txm2sem_core.registration.poses import TURN_STEP_DEG, turned, upright, upright_matrix
from txm2sem_core.registration.volume_levels import Image, Level, Seen
from txm2sem_core.registration.volume_refine import Free, Template, correlations, nearest, score_of

COARSE_SIDE_PX = 36
STRONGEST = 80  # untilted places at which tilts are tried
TILT_STEP_DEG = 6.0
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
        """Those of the settings, between two slices of the volume."""
        free: Free = "similarity" if settings.transform in ("similarity", "affine") else "rigid"
        return cls(z, settings.max_rotation_deg, settings.max_tilt_deg, settings.mirrored, free)


def coarse_factor(moving_shape: tuple[int, int], scale: float, side_px: int = COARSE_SIDE_PX) -> int:
    """By how much a volume is shrunk for the first search."""
    return max(1, int(min(moving_shape) * scale / side_px))


def untilted(level: Level, moving: Seen, scale: float, bounds: Bounds, aspect: float) -> list[tuple[float, Matrix]]:
    """Untilted places, as (strength, plane), strongest first: the strongest shifts of each turn in each slice."""
    z0, z1 = (
        int(np.clip(round(z), 0, level.mask.shape[0] - 1))
        for z in level.index(np.array([[*bounds.z], [0, 0], [0, 0]]))[0]
    )
    fixed = level.features[:, z0 : z1 + 1]
    known = level.mask[z0 : z1 + 1].any(axis=0)
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
                    found[kind].append((strength, _flat(shifted, z + z0, level, aspect)))
    return [pair for of_kind in found for pair in sorted(of_kind, key=lambda pair: -pair[0])[: STRONGEST // 2]]


def _peaks(maps: Image, shape: tuple[int, ...]) -> Iterator[tuple[float, int, int, int]]:
    """The strongest shift in the slices [Z, Y, X] that have the strongest, as (strength, z, y, x)."""
    flat = maps.reshape(len(maps), -1)
    at = flat.argmax(axis=1)
    values = flat[np.arange(len(flat)), at]
    noise = float(np.sqrt(np.vdot(flat, flat) / np.count_nonzero(flat))) or 1.0
    for z in np.argsort(-values)[:Z_PEAKS]:
        place = np.unravel_index(int(at[z]), maps.shape[1:])
        y, x = (int(i) if i < n else int(i) - m for i, n, m in zip(place, shape, maps.shape[1:], strict=True))
        yield float(values[z]) / noise, int(z), y, x


def _flat(matrix: Matrix, z: int, level: Level, aspect: float) -> Matrix:
    """The plane of a slice that a 3x3 matrix lays on slice z of a level."""
    high, factor = level.factors[0], level.factors[2]
    linear = np.zeros((3, 2))
    linear[:2] = factor * matrix[:2, :2]
    x, y = factor * matrix[:2, 2] + (factor - 1) / 2
    return planes.with_normal(linear, np.array([x, y, high * z + (high - 1) / 2]), aspect)


def tilts(max_tilt_deg: float) -> list[tuple[float, float]]:
    """Tilts and their directions in degrees, about evenly spread up to a bound."""
    found = [(0.0, 0.0)]
    for k in range(1, int(np.ceil(max_tilt_deg / TILT_STEP_DEG - 0.5)) + 1):
        tilt = min(k * TILT_STEP_DEG, max_tilt_deg)
        found += [(tilt, float(d)) for d in np.arange(6 * k) * 360 / (6 * k)]
    return found


def tilted(
    plane: Matrix, template: Template, tilt_deg: float, towards_deg: float, rise: float, aspect: float
) -> Matrix:
    """A plane tilted about the slice's centre, which is then raised by so many voxels."""
    tilt, towards = np.deg2rad([tilt_deg, towards_deg])
    space = np.array([1.0, 1.0, aspect])
    turn = planes.rotation(tilt * np.array([np.sin(towards), -np.cos(towards), 0]))
    centre = plane @ template.pixels.mean(axis=1)
    linear = (turn @ (plane[:, :2] * space[:, None])) / space[:, None]
    origin = centre + (turn @ ((plane[:, 3] - centre) * space)) / space
    return planes.with_normal(linear, origin + np.array([0, 0, rise]), aspect)


def best_tilts(
    level: Level, template: Template, starts: Sequence[Matrix], bounds: Bounds, aspect: float
) -> list[tuple[float, Matrix]]:
    """Each start with its best tilt and depth, as (score, plane), best first."""
    found = []
    few = template.thinned(RANKING_POINTS)
    for start in starts:
        trials = [
            tilted(start, template, tilt, towards, step * level.factors[0], aspect)
            for tilt, towards in tilts(bounds.max_tilt_deg)
            for step in (range(-DEPTHS, DEPTHS + 1) if tilt else (0,))
        ]
        scores = [score_of(correlations(few, *nearest(level, (trial @ few.pixels)[::-1]))) for trial in trials]
        best = int(np.argmax(scores))
        found.append((scores[best], trials[best]))
    return sorted(found, key=lambda pair: -pair[0])
