"""All metrics of the pores of a volume, computed slice by slice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.gaps import Gaps, tried
from txm2sem_core.metrics.pores.blocks import SampledBlocks, middle, places_of
from txm2sem_core.metrics.pores.finite_size import BlockMeter, PhaseCells, block_grids
from txm2sem_core.metrics.pores.geometry import SLAB
from txm2sem_core.metrics.pores.phases import Segmenter, phase_fractions
from txm2sem_core.metrics.pores.sizes import SIZES, sizes_of_blocks, sizes_of_sampled, sizes_of_shares
from txm2sem_core.metrics.pores.streaming import PoreMeter, PoreShape
from txm2sem_core.metrics.pores.two_point import AXES
from txm2sem_core.runtime.workers import Outcome, Task, Workers, slabs

__all__ = ["COLUMNS", "Metrics", "RockMeasures", "measure_pores", "middle", "rock_metrics"]
Metrics = dict[str, float]
Edges = tuple[float, float, float]
Meters = Sequence[PoreMeter | BlockMeter]
LONGEST_LAG_PX = 64
PORES, FINITE_SIZE = "pores", "finite size"
COLUMNS = ["what", "axis", "x_nm", "value"]


@dataclass(frozen=True)
class RockMeasures:
    """What was measured of the rock of a volume.

    Attributes:
        metrics: with units in their names (see results/README.md), NaN where there is no such thing or the solver did
            not come to it, of which a warning tells.
        distributions: `what` (`two_point`, `chord`, `pore_diameter`), `axis`, `x_nm`, `value`.
        sizes: of each metric, how it differs from block to block, and the whole volume from the rock; see `sizes`.
    """

    metrics: Metrics
    distributions: pd.DataFrame
    sizes: pd.DataFrame


def rock_metrics(
    slices: Iterable[NDArray[np.generic]],
    shape: tuple[int, int, int],
    voxel_size_nm: Sequence[float] | None,
    segmenter: Segmenter,
    *,
    cube_px: int = 128,
    blocks: int = 1,
    flow: bool = False,
    axes: Sequence[str] = AXES,
    gaps: Gaps | None = None,
) -> tuple[Metrics, pd.DataFrame]:
    """Metrics and distributions alone, see `measure_pores`."""
    found = measure_pores(
        slices, shape, voxel_size_nm, segmenter, cube_px=cube_px, blocks=blocks, axes=axes if flow else (), gaps=gaps
    )
    return found.metrics, found.distributions


def measure_pores(
    slices: Iterable[NDArray[np.generic]],
    shape: tuple[int, int, int],
    voxel_size_nm: Sequence[float] | None,
    segmenter: Segmenter,
    *,
    cube_px: int = 128,
    blocks: int = 1,
    axes: Sequence[str] = (),
    gaps: Gaps | None = None,
    workers: Workers | None = None,
) -> RockMeasures:
    """Measure the pores (phase 0, the darkest) of a volume.

    Slices are segmented slab by slab, and forgotten: held are two slabs of `SLAB` slices as they came, and one of phase
    numbers; what `PoreMeter` gives, three times that with the
    blocks of `BlockMeter`, beside the blocks for pore sizes and flow, at one byte a voxel of those side by side; for
    what those need see `thickness_classes` (about 36 bytes a voxel of a block) and `solve_permeability` (about 1.2 kB a
    connected pore voxel of it).

    Args:
        slices: `[Y, X]` grey levels, in the order of z.
        shape: of the volume, Z, Y, X.
        voxel_size_nm: z, y, x; None leaves out all that has a unit.
        segmenter: separates the phases.
        cube_px: voxels along each side of a block; 0 for the whole volume, which is then held.
        blocks: in which pore sizes and flow are taken, at most so many; of one, it is from the middle.
        axes: of `z`, `y`, `x`, those along which diffusivity and permeability are solved.
        gaps: collects the metrics that fail, which are left out; without it their failure is raised.
        workers: threads; the measures are the same bytes whatever their number.

    Raises:
        InputError: grey levels that are not finite, or other slices than `shape` says.
    """
    edges = None if voxel_size_nm is None else _edges(voxel_size_nm)
    pores = PoreMeter(LONGEST_LAG_PX, voxel_size_nm, slices=shape[0])
    counts, cells = np.zeros(segmenter.phases), PhaseCells(shape, segmenter.phases)
    grids = [BlockMeter(shape, grid, edges) for grid in block_grids(shape, edges)]
    sampled = None if edges is None else SampledBlocks(places_of(shape, cube_px, blocks), edges, axes, gaps)
    meters: dict[str, Meters] = {PORES: [pores], FINITE_SIZE: grids}
    workers, number = workers or Workers(), 0
    for planes in workers.ahead(slabs(slices, SLAB)):
        for plane in planes:
            if plane.shape != shape[1:]:
                raise InputError(f"slice {number} has shape {plane.shape}, but those of the volume are {shape[1:]}")
            number += 1
        labels = [outcome() for outcome in workers.run([partial(segmenter, plane) for plane in planes])]
        for outcome in workers.run([partial(phase_fractions, own, counts.size) for own in labels]):
            counts += outcome()
        pore = [own == 0 for own in labels]
        meters = _take(meters, pore, [partial(cells.add_all, labels)], sampled, gaps, workers)
    if number != shape[0]:
        raise InputError(f"{number} slices came of a volume of {shape[0]}")
    metrics: Metrics = {f"fraction_{phase}": float(count / shape[0]) for phase, count in enumerate(counts)}
    metrics["porosity"] = metrics["fraction_0"]
    tables = [pd.DataFrame(columns=COLUMNS)]
    sizes = [pd.DataFrame(columns=SIZES)]
    if PORES in meters:
        tried(gaps, PORES, lambda: _add_shape(pores.result(), edges, metrics, tables))
    if sampled is not None:
        metrics |= sampled.metrics()
        tables += [table for table in [sampled.table()] if table is not None]
        sizes.append(sizes_of_sampled(sampled.values, metrics))
    if FINITE_SIZE in meters:
        found = [(grid.block_px, [_shape_metrics(own, edges) for own in grid.found]) for grid in grids]
        sizes.append(sizes_of_blocks(shape, found, metrics))
    sizes.append(sizes_of_shares(shape, cells.result(), metrics))
    return RockMeasures(metrics, _joined(tables), _joined(sizes))


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True) if full else tables[0]


def _take(
    meters: dict[str, Meters],
    pores: list[NDArray[np.bool_]],
    others: list[Task],
    sampled: SampledBlocks | None,
    gaps: Gaps | None,
    workers: Workers,
) -> dict[str, Meters]:
    """Let all meters take the next slices; returns those that did not fail."""
    own: dict[str, list[Task]] = {}
    for name, held in meters.items():
        tried(gaps, name, lambda: own.update({name: [task for m in held for task in m.tasks(pores)]}))  # noqa: B023
    if sampled is not None:
        others = [partial(sampled.add_all, pores), *others]
    outcomes = iter(workers.run([*others, *(task for tasks in own.values() for task in tasks)]))
    for _ in others:
        next(outcomes)()
    results = {name: [next(outcomes) for _ in tasks] for name, tasks in own.items()}
    return {name: meters[name] for name, done in results.items() if tried(gaps, name, partial(_end, done))}


def _end(outcomes: list[Outcome]) -> None:
    """Raise what one of the tasks raised."""
    for outcome in outcomes:
        outcome()


def _edges(voxel_size_nm: Sequence[float]) -> Edges:
    z_nm, y_nm, x_nm = (float(edge) for edge in voxel_size_nm)
    return z_nm, y_nm, x_nm


def _add_shape(found: PoreShape, edges: Edges | None, metrics: Metrics, tables: list[pd.DataFrame]) -> None:
    """Add the metrics and tables of the pores of all slices: all of them or, where one fails, none."""
    table = tables[0] if edges is None else _distributions(found, edges)
    metrics |= _shape_metrics(found, edges)
    tables.append(table)


def _shape_metrics(found: PoreShape, edges: Edges | None) -> Metrics:
    shares = {f"porosity_connected_{axis}": share for axis, share in zip(AXES, found.connected, strict=True)}
    metrics: Metrics = {"porosity": found.porosity, **shares}
    if edges is not None:
        metrics["specific_surface_per_um"] = found.specific_surface * 1e-6
        metrics["euler_per_um3"] = found.euler_per_voxel / (math.prod(edges) * 1e-9)
        for name, edge, mean in zip(AXES, edges, found.mean_chords, strict=True):
            metrics[f"mean_chord_{name}_nm"] = mean * edge
    return metrics


def _distributions(found: PoreShape, edges: Edges) -> pd.DataFrame:
    tables = []
    for name, edge, values in zip(AXES, edges, found.two_point, strict=True):
        tables.append(_table("two_point", name, np.arange(values.size) * edge, values).dropna())
    for name, edge, chords in zip(AXES, edges, found.chords, strict=True):
        shares = chords.shares()
        seen = np.flatnonzero(shares)
        tables.append(_table("chord", name, seen * edge, shares[seen]))
    return pd.concat(tables, ignore_index=True)


def _table(what: str, axis: str, x_nm: NDArray[np.generic], values: NDArray[np.generic]) -> pd.DataFrame:
    return pd.DataFrame({"what": what, "axis": axis, "x_nm": np.asarray(x_nm, float), "value": values})


rock_figures = rock_metrics  # its name in version 0.1
