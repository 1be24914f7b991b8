"""Grains as convex polyhedra: how they are made, placed, and cut by a slice. All lengths are in nanometres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.phantom import phases

Floats = NDArray[np.float32]
Vectors = NDArray[np.float64]  # the last axis is z, y, x

FAR_NM = -1e4  # depth where no grain is near


@dataclass(frozen=True)
class Grain:
    """A convex polyhedron: the points p within `radius` of the centre with `normals @ (p - centre) <= offsets`."""

    phase: int
    centre: Vectors  # [3]
    radius: float
    normals: Vectors  # [faces, 3]
    offsets: Vectors  # [faces]


@dataclass(frozen=True)
class Framboid:
    """A ball of pyrite microcrystals."""

    centre: Vectors
    radius: float
    crystals: tuple[Grain, ...]


def random_rotation(rng: np.random.Generator) -> Vectors:
    """A rotation matrix `[3, 3]`, uniform over all rotations (QR of a Gaussian matrix)."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q *= np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return np.asarray(q)


def angular_faces(rng: np.random.Generator, radius: float) -> tuple[Vectors, Vectors]:
    """Faces of a detrital grain: random cuts of a ball, longer along the bedding (x and z) than across it."""
    count = int(rng.integers(8, 14))
    normals = rng.standard_normal((count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    stretch = np.array([1.0, rng.uniform(0.6, 0.9), 1.0])
    offsets = radius * rng.uniform(0.55, 0.95, count)
    # Scaling space by `stretch` turns a plane n.p <= d into (n / stretch).p <= d, to be normalised again.
    normals = normals / stretch
    lengths = np.linalg.norm(normals, axis=1)
    return normals / lengths[:, None], offsets / lengths


def rhomb_faces(rng: np.random.Generator, radius: float) -> tuple[Vectors, Vectors]:
    """Faces of a calcite cleavage rhomb, its corners worn by a few random cuts."""
    # The poles of calcite's three cleavages, {104}, each stand 44.6 degrees from the threefold axis.
    azimuth = np.deg2rad([0.0, 120.0, 240.0])
    tilt = np.deg2rad(44.6)
    poles = np.stack([np.full(3, np.cos(tilt)), np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth)], axis=1)
    poles = poles @ random_rotation(rng).T
    worn = rng.standard_normal((5, 3))
    worn /= np.linalg.norm(worn, axis=1, keepdims=True)
    half = radius * rng.uniform(0.4, 0.65, 3)
    offsets = np.concatenate([half, half, radius * rng.uniform(0.6, 0.95, 5)])
    return np.concatenate([poles, -poles, worn]), offsets


def crystal_faces(rng: np.random.Generator, radius: float) -> tuple[Vectors, Vectors]:
    """Faces of a pyrite crystal: a cube with corners cut by an octahedron."""
    cube = np.concatenate([np.eye(3), -np.eye(3)])
    octahedron = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) / np.sqrt(3.0)
    normals = np.concatenate([cube, octahedron]) @ random_rotation(rng).T
    return normals, np.concatenate([np.full(6, 0.78 * radius), np.full(8, 0.8 * radius)])


FACES = {phases.QUARTZ: angular_faces, phases.CARBONATE: rhomb_faces, phases.PYRITE: crystal_faces}


def make_grain(rng: np.random.Generator, phase: int, centre: Vectors, radius: float) -> Grain:
    """A grain of `phase` with random faces and orientation."""
    return Grain(phase, centre, radius, *FACES[phase](rng, radius))


def solid_share(rng: np.random.Generator, grain: Grain, points: int = 256) -> float:
    """Share of the grain's bounding ball that the grain fills, by sampling."""
    directions = rng.standard_normal((points, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    inside = directions * (grain.radius * rng.uniform(0.0, 1.0, (points, 1)) ** (1.0 / 3.0))
    return float(np.mean(np.all(inside @ grain.normals.T <= grain.offsets, axis=1)))


def make_framboid(rng: np.random.Generator, centre: Vectors, radius: float, crystal_radius: float) -> Framboid:
    """A ball packed with equal microcrystals on a randomly displaced close-packed lattice, each with its own
    rotation.
    """
    spacing = 1.64 * crystal_radius
    basis = spacing * np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]) / np.sqrt(2.0)
    reach = int(np.ceil(1.6 * radius / spacing)) + 1
    steps = np.arange(-reach, reach + 1)
    index = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = (index @ basis) @ random_rotation(rng).T
    sites += rng.normal(0.0, 0.09 * crystal_radius, sites.shape)
    sites = sites[np.linalg.norm(sites, axis=1) <= radius - 0.55 * crystal_radius]
    crystals = tuple(
        make_grain(rng, phases.PYRITE, centre + site, crystal_radius * rng.uniform(0.85, 1.05)) for site in sites
    )
    return Framboid(centre, radius, crystals)


class GrainSections:
    """Grains ready to be cut: `cut(z)` gives, for one slice, the depth below the surface of the nearest grain."""

    def __init__(self, grains: list[Grain], shape: tuple[int, int, int], voxel_size_nm: tuple[float, ...]) -> None:
        self.grains = grains
        self.shape = shape
        self.voxel_size_nm = voxel_size_nm
        self.at_slice: list[list[Grain]] = [[] for _ in range(shape[0])]
        for grain in grains:
            first = max(int(np.ceil((grain.centre[0] - grain.radius) / voxel_size_nm[0])), 0)
            last = min(int(np.floor((grain.centre[0] + grain.radius) / voxel_size_nm[0])), shape[0] - 1)
            for z in range(first, last + 1):
                self.at_slice[z].append(grain)

    def cut(self, z: int, halo_nm: float) -> tuple[Floats, Floats, NDArray[np.uint8]]:
        """Depths and phase at slice `z`.

        Returns the depth in nm below the surface of the deepest grain (negative outside, down to about `-halo_nm`),
        the same for the second deepest, both `[Y, X]`, and the deepest grain's phase `[Y, X]`.
        """
        best = np.full(self.shape[1:], FAR_NM, dtype=np.float32)
        second = best.copy()
        phase = np.full(self.shape[1:], phases.CLAY, dtype=np.uint8)
        for grain in self.at_slice[z]:
            self._paint(grain, z, halo_nm, best, second, phase)
        return best, second, phase

    def _paint(
        self, grain: Grain, z: int, halo_nm: float, best: Floats, second: Floats, phase: NDArray[np.uint8]
    ) -> None:
        reach = grain.radius + halo_nm
        window, offsets = [], []
        for axis in (1, 2):
            step = self.voxel_size_nm[axis]
            first = max(int((grain.centre[axis] - reach) / step), 0)
            last = min(int((grain.centre[axis] + reach) / step) + 1, self.shape[axis])
            if last <= first:
                return
            window.append(slice(first, last))
            offsets.append((np.arange(first, last) * step - grain.centre[axis]).astype(np.float32))
        normals = grain.normals.astype(np.float32)
        level = normals[:, 0] * np.float32(z * self.voxel_size_nm[0] - grain.centre[0]) - grain.offsets
        rows = normals[:, 1, None] * offsets[0] + level.astype(np.float32)[:, None]
        columns = normals[:, 2, None] * offsets[1]
        across = np.float32((z * self.voxel_size_nm[0] - grain.centre[0]) ** 2) + offsets[0] ** 2
        ball = np.float32(grain.radius) - np.sqrt(across[:, None] + offsets[1] ** 2)
        depth = np.minimum(ball, -(rows[:, :, None] + columns[:, None, :]).max(axis=0))
        here = (window[0], window[1])
        nearest = best[here]
        np.copyto(phase[here], np.uint8(grain.phase), where=depth > nearest)
        second[here] = np.maximum(second[here], np.minimum(nearest, depth))
        np.maximum(nearest, depth, out=nearest)


def box_share(centre: Vectors, radius: float, size_nm: Vectors) -> float:
    """About the share of a ball's volume that lies within the box from 0 to `size_nm`."""
    overlap = np.minimum(centre + radius, size_nm) - np.maximum(centre - radius, 0.0)
    return float(np.prod(np.clip(overlap, 0.0, None) / (2.0 * radius)))


def as_generator(*seed: Any) -> np.random.Generator:
    """A generator for one named purpose: whole numbers, and words turned into numbers."""
    return np.random.default_rng([int.from_bytes(s.encode(), "big") if isinstance(s, str) else int(s) for s in seed])
