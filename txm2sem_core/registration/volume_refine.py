"""The plane of a FIB-SEM slice in a volume from a start: the correlation of features over turn, tilt, shift and scale.

Normalised correlation is maximised by Gauss-Newton steps over all pixels (Lucas, Kanade, IJCAI 1981, on features of
variance 1). SimpleITK registers images of equal dimensions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from txm2sem_core import planes
from txm2sem_core.geometry import Array, Matrix
from txm2sem_core.registration.volume_levels import Image, Level, Seen

LEAST_SHARED = 0.6  # of a slice's pixels that must lie within the volume
STEPS = 25
SETTLED_PX = 0.01  # of the level's voxels: a step that moves no corner further is the last
DAMPING = 1e-3
Free = Literal["shift", "rigid", "similarity"]
PARAMETERS: dict[Free, slice] = {"shift": slice(3, 6), "rigid": slice(0, 6), "similarity": slice(0, 7)}


@dataclass(frozen=True)
class Template:
    """A slice's features at one level, as points [N] that are compared."""

    values: Image  # [kinds, N]
    pixels: Matrix  # (x, y, 0, 1) [4, N] of the slice
    inner: NDArray[np.bool_]  # [N]

    @classmethod
    def of(cls, seen: Seen, part: tuple[slice, slice] | None = None) -> Template:
        """All measured pixels of a slice, or of a part (y, x) of it."""
        mask = seen.mask
        if part is not None:
            mask = np.zeros_like(mask)
            mask[part] = seen.mask[part]
        y, x = np.nonzero(mask)
        pixels = seen.pixel @ np.stack([x, y, np.ones(len(x))]).astype(np.float64)
        pixels = np.stack([pixels[0], pixels[1], np.zeros(len(x)), np.ones(len(x))])
        return cls(seen.features[:, y, x], pixels, mask[y, x])

    def ends(self, plane: Matrix) -> Matrix:
        """The voxels (x, y, z) [4, 3] of the corners of its bounding box on a plane."""
        low, high = self.pixels[:2].min(axis=1), self.pixels[:2].max(axis=1)
        corners = [[x, y, 0, 1] for x in (low[0], high[0]) for y in (low[1], high[1])]
        return np.asarray(np.array(corners) @ plane.T)

    def thinned(self, most: int) -> Template:
        """At most about so many of its points."""
        step = max(1, len(self.inner) // most)
        return Template(self.values[:, ::step], self.pixels[:, ::step], self.inner[::step])


def nearest(level: Level, points_zyx: Matrix) -> tuple[Image, NDArray[np.bool_]]:
    """As `sampled`, of the nearest voxels: for a ranking."""
    at = np.rint(level.index(points_zyx)).astype(np.intp)
    last = np.array(level.mask.shape, dtype=np.intp).reshape(3, 1) - 1
    kept = np.clip(at, 0, last)
    return level.features[:, kept[0], kept[1], kept[2]], np.asarray((kept == at).all(axis=0))


def sampled(level: Level, points_zyx: Matrix) -> tuple[Image, NDArray[np.bool_]]:
    """The features [kinds, N] of a volume at voxels [3, N], and which of these lie within it."""
    at = level.index(points_zyx)
    last = np.array(level.mask.shape).reshape(3, 1) - 1
    within = np.asarray(((at >= -0.5) & (at <= last + 0.5)).all(axis=0))
    values = np.stack([ndimage.map_coordinates(each, at, order=1, mode="nearest") for each in level.features])
    return values, within


def correlations(template: Template, values: Image, within: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pearson correlation of each feature [kinds]; 0 where too little lies within the volume."""
    if not _enough(within):
        return np.zeros(len(values))
    a, b = (_standard(each[:, within]) for each in (template.values, values))
    return np.asarray((a * b).mean(axis=1))


def _enough(within: NDArray[np.bool_]) -> bool:
    return within.size > 0 and float(within.mean()) >= LEAST_SHARED


def _standard(values: Array) -> Array:
    centred = values - values.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.asarray(centred / np.where(spread > 0, spread, 1))


def score_of(found: NDArray[np.float64]) -> float:
    """One number of the correlations of grey levels, which may be inverted, and of edges."""
    return float(abs(found[0]) + found[1]) / 2


def refined(
    level: Level, template: Template, plane: Matrix, aspect: float = 1.0, free: Free = "similarity"
) -> tuple[float, Matrix]:
    """The plane next to `plane` at which the features correlate best, after the correlation there.

    Args:
        level: of the volume.
        template: the slice.
        plane: the start.
        aspect: height of a voxel over its width.
        free: what is found: shifts alone, turns and tilts too, or also the scale.

    Returns:
        The correlation, minus infinity where too little of the slice lies within the level, and the plane.
    """
    values, within = sampled(level, (plane @ template.pixels)[::-1])
    if not _enough(within):
        return -np.inf, plane
    sign = np.where(correlations(template, values, within)[0] < 0, -1.0, 1.0)
    signs = np.array([[sign], [1.0]])
    best, best_score, damping = plane, -np.inf, DAMPING
    trial = plane
    for _ in range(STEPS):
        points = (trial @ template.pixels)[::-1]
        values, within = sampled(level, points)
        score = -np.inf
        if _enough(within):
            score = float((signs[:, 0] * correlations(template, values, within)).mean())
        if score <= best_score:
            damping *= 10
            if damping > 10:
                break
        else:
            best, best_score, damping = trial, score, max(damping / 10, 1e-6)
            jacobian = _jacobian(level, template, best, points, within, aspect)[PARAMETERS[free]]
            spread = values[:, within].std(axis=1, keepdims=True)
            spread = np.where(spread > 0, spread, 1)
            error = (signs * _standard(template.values[:, within]) - _standard(values[:, within])).ravel()
            slopes = (jacobian / spread[None]).reshape(len(jacobian), -1)
            slopes = slopes - slopes.mean(axis=1, keepdims=True)
            normal, right = slopes @ slopes.T, slopes @ error
        matrix = normal + damping * np.diag(np.diag(normal)) + 1e-9 * np.eye(len(normal))
        step = np.zeros(7)
        step[PARAMETERS[free]] = np.linalg.solve(matrix, right)
        trial = _moved(best, template, step, aspect, level)
        if _shift(best, trial, template, aspect) < SETTLED_PX * level.factors[2]:
            break
    return best_score, best


def _frame(template: Template, plane: Matrix) -> tuple[Matrix, float]:
    """The centre of the points (x, y, z), and their spread in voxels.

    Turns are counted about the one, by the other: a step of 1 moves an edge by about a voxel.
    """
    points = plane @ template.pixels
    centre = points.mean(axis=1)
    return centre, float(np.sqrt(((points - centre[:, None]) ** 2).sum(axis=0).mean())) or 1.0


def _jacobian(
    level: Level,
    template: Template,
    plane: Matrix,
    points_zyx: Matrix,
    within: NDArray[np.bool_],
    aspect: float,
) -> Array:
    """Slopes [parameters, kinds, N] of the features along turns, shifts and scale."""
    half = 0.5 * level.factors
    slopes = []
    for axis in range(3):
        offset = np.zeros((3, 1))
        offset[axis] = half[axis]
        up, down = (sampled(level, points_zyx[:, within] + sign * offset)[0] for sign in (1, -1))
        slopes.append((up - down) / (2 * half[axis]))
    by_x, by_y, by_z = slopes[2], slopes[1], slopes[0] / aspect  # per width of a voxel
    centre, reach = _frame(template, plane)
    x, y, z = ((points_zyx[::-1][:, within] - centre[:, None]) / reach) * np.array([[1.0], [1.0], [aspect]])
    of = [by_z * y - by_y * z, by_x * z - by_z * x, by_y * x - by_x * y, by_x, by_y, by_z]
    return np.stack([*of, by_x * x + by_y * y + by_z * z])


def _moved(plane: Matrix, template: Template, step: Array, aspect: float, level: Level) -> Matrix:
    """The plane after a step: three turns and three shifts in widths of voxels (at an edge), and one of the scale."""
    centre, reach = _frame(template, plane)
    longest = 2.0 * level.factors[2]
    step = step * min(1.0, longest / max(1e-12, float(np.abs(step).max())))
    space = np.array([1.0, 1.0, aspect])
    growth = np.exp(step[6] / reach)
    turned = growth * planes.rotation(step[:3] / reach) @ (plane[:, :2] * space[:, None])
    origin = (plane[:, 3] - centre) * space
    moved = growth * planes.rotation(step[:3] / reach) @ origin + (centre * space) + step[3:6]
    return planes.with_normal(turned / space[:, None], moved / space, aspect)


def _shift(one: Matrix, other: Matrix, template: Template, aspect: float) -> float:
    """How far the slice's outermost points move, in widths of voxels."""
    ends = template.pixels[:, [0, -1]]
    return float(np.linalg.norm(((other - one) @ ends) * np.array([[1.0], [1.0], [aspect]]), axis=0).max())
