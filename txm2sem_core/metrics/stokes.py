"""Stokes flow in a box by fast transforms, and the faces of voxels at a wall; used by `permeability`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft


@dataclass(frozen=True)
class WallFaces:
    """Faces of one velocity component on which a wall acts.

    Attributes:
        index: flat positions in the component's grid.
        compliance: 0 where the velocity must vanish; elsewhere velocity per force of the wall half a voxel beside.
    """

    index: NDArray[np.int64]
    compliance: NDArray[np.float64]


class StokesBox:
    """Velocities that forces cause in a box without solid, at viscosity 1, besides the mean flow.

    Component `a` lies on the faces across axis `a`. On the two end planes of the flow's axis the tangential velocities
    and the pressure are zero; the sides are planes of symmetry. All are diagonal in sines and cosines: along its own
    axis the flow's component is a DCT-I, the others a DST-I of the inner faces; along the other axes components are
    DCT-II, or DST-II along the flow's axis.
    """

    def __init__(self, shape: Sequence[int], axis: int, size: NDArray[np.float64]) -> None:
        self.shape, self.axis = tuple(shape), axis
        self._workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        # of every wave number 0..N of each axis: the gradient's symbol, negative along sides
        self._gradient = []
        for a, n in enumerate(self.shape):
            symbol = 2 * np.sin(np.pi * np.arange(n + 1) / (2 * n)) / size[a]
            along = [1, 1, 1]
            along[a] = n + 1
            self._gradient.append((symbol if a == axis else -symbol).astype(np.float32).reshape(along))

    def grid(self, component: int) -> tuple[int, ...]:
        """Shape of a component's grid; sides have only inner faces, since none flows through them."""
        extra = 1 if component == self.axis else -1
        return tuple(n + extra if a == component else n for a, n in enumerate(self.shape))

    def weights(self, component: int, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """1, or 1/2 for faces on the end planes, which belong half to the mirror image."""
        if component != self.axis:
            return np.ones(index.size)
        place = np.unravel_index(index, self.grid(component))[component]
        return np.where((place == 0) | (place == self.shape[component]), 0.5, 1.0)

    def _modes(self, component: int) -> tuple[slice, ...]:
        """The wave numbers, of 0..N along each axis, that a component has."""
        chosen = []
        for a, n in enumerate(self.shape):
            if a == component:
                chosen.append(slice(0, n + 1) if a == self.axis else slice(1, n))
            else:
                chosen.append(slice(1, n + 1) if a == self.axis else slice(0, n))
        return tuple(chosen)

    def _transform(self, values: NDArray[np.float32], component: int, *, inverse: bool) -> NDArray[np.float32]:
        for a in range(3):
            kind = 1 if a == component else 2
            even = (a == component) == (a == self.axis)
            functions = (fft.idct, fft.idst) if inverse else (fft.dct, fft.dst)
            values = functions[0 if even else 1](values, kind, axis=a, overwrite_x=True, workers=self._workers)
        return values

    def velocities(self, forces: NDArray[np.float32], indices: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Velocities at faces of the forces at the same faces, both one component after the other; mean flow 0."""
        ends = np.cumsum([index.size for index in indices])[:-1]
        spectra = []
        for component, part in enumerate(np.split(forces, ends)):
            field = np.zeros(self.grid(component), np.float32)
            field.reshape(-1)[indices[component]] = part
            spectra.append(self._transform(field, component, inverse=False))
        self._solve(spectra)
        found = []
        for component in range(3):
            field = self._transform(spectra[component], component, inverse=True)
            spectra[component] = np.empty(0, np.float32)
            found.append(field.reshape(-1)[indices[component]])
        return np.concatenate(found)

    def _solve(self, spectra: list[NDArray[np.float32]]) -> None:
        """In place: forces to velocities, u = (f - g (g.f) / |g|^2) / |g|^2, slab by slab of wave numbers along z."""
        modes = [self._modes(component) for component in range(3)]
        for k in range(self.shape[0] + 1):
            gradient = [self._gradient[0][k : k + 1], self._gradient[1], self._gradient[2]]
            square = gradient[0] ** 2 + gradient[1] ** 2 + gradient[2] ** 2
            if k == 0:
                square[0, 0, 0] = np.inf
            along = np.zeros_like(square)
            parts = {}
            for c in range(3):
                first = modes[c][0].start
                if first <= k < modes[c][0].stop:
                    parts[c] = spectra[c][k - first : k - first + 1], (slice(None), *modes[c][1:])
                    values, place = parts[c]
                    along[place] += np.broadcast_to(gradient[c], square.shape)[place] * values
            along /= square
            for c, (values, place) in parts.items():
                values -= np.broadcast_to(gradient[c], square.shape)[place] * along[place]
                values /= square[place]


def wall_faces(pore: NDArray[np.bool_], axis: int, size: NDArray[np.float64]) -> list[WallFaces]:
    """Faces at the wall of each component: in the wall, where velocity vanishes, and in the fluid half a voxel beside.

    A face between two pore voxels is fluid. In the solid, only faces next to fluid are needed, and those on the end
    planes, which close the solid. A wall half a voxel beside a face in fluid pulls at it by `(1 + b) / h^2` times its
    velocity; `b = 1` is the usual mirrored value, whose error of a slit's flow is `2 / n^2` for `n` voxels between the
    walls. Here `b = (3n + 2) / (3n - 2)`, with which the flow through a slit of any whole width is exact.
    """
    found = []
    for component in range(3):
        before, after = _beside(pore, component, axis)
        fluid = before & after
        solid_next = (before | after) & ~fluid
        if component == axis:
            ends = np.zeros_like(fluid)
            for end in (0, -1):
                ends[(slice(None),) * axis + (end,)] = True
            solid_next |= ends & ~fluid
        pull = np.zeros(fluid.shape, np.float64)
        for other in range(3):
            near = _shifted(fluid, other, 1) | _shifted(fluid, other, -1)
            solid_next |= near & ~fluid
            if other != component:
                pull += _pull(fluid, other) / size[other] ** 2
        fixed = np.flatnonzero(solid_next)
        pulled = np.flatnonzero((pull > 0) & fluid)
        index = np.concatenate([fixed, pulled])
        compliance = np.concatenate([np.zeros(fixed.size), 1 / pull.reshape(-1)[pulled]])
        order = np.argsort(index, kind="stable")
        found.append(WallFaces(index[order], compliance[order]))
    return found


def _beside(pore: NDArray[np.bool_], component: int, axis: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the voxel before and the voxel after each face of a component is pore."""
    if component == axis:
        wide = np.pad(pore, [(1, 1) if a == component else (0, 0) for a in range(3)], mode="edge")
    else:
        wide = pore
    whole = (slice(None),) * component
    return wide[(*whole, slice(None, -1))], wide[(*whole, slice(1, None))]


def _shifted(values: NDArray[np.bool_], axis: int, step: int) -> NDArray[np.bool_]:
    """The neighbour's value a step along the axis, False beyond the box."""
    moved = np.zeros_like(values)
    whole = (slice(None),) * axis
    to, of = (slice(1, None), slice(None, -1)) if step > 0 else (slice(None, -1), slice(1, None))
    moved[(*whole, to)] = values[(*whole, of)]
    return moved


def _pull(fluid: NDArray[np.bool_], axis: int) -> NDArray[np.float64]:
    """What the walls along one axis add to a face's own coefficient, beside the 1 of a vanishing neighbour."""
    lines = np.moveaxis(fluid, axis, -1)
    length = lines.shape[-1]
    flat = lines.reshape(-1, length)
    edges = np.diff(np.pad(flat, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    # a run that meets an end goes on in the mirror image
    walls_low, walls_high = start > 0, stop < length
    width = (stop - start) * np.where(walls_low & walls_high, 1.0, 2.0)
    excess = (3 * width + 2) / (3 * width - 2)
    pull = np.zeros(flat.shape)
    np.add.at(pull, (row[walls_low], start[walls_low]), excess[walls_low])
    np.add.at(pull, (row[walls_high], stop[walls_high] - 1), excess[walls_high])
    return np.moveaxis(pull.reshape(lines.shape), -1, axis)
