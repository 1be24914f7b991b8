"""Shape of a pore space: surface, Euler number, chords and pore sizes of boolean volumes `[Z, Y, X]`, True in pores."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import SphericalVoronoi
from skimage import measure

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.connectivity import check_pore, voxel_size_zyx

MOST_UNEVEN = 1e4  # edges of a voxel whose ratio is beyond it are a mistake, and leave directions that coincide
SLAB = 32  # slices that are looked at together


def specific_surface(pore: NDArray[np.bool_], voxel_size_nm: float | Sequence[float]) -> float:
    """Area of the pores' wall per volume, in 1/m, by the Cauchy-Crofton formula along 13 directions.

    Twice the mean number of crossings per length of line; directions are weighted by their share of the sphere (Ohser
    and Muecklich, Statistical Analysis of Microstructures in Materials Science (2000), chapter 4). The faces of the
    volume are no wall. Reads two slices at a time.

    Raises:
        InputError: not a boolean volume with two voxels along each axis, or no voxel size.
    """
    check_pore(pore)
    if min(pore.shape) < 2:
        raise InputError(f"a surface needs two voxels along each axis, not {pore.shape}")
    lengths, shares = line_shares(voxel_size_zyx(voxel_size_nm))
    differing = np.array([_differing(pore, step) for step in steps_of_lines()])
    return float(2 * (2 * shares * differing / lengths).sum())


def steps_of_lines() -> NDArray[np.int64]:
    """The 13 directions `[13, 3]` of lines through neighbouring voxels, as steps along z, y, x."""
    return np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if step > (0, 0, 0)])


def line_shares(voxel_size_nm: tuple[float, float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Length in metres of a step along each of `steps_of_lines`, and the share of the sphere nearest to it.

    NaN where the voxel's edges are too uneven.
    """
    steps = steps_of_lines()
    both = np.concatenate([steps, -steps]) * np.array(voxel_size_nm) * 1e-9
    lengths = np.linalg.norm(both, axis=1)
    if max(voxel_size_nm) > MOST_UNEVEN * min(voxel_size_nm):
        return lengths[: len(steps)], np.full(len(steps), np.nan)
    shares = SphericalVoronoi(both / lengths[:, None]).calculate_areas() / (4 * math.pi)
    return lengths[: len(steps)], shares[: len(steps)]


def _differing(pore: NDArray[np.bool_], step: NDArray[np.int64]) -> float:
    """Share of the pairs of voxels a step apart of which one is pore."""
    here = tuple(slice(max(-int(s), 0), n - max(int(s), 0)) for s, n in zip(step, pore.shape, strict=True))
    there = tuple(slice(max(int(s), 0), n - max(-int(s), 0)) for s, n in zip(step, pore.shape, strict=True))
    first, second = pore[here], pore[there]
    different = sum(int(np.count_nonzero(a != b)) for a, b in zip(first, second, strict=True))
    return different / first.size


def euler_number(pore: NDArray[np.bool_]) -> int:
    """Euler number of the pores, 6-connected: components minus tunnels plus enclosed grains.

    By scikit-image on slabs that share a slice; the slices are subtracted (inclusion and exclusion), which is exact.

    Raises:
        InputError: not a boolean volume.
    """
    check_pore(pore)
    total = 0
    for start in range(0, max(pore.shape[0] - 1, 1), SLAB):
        total += euler_of_block(pore[start : start + SLAB + 1])
        if start:
            total -= euler_of_block(pore[start : start + 1])
    return total


def euler_of_block(pore: NDArray[np.bool_]) -> int:
    """The same of a block, all at once."""
    return int(measure.euler_number(pore, connectivity=1))  # type: ignore[no-untyped-call]


def chord_lengths(phase: NDArray[np.bool_], axis: int) -> NDArray[np.int64]:
    """Number of chords `[n + 1]` in the phase of 0, 1, 2, ... voxels along an axis of `n` voxels.

    Torquato, Random Heterogeneous Materials (2002), section 2.5. Chords that meet the border are cut off there and do
    not count. Reads a slab across another axis at a time.

    Raises:
        InputError: not a boolean volume with that axis.
    """
    check_pore(phase, axis)
    length = phase.shape[axis]
    counts = np.zeros(length + 1, np.int64)
    lines = np.moveaxis(phase, axis, -1)
    for slab in lines:
        edges = np.diff(slab.astype(np.int8), axis=-1, prepend=0, append=0)
        start, stop = np.nonzero(edges == 1)[-1], np.nonzero(edges == -1)[-1]
        inside = (start > 0) & (stop < length)
        counts += np.bincount((stop - start)[inside], minlength=length + 1)
    return counts


def mean_chord(counts: NDArray[np.int64]) -> float:
    """Mean chord in voxels of `chord_lengths`; NaN without chords."""
    total = int(counts.sum())
    return float(counts @ np.arange(counts.size)) / total if total else math.nan


def pore_diameters(
    pore: NDArray[np.bool_], voxel_size_nm: float | Sequence[float], sizes: int = 24
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distribution of the local thickness: the diameter of the largest ball in the pores that covers each voxel.

    Hildebrand and Rueegsegger, J. Microsc. 185 (1997) 67-75. Radii are distances from a voxel's centre to the nearest
    centre in the solid, less half of the shortest edge. Memory: about 52 bytes a voxel; time: one
    distance transform a size.

    Returns:
        Diameters in nm, ascending (`sizes` or fewer, evenly spaced up to the largest), and the share of the pores'
        volume whose diameter is each of them, rounded down; empty without pores.

    Raises:
        InputError: not a boolean volume, or no solid in it.
    """
    check_pore(pore)
    edges = voxel_size_zyx(voxel_size_nm)
    if pore.all():
        raise InputError("all voxels are pore, so that pores have no size")
    count = int(np.count_nonzero(pore))
    if not count:
        return np.empty(0), np.empty(0)
    distance = ndimage.distance_transform_edt(pore, sampling=edges)
    half = min(edges) / 2
    levels = np.linspace(float(distance[pore].min()), float(distance.max()), sizes)
    levels = np.unique(np.append(levels[:-1], distance.max()))
    covered = np.zeros_like(pore)
    shares = np.zeros(levels.size)
    for number in reversed(range(levels.size)):
        radius = levels[number]
        # balls of voxels of a smaller radius need not cover those of a larger one, so the largest come first
        near = ndimage.distance_transform_edt(distance < radius, sampling=edges) < radius
        newly = near & pore & ~covered
        shares[number] = np.count_nonzero(newly) / count
        covered |= newly
    return 2 * (levels - half), shares
