"""How one slice may lie on another where nothing is known: mirrored or not, any turn, any of some scales, all shifts.

This is a cheap coarse search. It ranks, and judges nothing: a pose is a start for `estimate.estimate_from`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal
from skimage.transform import rescale

from txm2sem_core.geometry import Array, Mask, Matrix, centred_similarity, warp
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.search import COARSE_SIDE_PX, Image, shrink, shrink_slice
from txm2sem_core.registration.similarity import Filtered, prefilter

HIGH_PASS_PX = 6.0  # Gaussian sigma on the coarse images; what is smoother is drift of brightness
SHARED_SHARE = 0.5  # of the smaller of the two images that a shift must leave on the other
PEAK_MARGIN_PX = 3  # about a peak, left out of the noise that it is compared with


@dataclass(frozen=True)
class Upright:
    """One of the eight orientations of a rectangle: mirrored left to right or not, then rotated by multiples of 90
    degrees.
    """

    mirrored: bool = False
    quarters: int = 0  # counter-clockwise

    def of(self, image: Array) -> Array:
        """`image` [Y, X], mirrored and turned; no pixel is resampled."""
        return np.ascontiguousarray(np.rot90(image[:, ::-1] if self.mirrored else image, self.quarters))


AS_IT_IS = Upright()
EIGHT = tuple(Upright(mirrored, quarters) for mirrored in (False, True) for quarters in range(4))


@dataclass(frozen=True)
class Pose:
    """Where a moving slice may lie: put upright, then rescaled, then turned and shifted about its centre."""

    strength: float  # of the correlation's peak, over the noise of its map
    upright: Upright
    scale: float  # fixed pixels to a moving pixel
    turn_deg: float  # x towards y
    shift_xy: tuple[float, float]  # of the centre, as shares of the fixed image's shorter side

    def start(self, moving_shape: tuple[int, int], fixed_shape: tuple[int, int]) -> Matrix:
        """The matrix from the moving image, upright and rescaled already, to the fixed image."""
        side = min(fixed_shape)
        shift = (self.shift_xy[0] * side, self.shift_xy[1] * side)
        return centred_similarity(self.turn_deg, 1.0, shift, moving_shape, fixed_shape)


def find_poses(
    fixed: Slice, moving: Slice, searches: Iterable[tuple[Sequence[Upright], Sequence[float], Sequence[float]]]
) -> list[Pose]:
    """The best shift for each combination, strongest first.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        searches: each a set of ways upright, of scales (fixed pixels to a moving pixel), and of turns in degrees, of
            which all combinations are tried.
    """
    factor = max(1, round(min(fixed.shape) / COARSE_SIDE_PX))
    small = _features(prefilter(shrink_slice(fixed, factor), 0, 0))
    spread = [float(feature.std()) or 1.0 for feature in small]
    poses = []
    for uprights, scales, turns in searches:
        for scale in scales:
            image = resize(moving.filled, scale / factor)
            resized = prefilter(Slice(image, resize_mask(moving.mask, scale / factor, image.shape)), 0, 0)
            if min(resized.shape) < 2 * PEAK_MARGIN_PX:
                continue
            for upright in uprights:
                stood = Filtered(upright.of(resized.image), upright.of(resized.mask))
                features = [feature / s for feature, s in zip(_features(stood), spread, strict=True)]
                poses += [_best_shift(small, features, upright, scale, turn) for turn in turns]
    return sorted(poses, key=lambda pose: -pose.strength)


def resize(image: Array, factor: float) -> Image:
    """`image` on `factor` times as many pixels a side, without aliases: means of blocks first, where it shrinks."""
    blocks = max(1, int(0.5 / factor))
    small = shrink(image.astype(np.float32), blocks)
    return np.asarray(rescale(small, factor * blocks, order=1, anti_aliasing=True), dtype=np.float32)


def resize_mask(mask: Mask, factor: float, shape: tuple[int, int]) -> Mask:
    """Where an image that `resize` made `shape` was measured."""
    return np.ones(shape, dtype=bool) if mask.all() else resize(mask, factor) >= 0.5


def _features(filtered: Filtered) -> list[Image]:
    """Grey levels without drift, and edges: what holds whatever the contrasts are.

    Each has mean 0 over what was measured, and is 0 elsewhere.
    """
    image, mask = filtered.image, filtered.mask
    level = image - ndimage.gaussian_filter(image, HIGH_PASS_PX, mode="nearest")
    edges = ndimage.gaussian_gradient_magnitude(image, 1.0, mode="nearest")
    edges = edges - ndimage.gaussian_filter(edges, HIGH_PASS_PX, mode="nearest")
    if not mask.any():
        return [np.zeros_like(feature) for feature in (level, edges)]
    return [np.where(mask, feature - feature[mask].mean(), 0).astype(np.float32) for feature in (level, edges)]


def _best_shift(fixed: list[Image], moving: list[Image], upright: Upright, scale: float, turn_deg: float) -> Pose:
    shape = moving[0].shape
    canvas, matrix = _turned_canvas(shape, turn_deg)
    best_strength, best = -np.inf, (0.0, 0.0)
    allowed = _allowed_shifts(fixed[0].shape, canvas)
    for still, other in zip(fixed, moving, strict=True):
        placed = warp(other, matrix, canvas, order=1) if turn_deg else other
        correlation = np.abs(signal.correlate(still, placed, mode="full", method="fft"))
        strength, (y, x) = _peak(correlation, allowed)
        if strength > best_strength:
            best_strength, best = strength, (float(x), float(y))
    side = min(fixed[0].shape)
    centre = [best[i] - (canvas[1 - i] - 1) + (canvas[1 - i] - fixed[0].shape[1 - i]) / 2 for i in (0, 1)]
    return Pose(best_strength, upright, scale, turn_deg, (centre[0] / side, centre[1] / side))


def _turned_canvas(shape: tuple[int, int], turn_deg: float) -> tuple[tuple[int, int], Matrix]:
    """The rectangle that holds a turned image, and the matrix that turns the image into it."""
    cosine, sine = abs(np.cos(np.deg2rad(turn_deg))), abs(np.sin(np.deg2rad(turn_deg)))
    height, width = shape
    canvas = (int(np.ceil(height * cosine + width * sine)), int(np.ceil(height * sine + width * cosine)))
    return canvas, centred_similarity(turn_deg, 1.0, (0, 0), shape, canvas)


def _allowed_shifts(fixed: tuple[int, int], moving: tuple[int, int]) -> np.ndarray:
    """Which entries of the full correlation leave enough of the smaller image on the other, bool."""
    shared = [
        np.minimum(np.minimum(np.arange(1, f + m), np.arange(f + m - 1, 0, -1)), min(f, m))
        for f, m in zip(fixed, moving, strict=True)
    ]
    smaller = min(fixed[0] * fixed[1], moving[0] * moving[1])
    return np.asarray(np.outer(*shared) >= SHARED_SHARE * smaller)


def _peak(correlation: np.ndarray, allowed: np.ndarray) -> tuple[float, tuple[int, int]]:
    """The highest allowed entry, in root mean squares of the allowed entries away from it, and where it stands."""
    y, x = np.unravel_index(int(np.argmax(np.where(allowed, correlation, -1))), correlation.shape)
    rest = allowed.copy()
    first = max(0, y - PEAK_MARGIN_PX), max(0, x - PEAK_MARGIN_PX)
    rest[first[0] : y + PEAK_MARGIN_PX + 1, first[1] : x + PEAK_MARGIN_PX + 1] = False
    noise = float(np.sqrt(np.mean(correlation[rest] ** 2))) if rest.any() else 0.0
    return (float(correlation[y, x]) / noise if noise > 0 else 0.0), (int(y), int(x))
