"""The area of a wall from how often lines cross it, along directions that fit the voxels."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Edges = tuple[float, float, float]
Steps = NDArray[np.int64]

MOST_UNEVEN = 1e4  # edges of a voxel whose ratio is beyond it are a mistake
FURTHEST = (1.5, 1.75, 2.0, 2.3)  # longest edges: the longest step, as long as it needs to be
FURTHEST_VOXELS = 6  # along one axis
ERROR = 0.045  # of the area of a plane, whatever its direction, where the steps allow it
MEAN_ERROR = 0.003  # over all directions
_AT_ONCE = 2**18  # pairs that are compared together
_NORMALS = 600
_ROUNDS = 6


def wall_steps(edges: Edges, shape: tuple[int, int, int] | None = None) -> tuple[Steps, NDArray[np.float64]]:
    """Steps `[S, 3]` along z, y, x, in voxels, and weights: the sum of weights times crossings is the area per volume.

    A crossing is the share of pairs of voxels a step apart of which one is pore; of planes with the unit normal n it is
    |n . s| times their area per volume for a step s. So the weights w must bring the sum of w |n . s| near to 1 for all
    n: the formula of Cauchy and Crofton for few directions (Ohser and Muecklich (2000), chapter 4), with weights that
    keep its error below `ERROR`, and among those the ones of the shortest steps, since a step may leap over a thin
    pore (`count_crossings` sees most of these). The usual weights, by Voronoi cells on the sphere, leave 14 to 28 % in
    voxels of 5 : 1, whose neighbours lie in few directions.

    Args:
        edges: of a voxel along z, y, x.
        shape: of the volume that the steps must fit into.

    Returns:
        Steps, and weights in 1 over the unit of the edges; NaN where the edges are too uneven, or the volume has one
        voxel along an axis.
    """
    longest = max(edges)
    most = [FURTHEST_VOXELS if shape is None else min(FURTHEST_VOXELS, n - 1) for n in shape or edges]
    if longest > MOST_UNEVEN * min(edges) or not all(most):
        return np.eye(3, dtype=np.int64), np.full(3, math.nan)
    order = np.argsort(edges, kind="stable")  # turned voxels have the same steps
    relative = tuple(round(edges[axis] / longest, 6) for axis in order)
    steps, weights = _fitted(relative, tuple(most[axis] for axis in order))
    steps = steps[:, np.argsort(order)]
    return np.array([step if tuple(step) > (0, 0, 0) else -step for step in steps]), weights / longest


@lru_cache(maxsize=32)
def _fitted(edges: tuple[float, ...], most: tuple[int, ...]) -> tuple[Steps, NDArray[np.float64]]:
    for furthest in FURTHEST:
        families, error, weights = _fit(edges, most, furthest)
        if error <= ERROR:
            break
    used = [(family, w) for family, w in zip(families, weights, strict=True) if w > 1e-9]
    return np.concatenate([f for f, _ in used]), np.concatenate([np.full(len(f), w) for f, w in used])


def _fit(
    edges: tuple[float, ...], most: tuple[int, ...], furthest: float
) -> tuple[list[Steps], float, NDArray[np.float64]]:
    """Families of steps, the least error that they allow, and the weights of each."""
    families = _families(edges, most, furthest)
    cost = [float(np.square(family * edges).sum()) for family in families]
    normals = _normals()
    for _ in range(_ROUNDS):
        error, weights = _solved(_rates(families, edges, normals), cost)
        # between the directions of the fit the least area is that of planes along two steps
        cusps = _along_two(np.concatenate([f for f, w in zip(families, weights, strict=True) if w > 1e-9]) * edges)
        off = np.abs(_rates(families, edges, cusps) @ weights - 1) > max(error, ERROR) + 1e-3
        if not off.any():
            break
        normals = np.concatenate([normals, cusps[off]])
    return families, error, weights


def _rates(families: list[Steps], edges: tuple[float, ...], normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Crossings of planes of unit area per volume `[normals, families]`."""
    return np.stack([np.abs(normals @ (family * edges).T).sum(axis=1) for family in families], axis=1)


def _along_two(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals of the planes along every two steps."""
    first, second = np.triu_indices(len(steps), 1)
    normals = np.cross(steps[first], steps[second])
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _solved(rates: NDArray[np.float64], cost: list[float]) -> tuple[float, NDArray[np.float64]]:
    """The least error of the area that weights can have, and weights of steps as short as `ERROR` allows."""
    from scipy.optimize import linprog

    mean = rates[:_NORMALS].mean(axis=0)
    bounds = np.concatenate([rates, -rates, mean[None], -mean[None]])
    right = np.concatenate([np.ones(len(rates)), -np.ones(len(rates)), [1.0, -1.0]])
    slack = np.concatenate([np.ones(2 * len(rates)), np.zeros(2)])
    right += MEAN_ERROR * (1 - slack)
    both = np.column_stack([bounds, -slack])
    error = float(linprog(np.eye(both.shape[1])[-1], A_ub=both, b_ub=right, method="highs").x[-1])
    return error, linprog(cost, A_ub=bounds, b_ub=right + slack * max(1.001 * error, ERROR), method="highs").x


def _families(edges: tuple[float, ...], most: tuple[int, ...], furthest: float) -> list[Steps]:
    """Steps to all neighbours, and others that are not too long and no multiples; those that mirrors join together."""
    reach = [min(max(int(furthest / edge), 1), n) for edge, n in zip(edges, most, strict=True)]
    families: dict[tuple[tuple[float, int, int], ...], list[tuple[int, ...]]] = {}
    for step in itertools.product(*(range(-n, n + 1) for n in reach)):
        offset = tuple(map(abs, step))
        near = max(offset) <= 1 or np.linalg.norm(np.array(step) * edges) <= furthest
        if step > (0, 0, 0) and np.gcd.reduce(offset) == 1 and near:
            families.setdefault(tuple(sorted(zip(edges, reach, offset, strict=True))), []).append(step)
    return [np.array(family) for family in families.values()]


def _normals() -> NDArray[np.float64]:
    """Directions spread evenly over the sphere (Fibonacci's spiral), and those of axes and diagonals."""
    number = np.arange(_NORMALS) + 0.5
    z = 1 - 2 * number / _NORMALS
    turn, radius = math.pi * (1 + math.sqrt(5)) * number, np.sqrt(1 - z**2)
    special = np.array([d for d in itertools.product((0.0, 1.0), repeat=3) if any(d)])
    special /= np.linalg.norm(special, axis=1, keepdims=True)
    return np.concatenate([np.stack([z, radius * np.cos(turn), radius * np.sin(turn)], axis=1), special])


def count_crossings(block: NDArray[np.bool_], step: NDArray[np.int64], old: int = 0) -> tuple[int, int]:
    """Pairs of voxels `[Z, Y, X]` a step apart, and crossings of the wall between them.

    One where the two differ. Where they are alike, a longer step may have leapt over a thin pore or grain: two where,
    at one place on the way, the voxels on both sides of the line are of the other kind. Between two voxels of one side
    of a plane there is no such place, so that planes are counted as they are.

    Args:
        block: the volume, or a slab of it.
        step: along z, y, x, the first that is not 0 above it.
        old: pairs within so many first slices do not count.
    """
    block = block[max(old - int(step[0]), 0) :]
    start = np.maximum(-step, 0)
    size = np.array(block.shape) - np.abs(step)
    if (size <= 0).any():
        return 0, 0
    slices = max(1, _AT_ONCE // int(size[1] * size[2]))
    parts = range(0, int(size[0]), slices)
    crossings = sum(_crossings(block[z : z + slices + int(step[0])], start, step) for z in parts)
    return int(size.prod()), crossings


def _crossings(block: NDArray[np.bool_], start: NDArray[np.int64], step: NDArray[np.int64]) -> int:
    """Of all pairs in a few slices, which lie in the processor's cache."""
    size = np.array(block.shape) - np.abs(step)

    def at(offset: NDArray[np.int64]) -> NDArray[np.bool_]:
        return block[tuple(slice(low, low + n) for low, n in zip(start + offset, size, strict=True))]

    first, last = at(np.zeros(3, np.int64)), at(step)
    differs = first != last
    differing = int(np.count_nonzero(differs))
    along = np.where(np.abs(step) > 1, step, 0)
    number = int(np.abs(along).max())
    if number < 2:
        return differing  # no voxel lies between
    leaps = np.zeros(first.shape, np.bool_)
    for part in range(1, number):
        offset = np.rint(along * part / number).astype(np.int64)
        leaps |= (at(offset) != first) & (at(offset + step - along) != first)
    return differing + 2 * int(np.count_nonzero(leaps & ~differs))
