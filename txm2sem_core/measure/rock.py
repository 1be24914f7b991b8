"""The measure stage's rock metrics: the pores of a volume, and transport through them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.measure.intervals import metrics_of, rock_intervals
from txm2sem_core.measure.rows import rows_of_runs
from txm2sem_core.metrics.gaps import Gaps, with_gaps
from txm2sem_core.metrics.pores.sizes import SIZES
from txm2sem_core.metrics.pores.summary import COLUMNS, measure_pores
from txm2sem_core.phases import fit_segmenter
from txm2sem_core.runtime.workers import Workers

MEAN = "all"  # in place of a seed: the mean over all volumes of a variant


def measure_rock(
    volume: str | Path,
    patches: Path,
    settings: MeasureSettings,
    output: Path,
    labels: Path | None = None,
    threads: int = 1,
) -> None:
    """Rock metrics of a volume, as JSON; beside them `rock_distributions.csv` and `rock_sizes.csv` (see `sizes`).

    Where a part was not measured, porosity and shares of phases are of the rest. Metrics that need a box are of the
    largest measured one (see `field_of_view`), whose size is given too.

    Args:
        volume: OME-Zarr or TIFF.
        patches: folder of the full-resolution patch store.
        settings: how phases are separated, and those of the rock.
        output: `rock.json`; where metrics cannot be computed, `not_measured` says why.
        labels: folder of the placed label images, where they are used to separate the phases.
        threads: that measure; what they write is the same bytes whatever their number.
    """
    store, opened = io.read_patch_store(patches), io.open_volume(volume)
    size = opened.voxel_size_nm
    edges = None if size is None or None in size else [float(edge or 0) for edge in size]
    gaps, metrics = Gaps("measure_rock"), dict[str, float]()
    table, sizes = pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=SIZES)
    with gaps.of("rock"), Workers(threads) as workers:
        seen = Measured.of(FieldOfView(opened, guess=False))  # a prediction, or a known truth
        segmenter = fit_segmenter(store, settings, labels)
        rock = settings.rock
        found = measure_pores(
            seen.boxed(0).slices(),
            seen.box.shape,
            edges,
            segmenter,
            cube_px=rock.cube_px,
            blocks=rock.blocks,
            axes=rock.axes if rock.flow else (),
            gaps=gaps,
            workers=workers,
        )
        metrics, table, sizes = found.metrics, found.distributions, found.sizes
        if not seen.is_whole:
            print(f"measure {volume}: {seen.remark()}", file=sys.stderr)
            metrics |= seen.phase_shares(segmenter) | seen.metrics()
    io.write_csv(output.with_name("rock_distributions.csv"), table)
    io.write_csv(output.with_name("rock_sizes.csv"), sizes)
    # infinite is a value, of pores without a path; an unknown one is null
    io.write_json(output, with_gaps({key: _plain(value) for key, value in metrics.items()}, gaps))


def _plain(value: float) -> float | str | None:
    return None if math.isnan(value) else str(value) if math.isinf(value) else value


def summarise_rock(runs: Sequence[tuple[str, int | str, int]], files: Sequence[str | Path], output: Path) -> None:
    """Collect the rock metrics of all volumes in a folder.

    Leaves `rock_intervals.csv` (see `rock_intervals`), `rock_distributions.csv` and `rock_sizes.csv` (tidy), and
    `rock.csv`: one row a volume, and after those of a variant that has several one of their means, whose `seed` is
    `all`, with the 90 % interval of each metric as `NAME_low` and `NAME_high` where it is known.

    Args:
        runs: variant, seed and number of the sample, of each file.
        files: `rock.json` of each volume, with its tables beside it.
        output: the folder.
    """
    distributions, sizes = (_tidy(runs, files, name) for name in ("rock_distributions.csv", "rock_sizes.csv"))
    volumes = pd.DataFrame(rows_of_runs([(variant, seed) for variant, seed, _ in runs], files))
    volumes.insert(2, "sample", [draw for _, _, draw in runs])
    intervals = rock_intervals(volumes, sizes)
    io.write_csv(output / "rock.csv", with_means(volumes, intervals))
    io.write_csv(output / "rock_distributions.csv", distributions)
    io.write_csv(output / "rock_sizes.csv", sizes)
    io.write_csv(output / "rock_intervals.csv", intervals)


def _tidy(runs: Sequence[tuple[str, int | str, int]], files: Sequence[str | Path], name: str) -> pd.DataFrame:
    """A table of each volume under one another."""
    tables = []
    for (variant, seed, draw), file in zip(runs, files, strict=True):
        table = io.read_csv(Path(file).with_name(name)).assign(variant=variant, seed=seed, sample=draw)
        tables.append(table[["variant", "seed", "sample", *table.columns[:-3]]])
    return pd.concat(tables, ignore_index=True)


def with_means(volumes: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    """The volumes, and after those of each variant that has several their means with intervals."""
    parts = []
    for variant, own in volumes.groupby("variant", sort=False):
        rows = own.to_dict("records")
        if len(own) > 1:
            found = intervals[intervals["variant"] == variant].set_index("metric")
            mean = {"variant": variant, "seed": MEAN, "sample": MEAN, **found["mean"].to_dict()}
            for end in ("low", "high"):
                mean |= {f"{metric}_{end}": value for metric, value in found[end].dropna().items()}
            rows.append(mean)
        parts += rows
    table = pd.DataFrame(parts)
    ends = [f"{metric}_{end}" for metric in metrics_of(volumes) for end in ("low", "high")]
    return table[[*volumes.columns, *(key for key in ends if key in table)]]
