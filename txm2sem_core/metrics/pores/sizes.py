"""The representative-volume table: how each metric differs between blocks of a size, and a whole volume from the rock.

Its columns: `metric`; `of`: `blocks` or `volume`; `block_z_px`, `block_y_px`, `block_x_px`, edges of each block;
`blocks`, how many were measured; `mean` and `std` over them. Of the volume `std` is the estimated standard deviation of
its metric about that of the rock that it is cut out of, with `degrees` of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core.metrics.pores.finite_size import Doubt, doubt_of_share, doubt_of_volume
from txm2sem_core.metrics.pores.permeability import nanodarcy

SIZES = ["metric", "of", "block_z_px", "block_y_px", "block_x_px", "blocks", "mean", "std", "degrees"]
BLOCKS, VOLUME = "blocks", "volume"
Shape = Sequence[float]
Metrics = Mapping[str, float]


def sizes_of_shares(shape: Shape, cells: NDArray[np.float64], metrics: Metrics) -> pd.DataFrame:
    """Of the phases' shares in the whole volume, from their shares in cells `[phases, Z, Y, X]`."""
    found = {f"fraction_{phase}": doubt_of_share(field) for phase, field in enumerate(cells)}
    found["porosity"] = found["fraction_0"]
    return _table([_whole(metric, shape, metrics[metric], doubt) for metric, doubt in found.items()])


def sizes_of_blocks(shape: Shape, found: Sequence[tuple[Shape, Sequence[Metrics]]], metrics: Metrics) -> pd.DataFrame:
    """Of what was measured in large and in small blocks, and of the whole volume by both.

    Args:
        shape: of the volume.
        found: edges in voxels and metrics of the blocks, the large ones first.
        metrics: of the whole volume.
    """
    rows, several = [], [pd.DataFrame(own) for _, own in found]
    for metric in several[0].columns if several else ():
        known = [own[metric].dropna().to_numpy(dtype=float) for own in several]
        for (block_px, _), values in zip(found, known, strict=True):
            rows.append(_row(metric, block_px, values))
        if metric in metrics and metric != "porosity":  # whose own is better
            rows.append(_whole(metric, shape, metrics[metric], doubt_of_volume(known[0].tolist(), known[1].tolist())))
    return _table(rows)


def sizes_of_sampled(values: Mapping[str, Sequence[float]], metrics: Metrics) -> pd.DataFrame:
    """Of pore sizes and flow in some blocks of the volume, which are taken as independent."""
    block_px, rows = [metrics[f"block_{axis}_px"] for axis in "zyx"], []
    for metric, own in values.items():
        known = np.array([value for value in own if math.isfinite(value)])
        several = known.size > 1
        std = float(known.std(ddof=1)) / math.sqrt(known.size) if several else math.nan
        doubt = Doubt(std, known.size - 1.0 if several else math.nan)
        rows += [_row(metric, block_px, known), _whole(metric, block_px, metrics[metric], doubt, known.size)]
    return _table([row for row in rows if row["metric"] != "block_porosity"] + _nanodarcies(rows))


def _nanodarcies(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    found = []
    for row in rows:
        metric = str(row["metric"])
        if metric.endswith("_m2"):
            values = {key: nanodarcy(float(str(row[key]))) for key in ("mean", "std")}
            found.append({**row, "metric": f"{metric.removesuffix('m2')}nd", **values})
    return found


def _row(metric: str, block_px: Shape, values: NDArray[np.float64]) -> dict[str, object]:
    std = float(values.std(ddof=1)) if values.size > 1 else math.nan
    mean = float(values.mean()) if values.size else math.nan
    own = {"metric": metric, "of": BLOCKS, "blocks": values.size, "mean": mean, "std": std, "degrees": math.nan}
    return {**_edges(block_px), **own}


def _whole(metric: str, shape: Shape, value: float, doubt: Doubt, blocks: int = 1) -> dict[str, object]:
    own = {"metric": metric, "of": VOLUME, "blocks": blocks, "mean": value, "std": doubt.std, "degrees": doubt.degrees}
    return {**_edges(shape), **own}


def _edges(block_px: Shape) -> dict[str, object]:
    return {f"block_{axis}_px": round(float(n), 1) for axis, n in zip("zyx", block_px, strict=True)}


def _table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=SIZES)
