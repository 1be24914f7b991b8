"""PSNR and SSIM of every variant beside its baselines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from txm2sem_core.config.figures import CommonStyle, ComparisonStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import (
    MUTED,
    PALETTE,
    axes_mm,
    drawing,
    letter,
    line_height_mm,
    new_figure,
    text_mm,
    text_width_mm,
)

KINDS = {"learned": ("Learned", PALETTE[0], "o"), "baseline": ("Baselines", PALETTE[1], "s")}
PANELS = (("psnr", "PSNR / dB"), ("ssim", "SSIM"))
BOTTOM_MM, GAP_MM = 8.5, 5.0
REQUIRED = ("variant", "label", "kind", "factor", "slices", "psnr_mean", "psnr_stderr", "ssim_mean", "ssim_stderr")


@dataclass(frozen=True)
class _Row:
    """A line of the chart: a heading, or a variant."""

    text: str
    variant: pd.Series | None = None


def draw_comparison(
    table: pd.DataFrame, style: ComparisonStyle, common: CommonStyle, seeds: pd.DataFrame | None = None
) -> Figure:
    """Draw mean PSNR and SSIM with standard errors, learned variants first, then baselines, best first in each.

    A dashed line stands at the best baseline of the same super-resolution factor.

    Args:
        table: one row a variant: `variant`, `label`, `kind` (learned or baseline), `factor`, `slices`,
            `psnr_mean`, `psnr_stderr` (dB), `ssim_mean`, `ssim_stderr`, over slices; NaN of a single one.
        style: of this figure.
        common: of all figures.
        seeds: one row a variant and seed: `variant`, `psnr_mean`, `ssim_mean`; small points.

    Raises:
        InputError: an empty table, a column that is missing, or an unknown kind.
    """
    _check(table)
    rows = _rows(table, style)
    width = common.width_mm(style.columns)
    with drawing(common):
        chart_mm = len(rows) * style.row_height_mm
        top = line_height_mm(common) if common.panel_letters else 1.0
        legend_columns = 4 if style.columns == 2 else 2
        legend_mm = (4 / legend_columns + 0.5) * line_height_mm(common)
        figure = new_figure(width, top + chart_mm + BOTTOM_MM + legend_mm)
        label_mm = min(0.45 * width, _widest_mm(rows, common))
        panel_width = (width - label_mm - GAP_MM - 2.0) / 2
        for index, (score, axis_label) in enumerate(PANELS):
            left = label_mm + index * (panel_width + GAP_MM)
            axes = axes_mm(figure, left, top, panel_width, chart_mm)
            _draw_panel(axes, rows, score, seeds if style.show_seeds else None)
            axes.set_xlabel(axis_label, labelpad=1.5)
            axes.xaxis.set_major_locator(MaxNLocator(max(2, int(panel_width // 13)), steps=[1, 2, 5, 10]))
            _label_rows(axes, rows, with_text=index == 0)
            if common.panel_letters:
                text_mm(figure, left, 0.3, letter(index), weight="bold")
        handles = _legend_handles(table, with_seeds=seeds is not None and style.show_seeds)
        figure.legend(handles=handles, loc="lower center", ncols=legend_columns, borderaxespad=0.2, columnspacing=1.4)
    return figure


def _check(table: pd.DataFrame) -> None:
    if table.empty:
        raise InputError("there is no variant to compare")
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise InputError(f"the comparison table lacks the columns {', '.join(missing)}")
    unknown = sorted(set(table["kind"]) - set(KINDS))
    if unknown:
        raise InputError(f"the comparison table's kind must be learned or baseline, not {', '.join(unknown)}")


def _rows(table: pd.DataFrame, style: ComparisonStyle) -> list[_Row]:
    """Headings and variants from top to bottom: by factor, learned before baselines, best first."""
    rows = []
    several = table["factor"].nunique() > 1
    for factor in sorted(table["factor"].unique()):
        for kind, (name, _, _) in KINDS.items():
            group = table[(table["factor"] == factor) & (table["kind"] == kind)]
            if group.empty:
                continue
            rows.append(_Row(f"{name}, ×{factor}" if several and factor != 1 else name))
            ordered = group.sort_values(f"{style.sort_by}_mean", ascending=False, kind="stable")
            rows += [_Row(str(variant["label"]), variant) for _, variant in ordered.iterrows()]
    return rows


def _widest_mm(rows: list[_Row], common: CommonStyle) -> float:
    """Room for the longest label; headings are bold, which is a tenth wider."""
    widths = (text_width_mm(row.text, common) * (1.1 if row.variant is None else 1.0) for row in rows)
    return max(widths) + 3.0


def _draw_panel(axes: Axes, rows: list[_Row], score: str, seeds: pd.DataFrame | None) -> None:
    for at, row in enumerate(rows):
        if row.variant is None:
            continue
        _, colour, marker = KINDS[row.variant["kind"]]
        mean, error = float(row.variant[f"{score}_mean"]), float(row.variant[f"{score}_stderr"])
        if not math.isfinite(mean):
            axes.annotate("∞", (1, at), xycoords=axes.get_yaxis_transform(), ha="right", va="center", color=colour)
            continue
        if seeds is not None:
            own = seeds[seeds["variant"] == row.variant["variant"]]
            axes.plot(own[f"{score}_mean"], [at + 0.3] * len(own), ".", color=MUTED, markersize=2.5, zorder=3)
        axes.errorbar(
            mean,
            at,
            xerr=error if math.isfinite(error) else None,
            fmt=marker,
            color=colour,
            markersize=3.6,
            markerfacecolor=colour if row.variant["kind"] == "learned" else "white",
            elinewidth=0.9,
            capsize=1.8,
            capthick=0.9,
            zorder=2,
        )
    _mark_best_baselines(axes, rows, score)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.4)
    axes.set_axisbelow(True)


def _mark_best_baselines(axes: Axes, rows: list[_Row], score: str) -> None:
    """A dashed line over the rows of each factor."""
    factors = [None if row.variant is None else row.variant["factor"] for row in rows]
    for factor in sorted({factor for factor in factors if factor is not None}):
        rows_at = [at for at, own in enumerate(factors) if own == factor]
        scores = [
            float(rows[p].variant[f"{score}_mean"])  # type: ignore[index]  # headings have no factor
            for p in rows_at
            if rows[p].variant["kind"] == "baseline"  # type: ignore[index]
        ]
        finite = [value for value in scores if math.isfinite(value)]
        if finite:
            best, colour = max(finite), KINDS["baseline"][1]
            axes.plot([best, best], [rows_at[0] - 0.5, rows_at[-1] + 0.5], "--", color=colour, linewidth=0.6, zorder=1)


def _label_rows(axes: Axes, rows: list[_Row], *, with_text: bool) -> None:
    axes.tick_params(axis="y", length=0, pad=3)
    axes.spines["left"].set_visible(False)
    axes.set_yticks(range(len(rows)), [row.text if with_text else "" for row in rows], parse_math=False)
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        if row.variant is None:
            tick.set_fontweight("bold")


def _legend_handles(table: pd.DataFrame, *, with_seeds: bool) -> list[Line2D]:
    counts = sorted({int(n) for n in table["slices"]})
    slices = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    mean = "mean, 1 slice" if counts == [1] else f"mean ± s.e., {slices} slices"
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=3.6, markerfacecolor=face, linestyle="-", label=label)
        for (_, colour, marker), face, label in (
            (KINDS["learned"], KINDS["learned"][1], mean),
            (KINDS["baseline"], "white", "the same, baseline"),
        )
    ]
    if with_seeds:
        handles.append(Line2D([], [], color=MUTED, marker=".", markersize=2.5, linestyle="", label="one seed"))
    handles.append(Line2D([], [], color=KINDS["baseline"][1], linestyle="--", linewidth=0.6, label="best baseline"))
    return handles
