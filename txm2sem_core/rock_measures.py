"""The measure stage's figures of the rock: what the pores of a volume are, and what they let through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.metrics.rock_figures import rock_figures
from txm2sem_core.segmentation import fit_segmenter


def measure_rock(
    volume: str | Path, patches: Path, settings: MeasureSettings, output: Path, labels: Path | None = None
) -> None:
    """Figures of the rock of a volume, as JSON; their distributions beside them in `rock_distributions.csv`.

    Args:
        volume: OME-Zarr or TIFF.
        patches: folder of the full-resolution patch store.
        settings: how phases are parted, and of the rock.
        output: `rock.json`.
        labels: folder of the placed label images, where phases are parted by them.
    """
    segmenter = fit_segmenter(io.read_patch_store(patches), settings, labels)
    opened = io.open_volume(volume)
    size = opened.voxel_size_nm
    edges = None if size is None or None in size else [float(edge or 0) for edge in size]
    figures, table = rock_figures(
        opened.slices(), opened.shape, edges, segmenter, cube_px=settings.rock.cube_px, flow=settings.rock.flow
    )
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
