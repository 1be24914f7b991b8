"""What the report says first: the rock with its intervals, and whether the X-rays agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from txm2sem_core import io
from txm2sem_core.metrics.numerals import significant, significant_interval
from txm2sem_core.report.page import Answer, AnswerRow, XRays

Row = Mapping[str, Any]
AXES = "zyx"
PERCENT, NANODARCY = "%", "nD"
# of the residual, by what volumes of phantoms have (docs/method/measures.md, "Against the TXM")
AS_TRUE, NOT_TRUE = 1.3, 3.0
_DARCIES = ((1e6, "mD"), (1e3, "µD"), (1.0, "nD"))
NOTHING_LEARNED = "No learned variant was measured."
NO_VOLUME = "There is no TXM volume in the sample table, so no volume was predicted and the rock was not measured."
NOT_MEASURED = "The rock of this volume was not measured; the warnings say why."


def best_of(summary: Sequence[Row], sampling: Sequence[str]) -> tuple[Row | None, str]:
    """The row of the variant that speaks for the rock, and why it does.

    Args:
        summary: rows of the comparison, the highest PSNR first.
        sampling: variants that draw samples.
    """
    learned = [row for row in summary if row["kind"] == "learned"]
    full = [row for row in learned if int(row["factor"]) == 1] or learned
    drawn = [row for row in full if row["variant"] in sampling]
    if drawn:
        others = "" if len(drawn) == 1 else ", and has the highest PSNR of those that do"
        return drawn[0], f"it draws samples of the rock{others}; a mean is smooth, and is no rock"
    if full:
        why = "it has the highest PSNR. No variant draws samples (family flow), and a mean has too few pores"
        return full[0], why
    return None, ""


def answer_of(
    folder: Path, tables: Sequence[str], summary: Sequence[Row], sampling: Sequence[str], axis: str
) -> Answer:
    """The answer of one sample.

    Args:
        folder: `metrics/` of the sample.
        tables: files of this run in it.
        summary: rows of the comparison, the highest PSNR first.
        sampling: variants that draw samples.
        axis: of flow: `z`, `y` or `x`.
    """
    best, why = best_of(summary, sampling)
    if best is None:
        return {"variant": "", "why": "", "rows": [], "missing": [NOTHING_LEARNED], "dominating": "", "xrays": None}
    variant, label = str(best["variant"]), str(best["label"])
    given = {name: io.read_csv(folder / name) for name in tables if name in _READ and (folder / name).exists()}
    found: Answer = {"variant": label, "why": why, "rows": [], "missing": [], "dominating": "", "xrays": None}
    if "rock_intervals.csv" not in given:
        return {**found, "missing": [NO_VOLUME]}
    intervals = given["rock_intervals.csv"]
    rows_of = intervals[intervals["variant"] == variant].to_dict("records")
    known: dict[str, Row] = {str(row["metric"]): {str(key): value for key, value in row.items()} for row in rows_of}
    if not math.isfinite(_of(known, "porosity", "mean")):
        return {**found, "missing": [NOT_MEASURED]}
    permeability = f"permeability_{axis}_nd"
    rows = [
        _row("Porosity", PERCENT, known.get("porosity", {})),
        _row(f"Connected porosity, along {axis}", PERCENT, known.get(f"porosity_connected_{axis}", {})),
        _row(f"Permeability, along {axis}", NANODARCY, known.get(permeability, {})),
    ]
    missing, dominating = _missing(known, permeability, drawn=variant in sampling), _dominating(known)
    return {
        **found,
        "rows": rows,
        "missing": missing,
        "dominating": dominating,
        "xrays": _xrays(given.get("consistency.csv"), variant, label),
    }


_READ = ("rock_intervals.csv", "consistency.csv")


def _of(known: Mapping[str, Row], metric: str, key: str) -> float:
    value = known.get(metric, {}).get(key)
    return math.nan if value is None else float(value)


def _row(title: str, unit: str, found: Row) -> AnswerRow:
    """A row of the answer, as text: per cent of a share, darcies as large as the number asks for."""
    keys = ("mean", "low", "high", "rock_low", "rock_high", "truth")
    value, low, high, rock_low, rock_high, truth = (float(found.get(key, math.nan)) for key in keys)
    low, rock_low = (max(end, 0.0) if math.isfinite(end) else end for end in (low, rock_low))  # there is no less
    factor = 100.0
    if unit == NANODARCY:
        size, unit = next(((size, name) for size, name in _DARCIES if abs(value) >= size), _DARCIES[-1])
        factor = 1 / size
    shown, ends = significant_interval(factor * value, factor * low, factor * high)
    wide, ends_of_rock = significant_interval(factor * value, factor * rock_low, factor * rock_high)
    return {
        "title": title,
        "unit": unit,
        "value": shown if ends else wide,
        "interval": ends,
        "rock": ends_of_rock,
        "truth": significant(factor * truth) if math.isfinite(truth) else "",
    }


def _missing(known: Mapping[str, Row], permeability: str, *, drawn: bool) -> list[str]:
    """What is not known, and how to get it."""
    found = []
    if not math.isfinite(_of(known, "porosity", "low")):
        parts = {"samples": _of(known, "porosity", "samples"), "finite_size": _of(known, "porosity", "finite_size")}
        parts = {key: 100 * part for key, part in parts.items() if math.isfinite(part)}
        texts = {
            "samples": "samples of one training differ by {} percentage points of porosity",
            "finite_size": "a volume of this size by {} from the rock around it",
        }
        alone = " and ".join(texts[key].format(significant(part, 2)) for key, part in parts.items())
        found.append(
            "No 90 % interval is known: it needs two trainings at least, and this variant was trained once. Write "
            "seeds: [0, 1, 2] into the configuration, and run it again."
            + (f" What is known (standard deviations): {alone}." if alone else "")
        )
    if not math.isfinite(_of(known, permeability, "mean")):
        how = "samples" if drawn else "true"
        found.append(
            f"Permeability was not solved. Write measure: {{rock: {{flow: {how}}}}} into the configuration, and run it "
            "again; where it was, the warnings say why there is no value."
        )
    return found


def _dominating(known: Mapping[str, Row]) -> str:
    """Which part of the porosity's interval is the greatest, in a sentence; empty where it has none."""
    parts = {key: _of(known, "porosity", key) for key in ("trainings", "samples", "finite_size")}
    parts = {key: part for key, part in parts.items() if math.isfinite(part)}
    if not parts or not math.isfinite(_of(known, "porosity", "rock_low")):
        return ""
    greatest = max(parts, key=lambda key: parts[key])
    return {
        "trainings": "For porosity, what differs most is the training: more seeds make the intervals narrower.",
        "samples": "For porosity, what differs most is the sample: the TXM leaves that much open.",
        "finite_size": "For porosity, the volume's size leaves most open: only a larger volume says more of the rock.",
    }[greatest]


def _xrays(table: pd.DataFrame | None, variant: str, label: str) -> XRays | None:
    """Whether the measured TXM is what the predicted volume would show."""
    if table is None or "txm_residual_rms" not in table:
        return None
    residuals = pd.to_numeric(table["txm_residual_rms"])
    own, true = residuals[table["variant"] == variant], residuals[table["variant"] == "truth"]
    if own.dropna().empty:
        return None
    residual, reference = float(own.mean()), float(true.mean()) if len(true) else math.nan
    text = f"The measured TXM differs from what {label} would show by {significant(residual, 2)} times its noise"
    if math.isfinite(reference):
        text += f", from what the true volume would show by {significant(reference, 2)} times"
    status: Literal["yes", "partly", "no"] = "yes" if residual <= AS_TRUE else "no" if residual > NOT_TRUE else "partly"
    scale = {
        "yes": "That is as little as for true volumes of phantoms, 0.9 to 1.3.",
        "partly": "For true volumes of phantoms it is 0.9 to 1.3, for those shifted by one slice 1.5 to 1.9: details "
        "are wrong.",
        "no": "For true volumes of phantoms it is 0.9 to 1.3, for those of another rock about 10: this cannot be "
        "right.",
    }[status]
    blur = "What is finer than the blur of the TXM is not judged."
    return {"status": status, "text": f"{text}. {scale} {blur}"}
