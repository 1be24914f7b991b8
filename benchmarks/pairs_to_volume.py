"""How near each variant of config/benchmarks/pairs-to-volume.yaml comes to the truth: pixels, phases, rock.

    snakemake --configfile config/benchmarks/pairs-to-volume.yaml --cores 2 --resources gpu=1
    python benchmarks/pairs_to_volume.py results/pairs-to-volume [--figure FILE.png]

Reads the tables that the run left, and prints Markdown. A sample whose name is `rock` and a number is one of several
rocks of the same kind: their errors are averaged, with the standard deviation from rock to rock. Errors of a variant
are averaged over its seeds first.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.measure.rock import measure_rock
from txm2sem_core.measure.volumes import measure_volume

Row = pd.Series
SAME_KIND = "rocks"


@dataclass(frozen=True)
class Measure:
    """A column of the comparison: of a variant's row and the truth's, each of both tables."""

    tier: str
    title: str
    value: Callable[[Row, Row], float]
    form: str = "{:.2f}"
    best: float = 0.0  # what the truth itself has


def relative(column: str) -> Callable[[Row, Row], float]:
    """The error as a share of the truth."""
    return lambda found, truth: abs(found[column] / truth[column] - 1) if truth[column] else float("nan")


def difference(column: str) -> Callable[[Row, Row], float]:
    """The absolute error, of what may be 0 in the truth."""
    return lambda found, truth: abs(found[column] - truth[column])


def connected(found: Row, truth: Row) -> float:
    """Of the porosity connected along the axis where the truth has most, which is the axis of flow."""
    axis = max("zyx", key=lambda axis: truth[f"porosity_connected_{axis}"])
    return relative(f"porosity_connected_{axis}")(found, truth)


def phases(found: Row, truth: Row) -> float:
    """Mean absolute error of the phases' shares."""
    columns = [column for column in truth.index if re.fullmatch(r"fraction_\d", column)]
    return float(np.mean([abs(found[column] - truth[column]) for column in columns]))


def own(column: str) -> Callable[[Row, Row], float]:
    """As it stands in the table."""
    return lambda found, truth: found[column]


MEASURES = (
    Measure("pixels", "PSNR / dB", own("psnr"), "{:.2f}", float("inf")),
    Measure("pixels", "SSIM", own("ssim"), "{:.3f}", 1.0),
    Measure("pixels", "change along z, explained", own("continuity_explained"), "{:.2f}", 1.0),
    Measure("pixels", "its ratio", own("continuity_ratio"), "{:.2f}", 1.0),
    Measure("phases", "shares of the phases, error", phases, "{:.3f}"),
    Measure("phases", "porosity, error", relative("porosity"), "{:.0%}"),
    Measure("rock", "surface, error", relative("specific_surface_per_um"), "{:.0%}"),
    Measure("rock", "Euler number, error / um^-3", difference("euler_per_um3"), "{:.1f}"),
    Measure("rock", "chord along z, error", relative("mean_chord_z_nm"), "{:.0%}"),
    Measure("rock", "two-point along z, error", own("two_point_error_z"), "{:.4f}"),
    Measure("rock", "connected porosity, error", connected, "{:.0%}"),
)


def kind_of(sample: str) -> str:
    """Samples whose names are `rock` and a number are of one kind."""
    return SAME_KIND if re.fullmatch(r"rock\d+", sample) else sample


def read_rock(metrics: Path) -> pd.DataFrame:
    """The table of the rock of one sample."""
    return pd.read_csv(metrics / "rock.csv", dtype={"variant": str, "seed": str, "sample": str})


def errors_of(volume: Path, sample: Path, folder: Path) -> dict[str, float]:
    """The errors of one more volume of a phantom in the results; `folder` is new and takes what is measured."""
    patches, settings = sample / "patches", MeasureSettings()
    truth = sample / "raw" / "truth" / "sem.tif"
    measure_volume(volume, truth, patches, settings, folder / "volume.json", folder / "spectra.csv")
    measure_rock(volume, patches, settings, folder / "rock.json")
    found = pd.Series({**io.read_json(folder / "rock.json"), **io.read_json(folder / "volume.json")})
    true = read_rock(sample / "metrics").query("variant == 'truth'").iloc[0]
    return {measure.title: measure.value(found, true) for measure in MEASURES}


def read_errors(results: Path) -> pd.DataFrame:
    """One row for each sample, variant and measure, averaged over the seeds: sample, kind, variant, measure, value."""
    rows = []
    for metrics in sorted(results.glob("*/metrics")):
        if not (metrics / "rock.csv").exists() or not (metrics / "volumes.csv").exists():
            continue
        sample = metrics.parent.name
        rock = read_rock(metrics)
        truth = rock[rock["variant"] == "truth"].iloc[0]
        of_seeds = rock[rock["seed"] != "all"].groupby(["variant", "seed"], sort=False)
        over_samples = of_seeds.mean(numeric_only=True).reset_index()
        volumes = pd.read_csv(metrics / "volumes.csv", dtype={"variant": str, "seed": str})
        other = [key for key in over_samples.columns if key not in volumes.columns or key in ("variant", "seed")]
        both = volumes.merge(over_samples[other], on=["variant", "seed"])
        for _, found in both[both["seed"].str.isdigit()].iterrows():
            rows += [
                {
                    "sample": sample,
                    "kind": kind_of(sample),
                    "variant": found["variant"],
                    "measure": measure.title,
                    "value": measure.value(found, truth),
                }
                for measure in MEASURES
            ]
    if not rows:
        raise SystemExit(f"{results}: no sample has metrics/rock.csv and metrics/volumes.csv. Run the workflow first.")
    groups = pd.DataFrame(rows).groupby(["kind", "sample", "variant", "measure"], sort=False)
    return groups["value"].mean().reset_index()


def comparison(errors: pd.DataFrame, kind: str) -> str:
    """Markdown: a row for each measure, a column for each variant."""
    of_kind = errors[errors["kind"] == kind]
    variants = list(dict.fromkeys(of_kind["variant"]))
    lines = ["| | " + " | ".join(variants) + " |", "|---" * (len(variants) + 1) + "|"]
    for measure in MEASURES:
        cells = []
        for variant in variants:
            chosen = of_kind[(of_kind["variant"] == variant) & (of_kind["measure"] == measure.title)]["value"].dropna()
            cells.append(cell(chosen, measure.form))
        lines.append(f"| {measure.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(values: pd.Series, form: str) -> str:
    """Mean, and standard deviation from rock to rock."""
    if values.empty:
        return ""
    mean = form.format(values.mean())
    return mean if len(values) == 1 else f"{mean} ± {form.format(values.std())}"


def coverage(results: Path) -> pd.DataFrame:
    """Of the 90 % intervals of each variant and metric: the share of the cases in which they hold what they are for.

    `volume`: the interval over trainings and samples, and the truth of the volume. `rock` knows the finite size of the
    volume too, and is compared with the truth of the volume, as `of_rock` with the mean of the true volumes of the
    other rocks of the kind: what one volume of a rock says of another, of which there must be three at least.
    """
    tables = []
    for path in sorted(results.glob("*/metrics/rock_intervals.csv")):
        sample = path.parents[1].name
        tables.append(pd.read_csv(path).assign(sample=sample, kind=kind_of(sample)))
    if not tables:
        return pd.DataFrame()
    cases = pd.concat(tables)
    cases = cases[(cases["low"] < cases["high"]) & cases["truth"].notna()]
    truths = cases.drop_duplicates(["sample", "metric"]).set_index(["kind", "metric", "sample"])["truth"].sort_index()

    def of_others(case: Row) -> float:
        others = truths[case["kind"], case["metric"]].drop(case["sample"])
        return others.mean() if len(others) > 1 else float("nan")

    expected = cases.apply(of_others, axis=1)
    found = {
        "volume": _holds(cases["low"], cases["truth"], cases["high"]),
        "rock": _holds(cases["rock_low"], cases["truth"], cases["rock_high"]),
        "of_rock": _holds(cases["rock_low"], expected, cases["rock_high"]),
    }
    grouped = cases.assign(**found).groupby(["variant", "metric"], sort=False)
    return grouped.agg(**{key: (key, "mean") for key in found}, cases=("volume", "size")).reset_index()


def _holds(low: pd.Series, value: pd.Series, high: pd.Series) -> pd.Series:
    """1 or 0; NaN where there is no value or no interval."""
    return ((low <= value) & (value <= high)).astype(float).where(value.notna() & low.notna() & high.notna())


def coverage_table(found: pd.DataFrame) -> str:
    """As Markdown: each metric of each variant, and each variant in the mean."""
    lines = ["| | cases | this volume | the rock, by this volume | the rock, by the others |", "|---|---|---|---|---|"]
    for variant, rows in found.groupby("variant", sort=False):
        means = {key: np.average(rows[key], weights=rows["cases"]) for key in ("volume", "rock", "of_rock")}
        whole = pd.DataFrame([{"metric": "all", **means, "cases": rows["cases"].sum()}])
        for _, row in pd.concat([rows, whole]).iterrows():
            shares = [f"{row[key]:.0%}" if np.isfinite(row[key]) else "" for key in means]
            lines.append(f"| {variant}: {row['metric']} | {row['cases']} | {' | '.join(shares)} |")
    return "\n".join(lines)


def draw(errors: pd.DataFrame, file: Path) -> None:
    """A panel for each measure: each sample a dot, each variant a row."""
    import matplotlib.pyplot as plt

    variants = list(dict.fromkeys(errors["variant"]))[::-1]
    figure, axes = plt.subplots(3, 4, figsize=(11, 7.5), sharey=True, layout="constrained")
    for axis, measure in zip(axes.flat, MEASURES, strict=False):
        chosen = errors[errors["measure"] == measure.title]
        for place, variant in enumerate(variants):
            own_rows = chosen[chosen["variant"] == variant]
            same = own_rows["kind"] == SAME_KIND
            values = own_rows["value"]
            axis.plot(values[~same], [place] * int((~same).sum()), "o", mfc="none", color="0.5", ms=5)
            axis.plot(values[same], [place] * int(same.sum()), "o", color="C0", ms=5, alpha=0.7)
        if np.isfinite(measure.best):
            axis.axvline(measure.best, color="0.2", lw=0.8)
        axis.set_title(f"{measure.title}", fontsize=9)
        axis.tick_params(labelsize=8)
    for axis in axes[:, 0]:
        axis.set_yticks(range(len(variants)), variants)
    for axis in axes.flat[len(MEASURES) :]:
        axis.set_axis_off()
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main() -> None:
    """Print the comparison, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    errors = read_errors(given.results)
    for kind in dict.fromkeys(errors["kind"]):
        count = errors[errors["kind"] == kind]["sample"].nunique()
        print(f"\n{kind} ({count})\n\n{comparison(errors, kind)}")
    found = coverage(given.results)
    if len(found):
        print(f"\nThe 90 % intervals hold the truth:\n\n{coverage_table(found)}")
    if given.figure:
        draw(errors, given.figure)


if __name__ == "__main__":
    main()
