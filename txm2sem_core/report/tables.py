"""The tables of `metrics/` as the report shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from txm2sem_core import io
from txm2sem_core.catalogue.metrics import metric_of
from txm2sem_core.catalogue.tables import TABLES, Table
from txm2sem_core.metrics.gaps import NOT_MEASURED
from txm2sem_core.report.page import PairedTest, TableEntry

METRIC = "metric"  # the column of a table with one row a metric
LONGEST = 300  # rows; of a longer table the first are shown
PAIRED_COLUMNS = ("first", "second", "score", "difference", "low", "high", "unit", "slices")
# of columns that hold no metric
HEADINGS = {
    "measured_share": "Share measured",
    "box_z_px": "Box z / voxels",
    "box_y_px": "Box y / voxels",
    "box_x_px": "Box x / voxels",
    "label": "Variant",
    "seed": "Seed",
    "slices": "Slices",
    "damaged": "Share damaged",
    "of": "Error of",
    NOT_MEASURED: "Not measured, and why",
}


def read_tables(folder: Path, names: Sequence[str]) -> list[TableEntry]:
    """The tables among `names` that lie in `folder` and are shown by themselves, in the order of `TABLES`.

    Args:
        folder: `metrics/` of a sample.
        names: files of this run; others in the folder may be left from an earlier one.
    """
    shown = {f"{table.name}.csv": table for table in TABLES if table.title}
    return [_entry(folder / name, shown[name]) for name in shown if name in names and (folder / name).exists()]


def read_paired(folder: Path, names: Sequence[str]) -> list[PairedTest]:
    """The paired tests of `pairs.csv`, for the verdict; none where there is no such table or it has other columns."""
    path = folder / "pairs.csv"
    if path.name not in names or not path.exists():
        return []
    table = io.read_csv(path)
    if not set(PAIRED_COLUMNS) <= set(table.columns):
        return []
    return rows_of(table[list(PAIRED_COLUMNS)])  # type: ignore[return-value]


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows, each column's name to its value; what is missing in a column of words is None."""
    words = {str(key) for key in table.columns if not pd.api.types.is_numeric_dtype(table[key])}
    return [
        {str(key): None if key in words and pd.isna(value) else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]


def _entry(path: Path, look: Table) -> TableEntry:
    table = _with_titles(look.rows(io.read_csv(path)))
    note = look.note
    if len(table) > LONGEST:
        note = f"{note} The first {LONGEST} of {len(table)} rows; all of them are in {path}.".strip()
        table = table.head(LONGEST)
    rows = rows_of(table)
    label = [key for key in look.label if key in table]
    shown = [key for key in look.columns if key in table] or [str(k) for k in table.columns if k not in label]
    for row in rows:
        row["label"] = ", ".join(_words(row[key]) for key in label)
    shown = [key for key in shown if not (key.endswith("_stderr") and f"{key.removesuffix('_stderr')}_mean" in shown)]
    keys = ["label"] * bool(label) + [key for key in shown if not table[key].isna().all()]
    columns = [(key, _heading(key, look), _digits(key, table, look)) for key in keys]
    return {"key": path.stem, "title": look.title, "note": note, "columns": columns, "rows": rows}


def _with_titles(table: pd.DataFrame) -> pd.DataFrame:
    """A table with one row a metric, by the metrics' headings; those that have none are not shown."""
    if METRIC not in table:
        return table
    known = {name: metric.heading for name in table[METRIC] if (metric := metric_of(str(name))) and metric.title}
    return table[table[METRIC].isin(known)].assign(**{METRIC: table[METRIC].map(known)})


def _words(value: Any) -> str:
    return str(value).replace("_", " ")


def _digits(key: str, table: pd.DataFrame, look: Table) -> int:
    """Digits after the point or, less than 0, so many significant ones."""
    if key != "label" and _is_whole(table[key]):
        return 0
    return -look.significant if look.significant else _decimals(key)


def _is_whole(column: pd.Series) -> bool:
    """Whether all numbers of a column are whole, as counts are, though a missing one made them floats."""
    known = column.dropna()
    return pd.api.types.is_numeric_dtype(known) and bool((known % 1 == 0).all())


def _heading(key: str, look: Table) -> str:
    metric = metric_of(key)
    known = look.headings.get(key) or HEADINGS.get(key) or (metric.heading if metric else "")
    return known or key.replace("_", " ").strip().capitalize()


def _decimals(key: str) -> int:
    metric = metric_of(key)
    return metric.decimals if metric else 3
