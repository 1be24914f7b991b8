"""The measure stage's figures of the rock: what the pores of a volume are, and what they let through."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings, RockSettings
from txm2sem_core.metrics.connectivity import connected_porosity
from txm2sem_core.metrics.diffusivity import diffusivity
from txm2sem_core.metrics.permeability import nanodarcy, permeability
from txm2sem_core.metrics.pore_space import chord_lengths, euler_number, mean_chord, pore_diameters, specific_surface
from txm2sem_core.metrics.rock import phase_fractions, segment
from txm2sem_core.metrics.two_point import AXES, TwoPointMeter
from txm2sem_core.segmentation import phase_thresholds

Figures = dict[str, float]
LONGEST_LAG_PX = 64


def rock_figures(
    slices: Iterable[NDArray[np.generic]],
    voxel_size_nm: Sequence[float] | None,
    thresholds: tuple[float, ...],
    settings: RockSettings,
) -> tuple[Figures, pd.DataFrame]:
    """Figures of the pores (the darkest phase) of a volume, and their distributions.

    Slices are segmented as they come; what stays is the pores at one byte a voxel. Connectivity takes 5 bytes a voxel
    more. Pore sizes and flow are taken in a block from the middle, see `settings.cube_px`.

    Args:
        slices: `[Y, X]` grey levels, in the order of z.
        voxel_size_nm: z, y, x; None leaves out all that has a unit.
        thresholds: grey levels that part the phases.
        settings: size of the block, and whether flow is solved.

    Returns:
        Figures with units in their names (see results/README.md), NaN where there is no such thing; and a table `what`
        (`two_point`, `chord`, `pore_diameter`), `axis`, `x_nm`, `value`.

    Raises:
        InputError: grey levels that are not finite.
    """
    planes, counts, voxels = [], np.zeros(len(thresholds) + 1), 0
    for plane in slices:
        labels = segment(plane, thresholds)
        counts += phase_fractions(labels, counts.size) * labels.size
        voxels += labels.size
        planes.append(labels == 0)
    pore = np.stack(planes)
    figures: Figures = {f"fraction_{phase}": float(count / voxels) for phase, count in enumerate(counts)}
    figures["porosity"] = float(pore.mean())
    figures |= {f"porosity_connected_{name}": connected_porosity(pore, axis) for axis, name in enumerate(AXES)}
    if voxel_size_nm is None:
        return figures, pd.DataFrame(columns=["what", "axis", "x_nm", "value"])
    edges = tuple(float(edge) for edge in voxel_size_nm)
    volume_um3 = pore.size * math.prod(edges) * 1e-9
    figures["specific_surface_per_um"] = specific_surface(pore, edges) * 1e-6 if min(pore.shape) > 1 else math.nan
    figures["euler_per_um3"] = euler_number(pore) / volume_um3
    tables = [_two_point(pore, edges)]
    for axis, name in enumerate(AXES):
        chords = chord_lengths(pore, axis)
        figures[f"mean_chord_{name}_nm"] = mean_chord(chords) * edges[axis]
        seen = np.flatnonzero(chords)
        tables.append(_table("chord", name, seen * edges[axis], chords[seen] / max(int(chords.sum()), 1)))
    block = middle(pore, settings.cube_px)
    own, sizes = _block_figures(block, edges, settings)
    return figures | own, pd.concat([*tables, sizes], ignore_index=True)


def middle(pore: NDArray[np.bool_], cube_px: int) -> NDArray[np.bool_]:
    """A block of at most `cube_px` voxels a side from the middle; all for 0."""
    if not cube_px:
        return pore
    starts = [max(0, (n - cube_px) // 2) for n in pore.shape]
    z, y, x = (slice(start, start + cube_px) for start in starts)
    return pore[z, y, x]


def _block_figures(
    block: NDArray[np.bool_], edges: tuple[float, ...], settings: RockSettings
) -> tuple[Figures, pd.DataFrame]:
    figures: Figures = {f"block_{name}_px": float(n) for name, n in zip(AXES, block.shape, strict=True)}
    figures["block_porosity"] = float(block.mean())
    solid = not block.all()
    diameters, shares = pore_diameters(block, edges) if solid else (np.empty(0), np.empty(0))
    half = np.searchsorted(np.cumsum(shares), 0.5)
    figures["pore_diameter_nm_median"] = float(diameters[half]) if diameters.size else math.nan
    if settings.flow:
        for axis, name in enumerate(AXES):
            diffusion = diffusivity(block, edges, axis)
            k = permeability(block, edges, axis) if solid else math.nan
            figures[f"diffusivity_{name}_relative"] = diffusion.relative
            figures[f"tortuosity_{name}"] = diffusion.tortuosity
            figures[f"formation_factor_{name}"] = diffusion.formation_factor
            figures[f"permeability_{name}_m2"] = k
            figures[f"permeability_{name}_nd"] = nanodarcy(k)
    return figures, _table("pore_diameter", "", diameters, shares)


def _two_point(pore: NDArray[np.bool_], edges: tuple[float, ...]) -> pd.DataFrame:
    lag = min(LONGEST_LAG_PX, min(pore.shape[1:]) - 1)
    meter = TwoPointMeter(lag)
    for plane in pore:
        meter.add(plane)
    rows = zip(AXES, edges, meter.result(), strict=True)
    parts = [_table("two_point", name, np.arange(lag + 1) * edge, values) for name, edge, values in rows]
    return pd.concat(parts, ignore_index=True).dropna()


def _table(what: str, axis: str, x_nm: NDArray[np.generic], values: NDArray[np.generic]) -> pd.DataFrame:
    return pd.DataFrame({"what": what, "axis": axis, "x_nm": np.asarray(x_nm, float), "value": values})


def measure_rock(volume: str | Path, patches: Path, settings: MeasureSettings, output: Path) -> None:
    """Figures of the rock of a volume, as JSON; their distributions beside them in `rock_distributions.csv`.

    Args:
        volume: OME-Zarr or TIFF.
        patches: folder of the full-resolution patch store; phases are parted by thresholds of its training SEM images.
        settings: phases, and of the rock.
        output: `rock.json`.
    """
    store = io.read_patch_store(patches)
    thresholds = phase_thresholds(store, settings)
    opened = io.open_volume(volume)
    size = opened.voxel_size_nm
    edges = None if size is None or None in size else [float(edge or 0) for edge in size]
    figures, table = rock_figures(opened.slices(), edges, thresholds, settings.rock)
    io.write_csv(output.with_name("rock_distributions.csv"), table)
    io.write_json(output, {key: value if math.isfinite(value) else None for key, value in figures.items()})


def summarise_rock(runs: Sequence[tuple[str, int | str]], files: Sequence[str | Path], output: Path) -> None:
    """Collect the figures of the rock of all runs in `output`, a folder.

    Leaves `rock.csv` (one row a run), `rock_distributions.csv` (tidy), and `rock_intervals.csv`: of each variant and
    figure, over its seeds, n, mean, standard deviation, least and greatest, each seed's own volume measured; with one
    seed there is no interval, and its columns are empty.
    """
    rows, tables = [], []
    for (variant, seed), file in zip(runs, files, strict=True):
        rows.append({"variant": variant, "seed": seed, **io.read_json(Path(file))})
        table = io.read_csv(Path(file).with_name("rock_distributions.csv"))
        tables.append(table.assign(variant=variant, seed=seed)[["variant", "seed", *table.columns]])
    figures = pd.DataFrame(rows)
    io.write_csv(output / "rock.csv", figures)
    io.write_csv(output / "rock_distributions.csv", pd.concat(tables, ignore_index=True))
    io.write_csv(output / "rock_intervals.csv", pd.DataFrame(_intervals(figures)))


def _intervals(figures: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for variant, own in figures.groupby("variant", sort=False):
        for name in own.columns.drop(["variant", "seed"]):
            values = pd.to_numeric(own[name]).dropna()
            low, high = (values.min(), values.max()) if len(values) > 1 else (math.nan, math.nan)
            row = {"variant": variant, "figure": name, "n": len(values), "mean": values.mean()}
            rows.append(row | {"std": values.std(ddof=1), "low": low, "high": high})
    return rows
