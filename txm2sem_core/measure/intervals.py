"""The rock as intervals: each of its metrics over trainings, samples and the size of the volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core.metrics.gaps import NOT_MEASURED
from txm2sem_core.metrics.pores.finite_size import Doubt
from txm2sem_core.metrics.pores.sizes import VOLUME

LEVEL = 0.9
COLUMNS = (
    "variant",
    "metric",
    "seeds",
    "n",
    "mean",
    "std",
    "low",
    "high",
    "rock_low",
    "rock_high",
    "trainings",
    "samples",
    "finite_size",
    "least",
    "greatest",
    "without_path",
    "truth",
    "holds",
)
TRUTH = "truth"
_OF_RUN = ("variant", "seed", "sample", NOT_MEASURED)
_OF_PLACE = ("block", "box_", "measured_share")  # of where was measured, not of the rock


@dataclass(frozen=True)
class Spread:
    """How far volumes of other trainings and samples lie about the mean of those that there are.

    Attributes:
        mean: of the seeds' means.
        trainings: standard deviation that further trainings add, with the doubt of the mean; NaN of a single seed.
        samples: standard deviation of the samples of one training; NaN where each seed has one.
        total: of both together; NaN where that of the trainings is not known.
        degrees: of freedom of `total`.
    """

    mean: float
    trainings: float = math.nan
    samples: float = math.nan
    total: float = math.nan
    degrees: float = math.nan

    @classmethod
    def of(cls, of_seeds: Sequence[NDArray[np.float64]]) -> Spread:
        """Of a metric of the samples of each seed.

        With the variance b of the n seeds' means and the mean variance w within a seed of k samples the variance of one
        more sample of one more training about the mean is b (1 + 1 / n) + w (1 - 1 / k); its degrees of freedom are
        those of Satterthwaite (1946), an approximation: of 2 seeds a 90 % interval holds 85 to 95 %.
        """
        seeds = len(of_seeds)
        if not seeds or not all(np.isfinite(values).all() for values in of_seeds):
            return cls(float(np.mean([values.mean() for values in of_seeds])) if seeds else math.nan)
        means = np.array([values.mean() for values in of_seeds])
        draws = float(np.mean([len(values) for values in of_seeds]))
        within = float(np.mean([values.var(ddof=1) if len(values) > 1 else 0.0 for values in of_seeds]))
        samples = math.sqrt(within) if draws > 1 else math.nan
        if seeds == 1:
            return cls(float(means.mean()), samples=samples)
        parts = float(means.var(ddof=1)) * (1 + 1 / seeds), within * (1 - 1 / draws)
        freedom = seeds - 1, max(seeds * (draws - 1), 1)
        trainings = math.sqrt(max(sum(parts) - within, 0.0))
        return cls(float(means.mean()), trainings, samples, math.sqrt(sum(parts)), pooled_degrees(parts, freedom))

    def interval(self) -> tuple[float, float]:
        """That in which a sample of one more training lies with a probability of 90 %; NaN where it is not known."""
        half = half_width(self.total, self.degrees)
        return self.mean - half, self.mean + half


def pooled_degrees(parts: Sequence[float], freedom: Sequence[float]) -> float:
    """Degrees of freedom of a sum of estimated variances (Satterthwaite, Biometrics Bulletin 2 (1946) 110)."""
    doubt = sum(part**2 / degrees for part, degrees in zip(parts, freedom, strict=True))
    return sum(parts) ** 2 / doubt if doubt else min(freedom)


def half_width(deviation: float, degrees: float) -> float:
    """Of Student's 90 % interval."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + LEVEL) / 2)) * deviation if math.isfinite(deviation) else math.nan


def rock_intervals(volumes: pd.DataFrame, sizes: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each metric of each variant over its volumes, in rows with the columns `COLUMNS`; of the truth in the first rows.

    `low` and `high` are of the volume: what one more training would find in it. `rock_low` and `rock_high` are of the
    rock, of which the volume is a piece: they hold its finite size too, see `finite_size`. The truth has no trainings.

    The means of tortuosity and formation factor are the inverse of the mean conductance, which is 0 for pores that do
    not connect the faces; `without_path` counts such volumes. `holds` says whether the interval holds the metric of the
    true volume, where that is known.

    Args:
        volumes: `variant`, `seed` and metrics, one row a volume; that of the truth is called `truth`.
        sizes: rows of `pores.sizes` of each volume, with `variant`.
    """
    true = volumes[volumes["variant"] == TRUTH]
    whole = {} if sizes is None else _of_volumes(sizes)
    rows = []
    for variant, own in volumes.groupby("variant", sort=False):
        for metric in metrics_of(own):
            doubt = whole.get((str(variant), metric))
            found = _over_volumes(own, metric, doubt, is_true=variant == TRUTH)
            if variant == TRUTH:
                rows.append({"variant": variant, "metric": metric, **found, "truth": math.nan, "holds": None})
                continue
            truth = float(pd.to_numeric(true[metric]).iloc[0]) if len(true) and metric in true else math.nan
            known = math.isfinite(truth) and not math.isnan(found["low"])
            holds = bool(found["low"] <= truth <= found["high"]) if known else None
            rows.append({"variant": variant, "metric": metric, **found, "truth": truth, "holds": holds})
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_volumes(sizes: pd.DataFrame) -> dict[tuple[str, str], Doubt]:
    """The finite size of each variant and metric, its variance averaged over the volumes where it is known."""
    found = {}
    known = sizes[(sizes["of"] == VOLUME) & pd.to_numeric(sizes["std"]).notna()]
    for (variant, metric), own in known.groupby(["variant", "metric"]):
        std = math.sqrt(float(np.square(pd.to_numeric(own["std"])).mean()))
        found[str(variant), str(metric)] = Doubt(std, float(pd.to_numeric(own["degrees"]).min()))
    return found


def metrics_of(volumes: pd.DataFrame) -> list[str]:
    """The columns that are metrics of the rock."""
    return [str(key) for key in volumes.columns if key not in _OF_RUN and not str(key).startswith(_OF_PLACE)]


def _over_volumes(own: pd.DataFrame, metric: str, doubt: Doubt | None, *, is_true: bool) -> dict[str, Any]:
    conductance = _conductance(own, metric)
    values = (pd.to_numeric(own[metric]) if conductance is None else conductance).dropna()
    seeds = pd.Series("", index=own.index) if is_true else own["seed"]
    found = _over_seeds([one.to_numpy(dtype=float) for _, one in values.groupby(seeds)], doubt, is_true=is_true)
    return found if conductance is None else _of_inverses(found, values.to_numpy(dtype=float))


def _conductance(own: pd.DataFrame, name: str) -> pd.Series | None:
    """What a tortuosity or formation factor is the inverse of, 0 without a path; None for other metrics."""
    kind, _, axis = name.rpartition("_")
    if kind not in ("tortuosity", "formation_factor") or f"diffusivity_{axis}_relative" not in own:
        return None
    diffusivity = pd.to_numeric(own[f"diffusivity_{axis}_relative"])
    return diffusivity if kind == "formation_factor" else diffusivity / pd.to_numeric(own["block_porosity"])


def _over_seeds(of_seeds: Sequence[NDArray[np.float64]], doubt: Doubt | None, *, is_true: bool) -> dict[str, Any]:
    values = np.concatenate([*of_seeds, np.zeros(0)])
    several = values.size > 1
    spread = Spread.of(of_seeds)
    low, high = spread.interval()
    rock_low, rock_high = _of_rock(spread, doubt, is_true=is_true)
    return {
        "seeds": len(of_seeds),
        "n": values.size,
        "mean": spread.mean,
        "std": float(values.std(ddof=1)) if several and np.isfinite(values).all() else math.nan,
        "low": low,
        "high": high,
        "rock_low": rock_low,
        "rock_high": rock_high,
        "trainings": spread.trainings,
        "samples": spread.samples,
        "finite_size": math.nan if doubt is None else doubt.std,
        "least": float(values.min()) if several else math.nan,
        "greatest": float(values.max()) if several else math.nan,
    }


def _of_rock(spread: Spread, doubt: Doubt | None, *, is_true: bool) -> tuple[float, float]:
    """The interval of the rock: that of the volume, and its finite size, which has all volumes in common."""
    total, degrees = (0.0, math.inf) if is_true else (spread.total, spread.degrees)
    if doubt is None or not math.isfinite(total) or not math.isfinite(spread.mean):
        return math.nan, math.nan
    parts = [(part**2, own) for part, own in ((total, degrees), (doubt.std, doubt.degrees)) if part > 0]
    if not parts:
        return spread.mean, spread.mean
    variances, freedom = zip(*parts, strict=True)
    half = half_width(math.sqrt(sum(variances)), pooled_degrees(variances, freedom))
    half = max(half, 0.0 if is_true else half_width(total, degrees))  # few trainings have the longer tails
    return spread.mean - half, spread.mean + half


def _of_inverses(found: dict[str, Any], conductances: NDArray[np.float64]) -> dict[str, Any]:
    """Of tortuosities or formation factors, from what was found of their inverses; their own deviations are unknown."""
    without = int(np.count_nonzero(conductances == 0))
    inverse = {"mean": "mean", "low": "high", "high": "low", "least": "greatest", "greatest": "least"}
    inverse |= {"rock_low": "rock_high", "rock_high": "rock_low"}
    spread = dict.fromkeys(("trainings", "samples", "finite_size"), math.nan)
    several = conductances.size > 1 and not without
    return {
        **found,
        **{key: _inverse(found[other]) for key, other in inverse.items()},
        **spread,
        "std": float((1 / conductances).std(ddof=1)) if several else math.nan,
        "without_path": without,
    }


def _inverse(value: float) -> float:
    return math.inf if value <= 0 else 1 / value
