"""Rocks whose measures are known exactly: what a voxel's centre lies in, of random media that are alike everywhere.

Lengths are in the unit of the edges. Every rock is made in a larger space and cut, as a volume is out of a rock, so
nothing in it knows of the faces.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import norm

Pores = NDArray[np.bool_]
Shape = tuple[int, int, int]
Edges = tuple[float, float, float]
CUBES: Edges = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Rock:
    """A random medium and what is exact of its pores.

    Attributes:
        make: pores `[Z, Y, X]` of a shape, edges and generator.
        exact: of `porosity`, `surface` (area per volume), `euler` (per volume), `chord` (mean, along any axis),
            `thickness` (median) and `two_point` (at the distance `LAG`), those that are known.
    """

    name: str
    make: Callable[[Shape, Edges, np.random.Generator], Pores]
    exact: dict[str, float] = field(default_factory=dict)


LAG = 10.0


def _places(shape: Shape, edges: Edges) -> tuple[NDArray[np.float64], ...]:
    """Of voxels' centres along z, y and x, to be broadcast."""
    z, y, x = (np.arange(n) * e for n, e in zip(shape, edges, strict=True))
    return z[:, None, None], y[:, None], x


def union_of_balls(centres: NDArray[np.float64], radius: float, shape: Shape, edges: Edges) -> Pores:
    """What lies in one of the balls."""
    pore = np.zeros(shape, dtype=bool)
    for centre in centres:
        low = [max(math.ceil((c - radius) / e), 0) for c, e in zip(centre, edges, strict=True)]
        high = [min(math.floor((c + radius) / e) + 1, n) for c, e, n in zip(centre, edges, shape, strict=True)]
        if all(a < b for a, b in zip(low, high, strict=True)):
            z, y, x = (np.arange(a, b) * e - c for a, b, e, c in zip(low, high, edges, centre, strict=True))
            inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < radius**2
            pore[tuple(map(slice, low, high))] |= inside
    return pore


def overlapping_balls(radius: float = 6, porosity: float = 0.2) -> Rock:
    """Boolean model: balls at independent places (Ohser and Muecklich (2000), chapter 6)."""
    ball = 4 / 3 * math.pi * radius**3
    number = -math.log(1 - porosity) / ball

    def make(shape: Shape, edges: Edges, rng: np.random.Generator) -> Pores:
        size = np.array(shape) * edges + 2 * radius
        return union_of_balls(rng.random((rng.poisson(number * size.prod()), 3)) * size - radius, radius, shape, edges)

    surface = number * 4 * math.pi * radius**2 * (1 - porosity)
    share = number * ball
    euler = number * (1 - porosity) * (1 - 3 * share + 3 * math.pi**2 / 32 * share**2)
    far = min(LAG / radius, 2.0)
    common = ball * (1 - 0.75 * far + far**3 / 16)
    two_point = 2 * porosity - 1 + (1 - porosity) ** 2 * math.exp(number * common)
    chord = 4 * porosity / surface
    exact = {"porosity": porosity, "surface": surface, "euler": euler, "chord": chord, "two_point": two_point}
    return Rock("overlapping balls", make, exact)


def lone_balls(radius: float = 6, cell: float = 20) -> Rock:
    """One in each cell, at a random place within it; the lattice of cells lies at a random place."""

    def make(shape: Shape, edges: Edges, rng: np.random.Generator) -> Pores:
        cells = [math.ceil(n * e / cell) + 1 for n, e in zip(shape, edges, strict=True)]
        corners = np.indices(cells).reshape(3, -1).T * cell - rng.random(3) * cell
        centres = corners + radius + rng.random((len(corners), 3)) * (cell - 2 * radius)
        return union_of_balls(centres, radius, shape, edges)

    number = cell**-3
    porosity, surface = 4 / 3 * math.pi * radius**3 * number, 4 * math.pi * radius**2 * number
    exact = {"porosity": porosity, "surface": surface, "euler": number, "chord": 4 / 3 * radius}
    return Rock("lone balls", make, exact | {"thickness": 2 * radius})


def gaussian_field(sigma: float = 4, porosity: float = 0.3) -> Rock:
    """Where a smooth Gaussian random field is above a level (Adler, The Geometry of Random Fields (1981))."""
    level, second = float(norm.isf(porosity)), 1 / (2 * sigma**2)

    def make(shape: Shape, edges: Edges, rng: np.random.Generator) -> Pores:
        widths = [sigma / e for e in edges]
        pads = [int(4 * w) + 1 for w in widths]
        noise = rng.normal(size=[n + 2 * pad for n, pad in zip(shape, pads, strict=True)])
        smooth = ndimage.gaussian_filter(noise, widths)[tuple(slice(p, -p) for p in pads)]
        return smooth > level * math.sqrt(math.prod(_power(w) for w in widths))

    surface = 2 / math.pi * math.sqrt(second) * math.exp(-(level**2) / 2)
    euler = second**1.5 / (2 * math.pi) ** 2 * (level**2 - 1) * math.exp(-(level**2) / 2)
    exact = {"porosity": porosity, "surface": surface, "euler": euler, "chord": 4 * porosity / surface}
    return Rock("random field", make, exact)


def _power(width: float) -> float:
    """Variance of white noise after a filter of that width."""
    reach = int(4 * width + 0.5)
    kernel = np.exp(-np.square(np.arange(-reach, reach + 1)) / (2 * width**2))
    return float(np.square(kernel / kernel.sum()).sum())


def cracks(width: float = 3, period: float = 20, normal: tuple[float, float, float] | None = None) -> Rock:
    """Plane cracks side by side, in a random direction or across a given one."""

    def make(shape: Shape, edges: Edges, rng: np.random.Generator) -> Pores:
        direction = np.array(normal) if normal else rng.normal(size=3)
        direction = direction / np.linalg.norm(direction)
        places = sum(n * p for n, p in zip(direction, _places(shape, edges), strict=True))
        return np.asarray((places + rng.random() * period) % period < width)

    exact = {"porosity": width / period, "surface": 2 / period, "thickness": width}
    return Rock(f"cracks {width:g} wide", make, exact)


def one_crack(width: float, normal: tuple[float, float, float], shift: float, shape: Shape, edges: Edges) -> Pores:
    """A plane crack through the middle of the volume, moved by `shift` along its normal."""
    direction = np.array(normal) / np.linalg.norm(normal)
    places = sum(n * p for n, p in zip(direction, _places(shape, edges), strict=True))
    return np.asarray(abs(places - np.mean(places) - shift) < width / 2)


def chains(pore: float = 12, solid: float = 36, axis: int = 0) -> Rock:
    """Lines along one axis that leave the pore, and the solid, at each voxel by chance: chords of known means."""

    def make(shape: Shape, edges: Edges, rng: np.random.Generator) -> Pores:
        out, into = edges[axis] / pore, edges[axis] / solid
        pores = np.zeros(shape, dtype=bool)
        along = np.moveaxis(pores, axis, 0)
        along[0] = rng.random(along[0].shape) < pore / (pore + solid)
        for before, after in itertools.pairwise(along):
            by_chance = rng.random(after.shape)
            after[:] = np.where(before, by_chance >= out, by_chance < into)
        return pores

    return Rock("chains", make, {"porosity": pore / (pore + solid), "chord": pore})


def as_predicted(pore: Pores, rng: np.random.Generator, blur_px: float = 0.7, noise: float = 0.12) -> Pores:
    """Pores as a threshold halfway parts them in grey levels that are blurred and noisy, as in a prediction."""
    grey = ndimage.gaussian_filter(pore.astype(np.float32), blur_px) + rng.normal(0, noise, pore.shape)
    return np.asarray(grey > 0.5)
