"""All metrics of the pores of a volume, computed slice by slice."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.gaps import Gaps, tried
from txm2sem_core.metrics.pores.diffusivity import Diffusivity, diffusivity
from txm2sem_core.metrics.pores.geometry import pore_diameters
from txm2sem_core.metrics.pores.permeability import nanodarcy, solve_permeability
from txm2sem_core.metrics.pores.phases import Segmenter, phase_fractions
from txm2sem_core.metrics.pores.streaming import PoreMeter, PoreShape
from txm2sem_core.metrics.pores.two_point import AXES

Figures = dict[str, float]
Edges = tuple[float, float, float]
LONGEST_LAG_PX = 64
PORES = "pores"
COLUMNS = ["what", "axis", "x_nm", "value"]


def rock_figures(
    slices: Iterable[NDArray[np.generic]],
    shape: tuple[int, int, int],
    voxel_size_nm: Sequence[float] | None,
    segmenter: Segmenter,
    *,
    cube_px: int = 128,
    flow: bool = False,
    gaps: Gaps | None = None,
) -> tuple[Figures, pd.DataFrame]:
    """Figures of the pores (phase 0, the darkest) of a volume, and their distributions.

    Slices are segmented as they come, and forgotten: what is held is given by `PoreMeter`, beside the block from the
    middle for pore sizes and flow, at one byte a voxel; for what those need see `thickness_classes` (about 36 bytes a
    voxel of the block) and `solve_permeability` (about 1.2 kB a connected pore voxel of it).

    Args:
        slices: `[Y, X]` grey levels, in the order of z.
        shape: of the volume, Z, Y, X.
        voxel_size_nm: z, y, x; None leaves out all that has a unit.
        segmenter: separates the phases.
        cube_px: voxels along each side of the block; 0 for the whole volume, which is then held.
        flow: whether diffusivity and permeability are solved.
        gaps: collects the metrics that fail, which are left out; without it their failure is raised.

    Returns:
        Figures with units in their names (see results/README.md), NaN where there is no such thing or the solver did
        not come to it, of which a warning tells; and a table `what` (`two_point`, `chord`, `pore_diameter`), `axis`,
        `x_nm`, `value`.

    Raises:
        InputError: grey levels that are not finite, or other slices than `shape` says.
    """
    meter = PoreMeter(LONGEST_LAG_PX, voxel_size_nm, slices=shape[0])
    counts, block = np.zeros(segmenter.phases), []
    z, y, x = middle(shape, cube_px)
    number, pores_go_on = -1, True
    for number, plane in enumerate(slices):
        if plane.shape != shape[1:]:
            raise InputError(f"slice {number} has shape {plane.shape}, but those of the volume are {shape[1:]}")
        labels = segmenter(plane)
        counts += phase_fractions(labels, counts.size)
        pore = labels == 0
        pores_go_on = pores_go_on and tried(gaps, PORES, partial(meter.add, pore))
        if voxel_size_nm is not None and z.start <= number < z.stop:
            block.append(pore[y, x].copy())
    if number + 1 != shape[0]:
        raise InputError(f"{number + 1} slices came of a volume of {shape[0]}")
    figures: Figures = {f"fraction_{phase}": float(count / shape[0]) for phase, count in enumerate(counts)}
    figures["porosity"] = figures["fraction_0"]
    edges = None if voxel_size_nm is None else _edges(voxel_size_nm)
    tables = [pd.DataFrame(columns=COLUMNS)]
    if pores_go_on:
        tried(gaps, PORES, lambda: _add_shape(meter.result(), edges, figures, tables))
    if edges is not None:
        _add_block(np.stack(block), edges, flow, figures, tables, gaps)
    full = [table for table in tables if len(table)]
    return figures, pd.concat(full, ignore_index=True) if full else tables[0]


def _edges(voxel_size_nm: Sequence[float]) -> Edges:
    z_nm, y_nm, x_nm = (float(edge) for edge in voxel_size_nm)
    return z_nm, y_nm, x_nm


def middle(shape: Sequence[int], cube_px: int) -> tuple[slice, slice, slice]:
    """A block of at most `cube_px` voxels a side from the middle of a volume; all of it for 0."""
    z, y, x = (slice(0, n) if not cube_px or n <= cube_px else _centred(n, cube_px) for n in shape)
    return z, y, x


def _centred(length: int, part: int) -> slice:
    start = (length - part) // 2
    return slice(start, start + part)


def _add_shape(found: PoreShape, edges: Edges | None, figures: Figures, tables: list[pd.DataFrame]) -> None:
    """What the pores of all slices are, in figures and tables: all of it or, where it fails, nothing."""
    shares = {f"porosity_connected_{axis}": share for axis, share in zip(AXES, found.connected, strict=True)}
    own, table = ({}, tables[0]) if edges is None else _shape_figures(found, edges)
    figures |= {"porosity": found.porosity, **shares, **own}
    tables.append(table)


def _shape_figures(found: PoreShape, edges: Edges) -> tuple[Figures, pd.DataFrame]:
    figures: Figures = {"specific_surface_per_um": found.specific_surface * 1e-6}
    figures["euler_per_um3"] = found.euler_per_voxel / (math.prod(edges) * 1e-9)
    tables = []
    for name, edge, values in zip(AXES, edges, found.two_point, strict=True):
        tables.append(_table("two_point", name, np.arange(values.size) * edge, values).dropna())
    for name, edge, mean, chords in zip(AXES, edges, found.mean_chords, found.chords, strict=True):
        figures[f"mean_chord_{name}_nm"] = mean * edge
        shares = chords.shares()
        seen = np.flatnonzero(shares)
        tables.append(_table("chord", name, seen * edge, shares[seen]))
    return figures, pd.concat(tables, ignore_index=True)


def _add_block(
    block: NDArray[np.bool_],
    edges: Edges,
    flow: bool,
    figures: Figures,
    tables: list[pd.DataFrame],
    gaps: Gaps | None,
) -> None:
    """What the pores of the block are and let through, measure by measure."""
    figures |= {f"block_{name}_px": float(n) for name, n in zip(AXES, block.shape, strict=True)}
    figures["block_porosity"] = float(block.mean())
    tried(gaps, "pore sizes", lambda: _add_sizes(block, edges, figures, tables))
    for axis, name in enumerate(AXES if flow else ()):
        tried(gaps, f"diffusivity {name}", partial(_add_diffusivity, block, edges, axis, figures, gaps))
        tried(gaps, f"permeability {name}", partial(_add_permeability, block, edges, axis, figures, gaps))


def _add_sizes(block: NDArray[np.bool_], edges: Edges, figures: Figures, tables: list[pd.DataFrame]) -> None:
    diameters, shares = (np.empty(0), np.empty(0)) if block.all() else pore_diameters(block, edges)
    half = np.searchsorted(np.cumsum(shares), 0.5)
    figures["pore_diameter_nm_median"] = float(diameters[half]) if diameters.size else math.nan
    tables.append(_table("pore_diameter", "", diameters, shares))


def _add_diffusivity(block: NDArray[np.bool_], edges: Edges, axis: int, figures: Figures, gaps: Gaps | None) -> None:
    diffusion, name = _diffusivity(block, edges, axis, gaps), AXES[axis]
    figures[f"diffusivity_{name}_relative"] = diffusion.relative
    figures[f"tortuosity_{name}"] = diffusion.tortuosity
    figures[f"formation_factor_{name}"] = diffusion.formation_factor


def _add_permeability(block: NDArray[np.bool_], edges: Edges, axis: int, figures: Figures, gaps: Gaps | None) -> None:
    k, name = _permeability(block, edges, axis, gaps), AXES[axis]
    figures[f"permeability_{name}_m2"] = k
    figures[f"permeability_{name}_nd"] = nanodarcy(k)


def _permeability(block: NDArray[np.bool_], edges: Edges, axis: int, gaps: Gaps | None) -> float:
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


def _diffusivity(block: NDArray[np.bool_], edges: Edges, axis: int, gaps: Gaps | None) -> Diffusivity:
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


def _table(what: str, axis: str, x_nm: NDArray[np.generic], values: NDArray[np.generic]) -> pd.DataFrame:
    return pd.DataFrame({"what": what, "axis": axis, "x_nm": np.asarray(x_nm, float), "value": values})
