"""The tables that collect the metrics of patches over variants and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.catalogue.metrics import METRICS, OF_PATCHES, PAPER
from txm2sem_core.config import Run
from txm2sem_core.measure.paper_table import latex_table, markdown_table, table_rows
from txm2sem_core.measure.patches import distinct_patches
from txm2sem_core.metrics import (
    holm,
    paired_test,
    summarise,
)

TOO_FEW_SLICES = "too few slices to tell"


def summarise_metrics(
    runs: Sequence[Run],
    tables: Iterable[str | Path],
    spectra: Iterable[str | Path],
    resolutions: Iterable[str | Path],
    output: Path,
) -> None:
    """Collect the patches' scores of all runs.

    Leaves `patches.csv` (tidy: one row a run and patch), `summary.csv` (one row a variant: mean, standard error and
    Student's 95 % interval over slices, of scores averaged over seeds and over the patches of a slice first; and the
    spread over seeds), the same as a table ready for a paper beside the published numbers, `table.csv`, `table.md` and
    `table.tex`; `pairs.csv`, tests between variants over slices. A patch that was drawn several times counts once.
    `spectra.csv` and `resolution.csv` are those of all runs (see `measure_patches`), with `variant` and `seed`, which
    are empty of the TXM and SEM images.
    """
    parts = []
    for run, path in zip(runs, tables, strict=True):
        own = pd.DataFrame([run.columns()])
        parts.append(own.merge(io.read_csv(path), how="cross"))
    tidy = pd.concat(parts, ignore_index=True)
    scored = distinct_patches(tidy)
    summary = pd.DataFrame([_summary_row(group) for _, group in scored.groupby("variant", sort=False)])
    summary = summary.sort_values("psnr_mean", ascending=False, kind="stable")
    io.write_csv(output / "patches.csv", tidy)
    io.write_csv(output / "summary.csv", summary)
    io.write_csv(output / "pairs.csv", _pairs(scored, list(summary["variant"])))
    io.write_csv(output / "spectra.csv", _curves(runs, spectra, ("sem", "txm")))
    io.write_csv(output / "resolution.csv", _curves(runs, resolutions, ("txm",)))
    rows = table_rows(summary)
    io.write_csv(output / "table.csv", rows)
    io.write_text(output / "table.md", markdown_table(rows))
    io.write_text(output / "table.tex", latex_table(rows))


def _curves(runs: Sequence[Run], files: Iterable[str | Path], measured: tuple[str, ...]) -> pd.DataFrame:
    """Curves of all runs; those of the measured images, which all runs share, once and first."""
    parts = []
    for number, (run, file) in enumerate(zip(runs, files, strict=True)):
        table = io.read_csv(file)
        shared = table["source"].isin(measured)
        own = table[~shared].assign(variant=run.label, seed=run.seed)
        parts += [table[shared], own] if number == 0 else [own]
    curves = pd.concat(parts, ignore_index=True)
    curves["seed"] = curves["seed"].astype("Int64")
    return curves[["variant", "seed", *(name for name in curves if name not in ("variant", "seed"))]]


def _pairs(tidy: pd.DataFrame, variants: Sequence[str]) -> pd.DataFrame:
    """Tests between every two variants, of scores averaged over seeds; Holm's correction over the pairs of a score.

    `better` names a variant, is empty where the difference may be noise, and says so where there are too few slices.
    """
    columns = ["score", "first", "second", "n", "slices", "unit", "difference", "low", "high", "p", "p_holm", "better"]
    slices = tidy.drop_duplicates("patch").set_index("patch")["pair"]
    rows = []
    for score in PAPER:
        means = tidy.pivot_table(index="patch", columns="variant", values=score, aggfunc="mean")
        means = means.reindex(columns=list(variants))  # without one whose every score is missing
        tests = []
        for first, second in combinations(variants, 2):
            both = means[[first, second]].dropna()
            if np.isinf(both).any(axis=1).all():
                continue  # equal images: there is no difference to test
            found = paired_test(both[first].to_list(), both[second].to_list(), slices[both.index].to_list())
            values = {k: v for k, v in asdict(found).items() if k != "clusters"}
            tests.append({"score": score, "first": first, "second": second, "slices": found.clusters, **values})
        for test, adjusted in zip(tests, holm([test["p"] for test in tests]), strict=True):
            ahead = (test["difference"] > 0) != METRICS[score].lower_is_better
            better = (test["first"] if ahead else test["second"]) if adjusted < 0.05 else ""
            if math.isnan(adjusted):
                better = TOO_FEW_SLICES
            rows.append({**test, "p_holm": adjusted, "better": better})
    return pd.DataFrame(rows, columns=columns)


def _summary_row(scores: pd.DataFrame) -> dict[str, Any]:
    first = scores.iloc[0]
    row: dict[str, Any] = {
        "variant": first["variant"],
        "label": str(first["variant"]).replace("_", " "),
        "kind": first["kind"],
        "family": first["family"],
        "generator": first["generator"],
        "factor": first["factor"],
        "seeds": max(scores["seed"].nunique(), first["models"]),
        "n": scores["patch"].nunique(),
        "slices": scores["pair"].nunique(),
    }
    slices = scores.groupby("patch")["pair"].first()
    for score in OF_PATCHES:
        patches = scores.groupby("patch")[score].mean().dropna()
        if patches.empty:
            row |= {f"{score}_{name}": math.nan for name in ("mean", "stderr", "low", "high", "seed_spread")}
            continue
        each = summarise(patches, slices[patches.index].to_list())
        row |= {f"{score}_mean": each.mean, f"{score}_stderr": each.stderr}
        row |= {f"{score}_low": each.low, f"{score}_high": each.high}
        row[f"{score}_seed_spread"] = scores.groupby(["seed", "pair"])[score].mean().groupby("seed").mean().std(ddof=1)
    return row | {f"{score}_mean": scores[score].mean() for score in ("psnr_8bit", "ssim_8bit")}
