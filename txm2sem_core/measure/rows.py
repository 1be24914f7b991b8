"""Rows of tables from what the jobs of single volumes have left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from txm2sem_core import io
from txm2sem_core.metrics.gaps import as_row


def rows_of_runs(runs: Sequence[tuple[str, int | str]], files: Iterable[str | Path]) -> list[dict[str, Any]]:
    """One row a run: variant, seed, and the metrics of its JSON, with the reasons of those that are missing."""
    pairs = zip(runs, files, strict=True)
    return [{"variant": variant, "seed": seed, **as_row(io.read_json(Path(file)))} for (variant, seed), file in pairs]
