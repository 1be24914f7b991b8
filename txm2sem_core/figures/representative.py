"""How large a volume must be: the scatter of the rock's metrics over the size of the block that is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config.figures import ChartStyle, CommonStyle
from txm2sem_core.figures.saving import save, save_reason
from txm2sem_core.plotting import Line, Panel, draw_charts

TRUTH = "truth"
_EDGES = ["block_z_px", "block_y_px", "block_x_px"]


def representative_figure(
    sizes: Path,
    variants: Sequence[str],
    headings: Mapping[str, str],
    style: ChartStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw the standard deviation of each metric over blocks, as a share of its mean, from `rock_sizes.csv`.

    The last point of a line is the whole volume, of which the deviation from the rock is an estimate.

    Args:
        sizes: a row for each volume, metric and size of blocks.
        variants: in their order.
        headings: the heading of each metric that is shown, as far as it was measured in blocks.
        style: of the figure.
        common: of all figures.
        outputs: the figure's files.
    """
    table = io.read_csv(sizes)
    table["edge"] = np.cbrt(table[_EDGES].astype(float).prod(axis=1))
    table["scatter"] = 100 * table["std"].astype(float) / table["mean"].astype(float).abs()
    table = table[np.isfinite(table["scatter"]) & (table["scatter"] > 0)]
    panels = []
    for metric, heading in headings.items():
        own = table[table["metric"] == metric]
        drawn = [_line(own, TRUTH), *(_line(own, name, place) for place, name in enumerate(variants))]
        lines = [line for line in drawn if line is not None]
        if lines:
            title = heading.split(" / ")[0]
            panels.append(Panel(title, "Edge of the block / voxels", "Deviation / %", lines))
    if not panels:
        why = "Too few blocks of the volumes could be measured; the report's warnings say why."
        save_reason("Representative volume", why, outputs, common)
        return
    save(draw_charts(panels, style, common), outputs, common)


def _line(table: pd.DataFrame, variant: str, place: int = 0) -> Line | None:
    """Of one variant: a row a volume, as far as all have a size; None where fewer than two sizes were measured."""
    own = table[table["variant"] == variant]
    run = own["seed"].astype(str).fillna("") + " " + own["sample"].astype(str).fillna("")  # the truth has none
    runs = own.assign(run=run).pivot_table(index="run", columns="edge", values="scatter").dropna(axis="columns")
    if runs.shape[1] < 2:
        return None
    x, y = runs.columns.to_numpy(float), runs.to_numpy(float)
    return Line("Truth", x, y, "truth") if variant == TRUTH else Line(variant.replace("_", " "), x, y, place=place)
