"""The comparison as a table for a paper: our rows, and the published numbers, marked as such."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from txm2sem_core.catalogue.metrics import PAPER
from txm2sem_core.metrics.numerals import plus_minus

# From the paper's abstract (https://www.osti.gov/biblio/1759011); no other number of it is known to us. Mean over
# patches of 8-bit images of a Vaca Muerta shale: other data, which `psnr_8bit` of ours is the nearest to, no more.
PUBLISHED = ({"label": "Anderson et al. 2020, best model", "kind": "published", "factor": 1, "psnr": 15.8},)
SOURCE = (
    "Anderson, Vega, Kovscek, Computers & Geosciences 145 (2020) 104593, abstract: theirs, of other data "
    "(8-bit, Vaca Muerta shale); not comparable with the rows above"
)
NOTE = (
    "Mean and standard error over test slices, each with one mean over its patches and over the seeds; n different "
    "patches in all. Of a single slice there is no error. It knows of slices only, not of other trainings or samples."
)
_COUNTS = ("kind", "factor", "seeds", "n", "slices")
_HEADINGS = ("Variant", "Kind", "Factor", "Seeds", "n", "Slices", *(column.title for column in PAPER.values()))
_MISSING = "–"
_POWER = re.compile(r"×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_SIGNS = str.maketrans({"±": r"$\pm$", "−": "$-$", "∞": r"$\infty$"})


def table_rows(summary: pd.DataFrame) -> pd.DataFrame:
    """One row a variant of `summary.csv`, then the published ones; empty where a value is not known.

    Columns: label, kind (`published` of theirs), factor, seeds, n (patches), slices; for each score its mean and
    `{score}_stderr`, in the units of `summary.csv`; source (of theirs).
    """
    ours = [
        {
            **{key: row[key] for key in ("label", *_COUNTS)},
            **{score: row[f"{score}_mean"] for score in PAPER},
            **{f"{score}_stderr": row[f"{score}_stderr"] for score in PAPER},
        }
        for row in summary.to_dict("records")
    ]
    theirs = [{**row, "source": SOURCE} for row in PUBLISHED]
    table = pd.DataFrame([*ours, *theirs])
    counts = {key: table[key].astype("Int64") for key in ("factor", "seeds", "n", "slices")}
    scores = [name for score in PAPER for name in (score, f"{score}_stderr")]
    return table.assign(**counts)[["label", *_COUNTS, *scores, "source"]]


def markdown_table(rows: pd.DataFrame) -> str:
    """`table_rows` in Markdown."""
    lines = [list(_HEADINGS), ["---"] * len(_HEADINGS), *_cells(rows, "*")]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{NOTE}\n\n\\* {SOURCE}.\n"


def latex_table(rows: pd.DataFrame) -> str:
    """`table_rows` as a LaTeX tabular."""

    def escaped(cells: list[str]) -> str:
        text = " & ".join(cells).replace("%", r"\%").replace("_", r"\_").replace(_MISSING, "--")
        text = _POWER.sub(lambda found: f"$\\times10^{{{found[1].translate(_LOWERED)}}}$", text)
        return text.translate(_SIGNS) + r" \\"

    body = [escaped(cells) for cells in _cells(rows, "$^*$")]
    columns = "ll" + "r" * (len(_HEADINGS) - 2)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\hline", escaped(list(_HEADINGS)), r"\hline", *body, r"\hline"]
    return f"% {NOTE}\n% * {SOURCE}.\n" + "\n".join([*lines, r"\end{tabular}"]) + "\n"


def _cells(rows: pd.DataFrame, mark: str) -> list[list[str]]:
    return [
        [
            str(row["label"]) + (mark if row["kind"] == "published" else ""),
            *(_MISSING if pd.isna(row[key]) else str(row[key]) for key in _COUNTS),
            *(_score(row, score) for score in PAPER),
        ]
        for row in rows.to_dict("records")
    ]


def _score(row: Mapping[Hashable, Any], score: str) -> str:
    column = PAPER[score]
    factor = 100 if column.percent else 1
    mean, error = row[score] * factor, row[f"{score}_stderr"] * factor
    if math.isnan(mean):
        return _MISSING
    if row["kind"] == "published":
        return f"{mean:g}"
    return plus_minus(mean, error, column.decimals)
