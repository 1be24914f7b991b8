"""The rock of two volumes that are compared, and how wrong its metrics may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.catalogue.metrics import metric_of
from txm2sem_core.errors import InputError
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.measure.compared import Compared
from txm2sem_core.measure.intervals import TRUTH, rock_intervals
from txm2sem_core.metrics import Thresholds, confusion, dice_from_confusion
from txm2sem_core.metrics.gaps import Gaps
from txm2sem_core.metrics.numerals import significant, significant_interval
from txm2sem_core.metrics.pores.summary import RockMeasures, measure_pores
from txm2sem_core.metrics.pores.two_point import AXES

INTERVALS = "intervals"
PARTS = ("low", "high", "rock_low", "rock_high", "trainings", "samples", "finite_size")


@dataclass(frozen=True)
class RockOptions:
    """How the rock is measured.

    Attributes:
        phases: number of phases for multi-Otsu thresholds of the target; 0 leaves out the rock.
        thresholds: grey levels instead.
        flow: whether diffusivity and permeability are solved, in blocks spread over the volume.
        cube_px: side of those blocks, in which pore sizes are taken too; 0 for the whole volume.
        blocks: at most so many of them.
        others: volumes of the same rock that other trainings predicted: with them metrics have 90 % intervals.
        samples: further samples of the prediction's own training, of which `PARTS` then has a part of its own.
    """

    phases: int = 4
    thresholds: tuple[float, ...] = ()
    flow: bool = False
    cube_px: int = 128
    blocks: int = 8
    others: tuple[Path, ...] = ()
    samples: tuple[Path, ...] = ()


def rock_of(
    under: Compared, segmenter: Thresholds, size: io.VoxelSize | None, rock: RockOptions, gaps: Gaps
) -> dict[str, Any]:
    """Shares of the phases and Dice; of whole volumes, where the voxel size is known, all metrics of the pores too.

    Under `INTERVALS` is what is known of how wrong they are, see `_intervals`.
    """
    counts = np.zeros((segmenter.phases, segmenter.phases), np.int64)
    for own, true, mask in under.each():
        counts += confusion(segmenter(own), segmenter(true), segmenter.phases, mask)
    metrics = {f"dice_{phase}": float(score) for phase, score in enumerate(dice_from_confusion(counts))}
    shares = counts.sum(axis=0) / counts.sum(), counts.sum(axis=1) / counts.sum()
    for suffix, own_shares in zip(("", "_truth"), shares, strict=True):
        metrics |= {f"fraction_{phase}{suffix}": float(share) for phase, share in enumerate(own_shares)}
    if under.measured.shape[0] == 1:
        return metrics
    if under.mask is not None:
        return metrics | {f"porosity{suffix}": metrics[f"fraction_0{suffix}"] for suffix in ("", "_truth")}
    edges = None if size is None or None in size else [float(edge or 0) for edge in size]
    shares_of_all = dict(metrics) | {f"porosity{suffix}": metrics[f"fraction_0{suffix}"] for suffix in ("", "_truth")}
    volumes = {"prediction": under.seen.boxed(0), TRUTH: under.seen.boxed(1)}
    measured = {name: _measured(volume, edges, segmenter, rock, gaps) for name, volume in volumes.items()}
    for name, ending in (("prediction", ""), (TRUTH, "_truth")):
        metrics |= {f"{key}{ending}": value for key, value in measured[name].metrics.items()}
    samples, others = (
        [_measured(_opened(path, under), edges, segmenter, rock, gaps) for path in paths]
        for paths in (rock.samples, rock.others)
    )
    known = metrics if under.seen.is_whole else metrics | shares_of_all
    trainings = [[measured["prediction"], *samples], *([one] for one in others)]
    return {**known, INTERVALS: _intervals(trainings, measured[TRUTH])}


def _measured(
    volume: io.Volume, edges: list[float] | None, segmenter: Thresholds, rock: RockOptions, gaps: Gaps
) -> RockMeasures:
    axes = AXES if rock.flow else ()
    return measure_pores(
        volume.slices(),
        volume.shape,
        edges,
        segmenter,
        cube_px=rock.cube_px,
        blocks=rock.blocks,
        axes=axes,
        gaps=gaps,
    )


def _opened(path: Path, under: Compared) -> io.Volume:
    """Another prediction, cut to the box that was measured of it and of the target."""
    field = FieldOfView(io.open_volume(path), guess=False)
    return Measured.of(field, FieldOfView(under.measured, guess=under.mask is None)).boxed(0)


def check_others(others: Sequence[Path], predicted: io.Volume) -> None:
    """Refuse other volumes of the same rock that are not of the prediction's shape.

    Raises:
        InputError: with its name and shape.
    """
    for path in others:
        shape = io.open_volume(path).shape
        if shape != predicted.shape:
            raise InputError(
                f"{path}: shape {shape} (Z, Y, X), but {predicted.source} has {predicted.shape}. Other volumes of the "
                "same rock must be of the same shape."
            )


def _intervals(trainings: Sequence[Sequence[RockMeasures]], truth: RockMeasures) -> dict[str, Any]:
    """Of each metric that a 90 % interval, or a part of one, is known of: ends and parts as `rock_intervals` has them.

    The ends of the prediction need other trainings; those of the rock which the true volume is a piece of do not.

    Args:
        trainings: of each training, the measures of its samples; the prediction's comes first.
        truth: the measures of the true volume.
    """
    every = [("prediction", seed, one) for seed, own in enumerate(trainings) for one in own] + [(TRUTH, 0, truth)]
    volumes = [{"variant": name, "seed": seed, **one.metrics} for name, seed, one in every]
    sizes = pd.concat([one.sizes.assign(variant=name) for name, _, one in every], ignore_index=True)
    table = rock_intervals(pd.DataFrame(volumes), sizes)
    found: dict[str, Any] = {}
    for row in table.to_dict("records"):
        known = {key: float(row[key]) for key in PARTS if math.isfinite(row[key])}
        if known:
            suffix = "_truth" if row["variant"] == TRUTH else ""
            found[f"{row['metric']}{suffix}"] = {"mean": float(row["mean"]), "volumes": int(row["n"]), **known}
    return found


def intervals_text(intervals: dict[str, Any]) -> list[str]:
    """The intervals as lines of a table, those that have a title in the catalogue; none where nothing is known."""
    lines = []
    for key, found in intervals.items():
        metric = metric_of(key)
        cells = [_ends(found, low, high) for low, high in (("low", "high"), ("rock_low", "rock_high"))]
        cells.append(significant(found["samples"], 2) if "samples" in found else "")
        if metric is not None and metric.title and any(cells):
            lines.append((key, *(cell or "not known" for cell in cells)))
    if not lines:
        return []
    rows = [("", "another training", "this rock", "samples differ by"), *lines]
    if all(line[-1] == "not known" for line in lines):
        rows = [row[:-1] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [
        "",
        "90 % intervals, of another training and, of the rock, with the finite size of the volume; the standard",
        "deviation of samples of one training, where several are given:",
        *padded,
    ]


def _ends(found: dict[str, Any], low: str, high: str) -> str:
    return significant_interval(found["mean"], found[low], found[high])[1] if low in found and high in found else ""
