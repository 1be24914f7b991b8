"""Metrics of the rock by variant, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, ComparisonStyle
from txm2sem_core.figures.saving import save, save_reason
from txm2sem_core.plotting import Measured, RockPanel, draw_rock

TRUTH = "truth"


def rock_figure(
    volumes: Path,
    intervals: Path,
    variants: Sequence[str],
    headings: Mapping[str, str],
    style: ComparisonStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw the metrics that one of the variants has, from `rock.csv` and `rock_intervals.csv`.

    Args:
        volumes: metrics of each volume.
        intervals: of each variant.
        variants: in their order.
        headings: the heading of each metric that is shown.
        style: of the figure.
        common: of all figures.
        outputs: the figure's files.
    """
    single, table = io.read_csv(volumes), io.read_csv(intervals)
    single = single[single["seed"].astype(str) != "all"]
    panels = []
    for metric, heading in headings.items():
        own = {str(row["variant"]): row for row in table[table["metric"] == metric].to_dict("records")}
        measured = [_measured(own.get(variant, {}), single, metric, variant) for variant in variants]
        if any(math.isfinite(one.mean) for one in measured):
            truth = _measured(own[TRUTH], single, metric, TRUTH) if TRUTH in own else None
            panels.append(RockPanel(heading, measured, truth))
    if not panels:
        save_reason("Rock", "The rock could not be measured; the report's warnings say why.", outputs, common)
        return
    save(draw_rock([variant.replace("_", " ") for variant in variants], panels, style, common), outputs, common)


def _measured(row: dict, single: pd.DataFrame, metric: str, variant: str) -> Measured:
    def ends(low: str, high: str) -> tuple[float, float]:
        return float(row.get(low, math.nan)), float(row.get(high, math.nan))

    own = single.loc[single["variant"] == variant, metric] if metric in single else pd.Series(dtype=float)
    values = tuple(float(value) for value in pd.to_numeric(own).dropna())
    return Measured(float(row.get("mean", math.nan)), values, ends("low", "high"), ends("rock_low", "rock_high"))
