"""Pore sizes and flow in blocks spread over a volume, since the whole of it would take too long."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.geometry import centred
from txm2sem_core.metrics.gaps import Gaps, tried
from txm2sem_core.metrics.pores.diffusivity import Diffusivity, diffusivity
from txm2sem_core.metrics.pores.geometry import pore_diameters
from txm2sem_core.metrics.pores.permeability import nanodarcy, solve_permeability
from txm2sem_core.metrics.pores.two_point import AXES

Block = NDArray[np.bool_]
Edges = tuple[float, float, float]
Place = tuple[slice, slice, slice]
POROSITY, DIAMETER = "block_porosity", "pore_diameter_nm_median"


def middle(shape: Sequence[int], cube_px: int) -> Place:
    """A block of at most `cube_px` voxels a side from the middle of a volume; all of it for 0."""
    z, y, x = (centred(n, cube_px or n) for n in shape)
    return z, y, x


def places_of(shape: Sequence[int], cube_px: int, most: int) -> list[Place]:
    """Blocks of `cube_px` voxels a side that do not overlap, at most so many, in a grid spread evenly over the volume.

    One lies in the middle; a cube of 0 is the whole volume. Sorted by z.
    """
    sides = [min(cube_px or n, n) for n in shape]
    counts = [n // side for n, side in zip(shape, sides, strict=True)]
    while math.prod(counts) > max(most, 1):
        counts[counts.index(max(counts))] -= 1
    along = [
        [(n * (2 * k + 1) - side * count) // (2 * count) for k in range(count)]
        for n, side, count in zip(shape, sides, counts, strict=True)
    ]
    return [
        (slice(z, z + sides[0]), slice(y, y + sides[1]), slice(x, x + sides[2]))
        for z, y, x in itertools.product(*along)
    ]


class SampledBlocks:
    """Measures blocks of a volume from its slices `[Y, X]`, True in the pores.

    Held are the blocks that lie side by side, at one byte a voxel, and while one is measured what its solvers need.
    """

    def __init__(
        self, places: Sequence[Place], edges: Edges, axes: Sequence[str] = (), gaps: Gaps | None = None
    ) -> None:
        self._places, self._edges, self._axes, self._gaps = list(places), edges, axes, gaps
        self._planes: dict[int, list[NDArray[np.bool_]]] = {}
        self._slices = 0
        self.values: dict[str, list[float]] = {}
        self._sizes: list[tuple[NDArray[np.float64], NDArray[np.float64], int]] = []

    def add(self, pore: NDArray[np.bool_]) -> None:
        """Take the next slice."""
        for number, (z, y, x) in enumerate(self._places):
            if z.start <= self._slices < z.stop:
                self._planes.setdefault(number, []).append(pore[y, x].copy())
                if self._slices == z.stop - 1:
                    self._measure(np.stack(self._planes.pop(number)))
        self._slices += 1

    def add_all(self, pores: Sequence[NDArray[np.bool_]]) -> None:
        """Take the next slices."""
        for pore in pores:
            self.add(pore)

    def _measure(self, block: Block) -> None:
        self._add(POROSITY, float(block.mean()))
        tried(self._gaps, "pore sizes", partial(self._add_sizes, block))
        for axis, name in ((axis, name) for axis, name in enumerate(AXES) if name in self._axes):
            tried(self._gaps, f"diffusivity {name}", partial(self._add_diffusivity, block, axis))
            tried(self._gaps, f"permeability {name}", partial(self._add_permeability, block, axis))

    def _add(self, metric: str, value: float) -> None:
        self.values.setdefault(metric, []).append(value)

    def _add_sizes(self, block: Block) -> None:
        diameters, shares = (np.empty(0), np.empty(0)) if block.all() else pore_diameters(block, self._edges)
        self._add(DIAMETER, _median(diameters, shares))
        self._sizes.append((diameters, shares, int(np.count_nonzero(block))))

    def _add_diffusivity(self, block: Block, axis: int) -> None:
        self._add(f"diffusivity_{AXES[axis]}_relative", _diffusivity(block, self._edges, axis, self._gaps).relative)

    def _add_permeability(self, block: Block, axis: int) -> None:
        self._add(f"permeability_{AXES[axis]}_m2", _permeability(block, self._edges, axis, self._gaps))

    def metrics(self) -> dict[str, float]:
        """Of all blocks: means, and the median size of their pores together; NaN where no block has a value.

        Tortuosity and formation factor are of the mean diffusivity.
        """
        first = self._places[0]
        found = {f"block_{name}_px": float(own.stop - own.start) for name, own in zip(AXES, first, strict=True)}
        found["blocks"] = float(len(self._places))
        for metric, values in self.values.items():
            found[metric] = float(np.mean(known)) if (known := [v for v in values if not math.isnan(v)]) else math.nan
            axis = metric.split("_")[1]
            if metric.startswith("diffusivity"):
                relative = found[metric]
                found[f"tortuosity_{axis}"] = math.inf if relative == 0 else found[POROSITY] / relative
                found[f"formation_factor_{axis}"] = math.inf if relative == 0 else 1 / relative
            elif metric.startswith("permeability"):
                found[f"permeability_{axis}_nd"] = nanodarcy(found[metric])
        if DIAMETER in found:
            found[DIAMETER] = _median(*self._together())
        return found

    def table(self) -> pd.DataFrame | None:
        """Shares of the pores' volume by their diameter, of all blocks together; None where it was not measured."""
        if not self._sizes:
            return None
        diameters, shares = self._together()
        return pd.DataFrame({"what": "pore_diameter", "axis": "", "x_nm": diameters.astype(float), "value": shares})

    def _together(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        diameters = np.unique(np.concatenate([own for own, _, _ in self._sizes]))
        total = np.zeros(diameters.size)
        for own, shares, voxels in self._sizes:
            total[np.searchsorted(diameters, own)] += shares * voxels
        return diameters, total / total.sum() if total.any() else total


def _median(diameters: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    half = int(np.searchsorted(np.cumsum(shares), 0.5 * (1 - 1e-12)))
    return float(diameters[min(half, diameters.size - 1)]) if diameters.size else math.nan


def _permeability(block: Block, edges: Edges, axis: int, gaps: Gaps | None) -> float:
    """NaN where all is pore, or, with a warning, where the solver does not converge: a night's run goes on."""
    if block.all():
        return math.nan
    found = solve_permeability(block, edges, axis)
    if found.converged:
        return found.permeability_m2
    why = (
        f"not converged after {found.iterations} iterations (last change {found.change:.1e}); left empty. The best "
        f"value, an upper bound, is {found.permeability_m2:.4g} m^2."
    )
    _leave_empty(f"permeability {AXES[axis]}", f"permeability along {AXES[axis]}: {why}", gaps)
    return math.nan


def _diffusivity(block: Block, edges: Edges, axis: int, gaps: Gaps | None) -> Diffusivity:
    try:
        return diffusivity(block, edges, axis)
    except InputError as error:  # of a block that is boolean and 3D only for lack of convergence
        _leave_empty(f"diffusivity {AXES[axis]}", f"{error}; left empty.", gaps)
        return Diffusivity(math.nan, math.nan, math.nan)


def _leave_empty(measure: str, why: str, gaps: Gaps | None) -> None:
    """Tell of what a solver did not come to."""
    warnings.warn(why, stacklevel=3)
    if gaps is not None:
        gaps.reasons[measure] = why
