"""The measure stage's rock metrics: the pores of a volume, and transport through them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.metrics.gaps import NOT_MEASURED, Gaps, as_row, with_gaps
from txm2sem_core.metrics.pores.summary import COLUMNS, rock_figures
from txm2sem_core.metrics.summary import student_interval
from txm2sem_core.phases import fit_segmenter


def measure_rock(
    volume: str | Path, patches: Path, settings: MeasureSettings, output: Path, labels: Path | None = None
) -> None:
    """Rock metrics of a volume, as JSON; their distributions beside them in `rock_distributions.csv`.

    Where a part was not measured, porosity and shares of phases are of the rest, and all that needs a box is of the
    largest one within (see `field_of_view`), whose size stands beside them.

    Args:
        volume: OME-Zarr or TIFF.
        patches: folder of the full-resolution patch store.
        settings: how phases are separated, and those of the rock.
        output: `rock.json`; where metrics cannot be computed, `not_measured` says why.
        labels: folder of the placed label images, where they are used to separate the phases.
    """
    store, opened = io.read_patch_store(patches), io.open_volume(volume)
    size = opened.voxel_size_nm
    edges = None if size is None or None in size else [float(edge or 0) for edge in size]
    gaps, figures, table = Gaps("measure_rock"), dict[str, float](), pd.DataFrame(columns=COLUMNS)
    with gaps.of("rock"):
        seen = Measured.of(FieldOfView(opened, guess=False))  # a prediction, or a known truth
        segmenter = fit_segmenter(store, settings, labels)
        slices, rock = seen.boxed(0).slices(), settings.rock
        figures, table = rock_figures(
            slices, seen.box.shape, edges, segmenter, cube_px=rock.cube_px, flow=rock.flow, gaps=gaps
        )
        if not seen.is_whole:
            print(f"measure {volume}: {seen.remark()}", file=sys.stderr)
            figures |= seen.phase_shares(segmenter) | seen.figures()
    io.write_csv(output.with_name("rock_distributions.csv"), table)
    # infinite is a figure, of pores without a path; what is not known is none
    io.write_json(output, with_gaps({key: _plain(value) for key, value in figures.items()}, gaps))


def _plain(value: float) -> float | str | None:
    return None if math.isnan(value) else str(value) if math.isinf(value) else value


def summarise_rock(runs: Sequence[tuple[str, int | str]], files: Sequence[str | Path], output: Path) -> None:
    """Collect the rock metrics of all runs in `output`, a folder.

    Leaves `rock.csv` (one row a run), `rock_distributions.csv` (tidy), and `rock_intervals.csv`: of each variant and
    figure, over its seeds, n, mean, standard deviation, `low` and `high` (Student's 95 % interval of the mean), least
    and greatest, each seed's own volume measured; with one seed there is no interval, and its columns are empty.
    `without_path` counts the seeds with pores that do not connect the faces. Their tortuosity and formation factor are
    infinite; the means of those two are of the conductances, 0 of such a seed, and turned back.
    """
    rows, tables = [], []
    for (variant, seed), file in zip(runs, files, strict=True):
        rows.append({"variant": variant, "seed": seed, **as_row(io.read_json(Path(file)))})
        table = io.read_csv(Path(file).with_name("rock_distributions.csv"))
        tables.append(table.assign(variant=variant, seed=seed)[["variant", "seed", *table.columns]])
    figures = pd.DataFrame(rows)
    io.write_csv(output / "rock.csv", figures)
    io.write_csv(output / "rock_distributions.csv", pd.concat(tables, ignore_index=True))
    io.write_csv(output / "rock_intervals.csv", _intervals(figures))


def _intervals(figures: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for variant, own in figures.groupby("variant", sort=False):
        for name in own.columns.drop(["variant", "seed", NOT_MEASURED], errors="ignore"):
            conductance = _conductance(own, str(name))
            values = (pd.to_numeric(own[name]) if conductance is None else conductance).dropna().to_numpy(dtype=float)
            found = _over_seeds(values) if conductance is None else _of_inverses(values)
            rows.append({"variant": variant, "figure": name, "n": values.size, **found})
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["variant", "figure", "n", "mean"])


def _conductance(own: pd.DataFrame, name: str) -> pd.Series | None:
    """What a tortuosity or formation factor is the inverse of, 0 without a path; None for other metrics."""
    kind, _, axis = name.rpartition("_")
    if kind not in ("tortuosity", "formation_factor"):
        return None
    diffusivity = pd.to_numeric(own[f"diffusivity_{axis}_relative"])
    return diffusivity if kind == "formation_factor" else diffusivity / pd.to_numeric(own["block_porosity"])


def _over_seeds(values: NDArray[np.float64]) -> dict[str, Any]:
    low, high, _ = student_interval(values)
    several = values.size > 1
    return {
        "mean": float(values.mean()) if values.size else math.nan,
        "std": float(values.std(ddof=1)) if several else math.nan,
        "low": low,
        "high": high,
        "least": float(values.min()) if several else math.nan,
        "greatest": float(values.max()) if several else math.nan,
    }


def _of_inverses(conductances: NDArray[np.float64]) -> dict[str, Any]:
    """Of tortuosities or formation factors, by the mean of their inverses, of which no path makes 0."""
    found = _over_seeds(conductances)
    without = int(np.count_nonzero(conductances == 0))
    return {
        "mean": _inverse(found["mean"]),
        "std": math.nan if without else _over_seeds(1 / conductances)["std"],
        "low": _inverse(found["high"]),
        "high": _inverse(found["low"]),
        "least": _inverse(found["greatest"]),
        "greatest": _inverse(found["least"]),
        "without_path": without,
    }


def _inverse(value: float) -> float:
    return math.inf if value <= 0 else 1 / value
