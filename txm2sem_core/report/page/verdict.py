"""Does the best learned variant beat the best baseline? Score by score, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from txm2sem_core.catalogue.metrics import METRICS
from txm2sem_core.metrics.numerals import number, plus_minus, significant
from txm2sem_core.report.page.data import PairedTest, TableRow

Status = Literal["yes", "partly", "undecided", "no", "open"]
# a score's key in the tables, its name, unit and digits; the first one chooses the best variant
SCORES = tuple(
    (metric.name, metric.title, f" {metric.unit}" if metric.unit else "", metric.decimals)
    for metric in METRICS.values()
    if metric.decides
)
TOO_FEW = "too few slices to tell"


@dataclass(frozen=True)
class Finding:
    """What one score says of the best learned variant against the baseline that is best in that score."""

    score: str
    status: Literal["yes", "undecided", "no"]
    gain: str  # the difference with its sign and unit
    rival: str  # label of that baseline
    text: str
    has_interval: bool = True  # False where there are too few slices for one


@dataclass(frozen=True)
class Verdict:
    """The verdict for one super-resolution factor.

    Attributes:
        factor: the super-resolution factor.
        status: `yes` where every score says so, `partly` where one does, `undecided` where every difference may be
            noise or there are too few slices to tell, `no` where a baseline is better, `open` where there is nothing to
            compare.
        best: label of the best learned variant, empty where there is none.
        headline: one line.
        findings: what each score says, with numbers.
    """

    factor: int
    status: Status
    best: str
    headline: str
    findings: tuple[Finding, ...] = ()


def verdicts(table: Sequence[TableRow], paired: Sequence[PairedTest] = ()) -> list[Verdict]:
    """The verdict for every super-resolution factor; the best learned variant is that of highest mean PSNR.

    With a paired test of the two variants its interval, over slices, decides. Without, the difference must exceed the
    combined standard errors of both means over slices times Student's factor, which is stricter than need be, since
    both are measured on the same slices. Of a single slice nothing is decided.
    """
    return [
        _verdict(factor, [row for row in table if row["factor"] == factor], paired)
        for factor in sorted({row["factor"] for row in table})
    ]


def _verdict(factor: int, rows: Sequence[TableRow], paired: Sequence[PairedTest]) -> Verdict:
    learned = [row for row in rows if row["kind"] == "learned"]
    baselines = [row for row in rows if row["kind"] == "baseline"]
    if not learned:
        return Verdict(factor, "open", "", "No learned variant was measured.")
    best = max(learned, key=lambda row: row["psnr_mean"])
    if not baselines:
        return Verdict(factor, "open", best["label"], f"{best['label']} is best, but there is no baseline to compare.")
    findings = tuple(_finding(best, baselines, score, paired) for score in SCORES)
    status = _overall([finding.status for finding in findings])
    return Verdict(factor, status, best["label"], _headline(best["label"], status, findings), findings)


def _overall(found: Sequence[str]) -> Status:
    if "yes" not in found:
        return "no" if "no" in found else "undecided"
    return "yes" if set(found) == {"yes"} else "partly"


def _headline(best: str, status: Status, findings: Sequence[Finding]) -> str:
    gains = ", ".join(f"{one.score} {one.gain}" for one in findings)
    rivals = list(dict.fromkeys(one.rival for one in findings))
    over = f"the best baseline, {rivals[0]}" if len(rivals) == 1 else f"the best baselines, {' and '.join(rivals)}"
    if status == "yes":
        return f"{best} beats {over}: {gains}."
    if status == "no" and all(one.status == "no" for one in findings):
        return f"{best}, the best learned variant, does not reach {over}: {gains}."
    if not any(one.has_interval for one in findings):
        return f"{best} against {over}: {TOO_FEW} ({gains})."
    if status == "undecided":
        return f"{best} and {over}, differ by no more than noise: {gains}."
    words = {"yes": "says yes", "undecided": "is undecided", "no": "says no"}
    said = ", ".join(f"{one.score} {words[one.status]} ({one.gain})" for one in findings)
    return f"{best} against {over}: {said}."


def _finding(
    best: TableRow, baselines: Sequence[TableRow], score: tuple[str, str, str, int], paired: Sequence[PairedTest]
) -> Finding:
    key, name, unit, digits = score
    rival = max(baselines, key=lambda row: _mean(row, key))
    difference, low, high, how = _difference(best, rival, key, paired)
    least, greatest = significant(low), significant(high)
    gain = f"{'' if difference < 0 else '+'}{number(difference, digits)}{unit}"
    scores = (
        f"{plus_minus(_mean(best, key), _stderr(best, key), digits)} against "
        f"{plus_minus(_mean(rival, key), _stderr(rival, key), digits)}{unit} ({rival['label']})"
    )
    if math.isnan(low):
        return Finding(name, "undecided", gain, rival["label"], f"{scores}; {TOO_FEW}.", has_interval=False)
    status: Literal["yes", "undecided", "no"] = "yes" if low > 0 else "no" if high < 0 else "undecided"
    noise = "within noise" if status == "undecided" else "beyond noise"
    text = f"{scores}; difference {least} to {greatest}{unit} (95 %, {how}), {noise}."
    return Finding(name, status, gain, rival["label"], text)


def _difference(
    best: TableRow, rival: TableRow, key: str, paired: Sequence[PairedTest]
) -> tuple[float, float, float, str]:
    """Difference, lower and upper end of its interval, and how that was found."""
    for test in paired:
        names, how = (test["first"], test["second"]), f"paired, over {test['slices']} slices"
        if test["score"] == key and names == (best["variant"], rival["variant"]):
            return test["difference"], test["low"], test["high"], how
        if test["score"] == key and names == (rival["variant"], best["variant"]):
            return -test["difference"], -test["high"], -test["low"], how
    difference = _mean(best, key) - _mean(rival, key)
    slices = min(best.get("slices", 1), rival.get("slices", 1))
    if slices < 2:
        return difference, math.nan, math.nan, ""
    from scipy.special import stdtrit

    margin = float(stdtrit(slices - 1, 0.975)) * math.hypot(_stderr(best, key), _stderr(rival, key))
    return difference, difference - margin, difference + margin, f"unpaired, over {slices} slices"


def _mean(row: Mapping, key: str) -> float:
    return float(row[f"{key}_mean"])


def _stderr(row: Mapping, key: str) -> float:
    return float(row[f"{key}_stderr"])
