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
FURTHEST = 2.3  # longest edges: the longest step
FURTHEST_VOXELS = 6  # along one axis
ERROR = 0.04  # of the area of a plane, whatever its direction, where the steps allow it
MEAN_ERROR = 0.003  # over all directions
_NORMALS = 1000


def wall_steps(edges: Edges, shape: tuple[int, int, int] | None = None) -> tuple[Steps, NDArray[np.float64]]:
    """Steps `[S, 3]` along z, y, x, in voxels, and weights: the sum of weights times crossings is the area per volume.

    A crossing is the share of pairs of voxels a step apart of which one is pore; of planes with the unit normal n it is
    |n . s| times their area per volume for a step s. So the weights w must bring the sum of w |n . s| near to 1 for all
    n: the formula of Cauchy and Crofton for few directions (Ohser and Muecklich (2000), chapter 4), with weights that
    keep its error below `ERROR`, and among those the ones of the shortest steps, since a step may leap over a thin
    pore. The usual weights, by Voronoi cells on the sphere, leave 14 to 28 % in voxels of 5 : 1, whose neighbours lie
    in few directions.

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
    from scipy.optimize import linprog

    families = _families(edges, most)
    normals = _normals()
    rates = np.stack([np.abs(normals @ (family * edges).T).sum(axis=1) for family in families], axis=1)
    mean = rates[:_NORMALS].mean(axis=0)
    bounds = np.concatenate([rates, -rates, mean[None], -mean[None]])
    right = np.concatenate([np.ones(len(rates)), -np.ones(len(rates)), [1.0, -1.0]])
    slack = np.concatenate([np.ones(2 * len(rates)), np.zeros(2)])
    mean_slack = MEAN_ERROR * (1 - slack)
    least = linprog(
        np.eye(len(families) + 1)[-1], A_ub=np.column_stack([bounds, -slack]), b_ub=right + mean_slack, method="highs"
    ).x[-1]
    cost = [np.square(family * edges).sum() for family in families]
    limits = right + mean_slack + slack * max(1.001 * least, ERROR)
    weights = linprog(cost, A_ub=bounds, b_ub=limits, method="highs").x
    used = [(family, w) for family, w in zip(families, weights, strict=True) if w > 1e-9]
    return np.concatenate([f for f, _ in used]), np.concatenate([np.full(len(f), w) for f, w in used])


def _families(edges: tuple[float, ...], most: tuple[int, ...]) -> list[Steps]:
    """Steps to all neighbours, and others that are not too long and no multiples; those that mirrors join together."""
    reach = [min(max(int(FURTHEST / edge), 1), n) for edge, n in zip(edges, most, strict=True)]
    families: dict[tuple[tuple[float, int, int], ...], list[tuple[int, ...]]] = {}
    for step in itertools.product(*(range(-n, n + 1) for n in reach)):
        place = tuple(map(abs, step))
        near = max(place) <= 1 or np.linalg.norm(np.array(step) * edges) <= FURTHEST
        if step > (0, 0, 0) and np.gcd.reduce(place) == 1 and near:
            families.setdefault(tuple(sorted(zip(edges, reach, place, strict=True))), []).append(step)
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
    """Pairs of voxels `[Z, Y, X]` a step apart, and those that differ; not those within the first `old` slices."""
    along_z = int(step[0])
    block = block[max(old - along_z, 0) :]
    here = tuple(slice(max(-int(s), 0), n - max(int(s), 0)) for s, n in zip(step, block.shape, strict=True))
    there = tuple(slice(max(int(s), 0), n - max(-int(s), 0)) for s, n in zip(step, block.shape, strict=True))
    if min(n - abs(int(s)) for s, n in zip(step, block.shape, strict=True)) <= 0:
        return 0, 0
    return block[here].size, int(np.count_nonzero(block[here] != block[there]))
