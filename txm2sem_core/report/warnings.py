"""Warnings of what could mislead a reader of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.metrics.gaps import NOT_MEASURED
from txm2sem_core.report.page import VolumeEntry
from txm2sem_core.samples.warnings import registration_warnings

FEWEST_PATCHES = 30
FEWEST_SLICES = 4  # with fewer, Student's interval is more than three standard errors to either side
CORRELATED = 0.2  # grey levels of two slices; what lies nearer in the rock shows the same grains


def warn_of(
    summary: Sequence[Mapping[str, Any]],
    quality: pd.DataFrame,
    index: pd.DataFrame,
    volumes: Sequence[VolumeEntry],
    spectra: pd.DataFrame,
    voxel_size_nm: Sequence[float | None],
) -> list[str]:
    """Warnings of one sample, the most important first; refused pairs are reported elsewhere.

    Args:
        summary: rows of the comparison.
        quality: the registration's table.
        index: the patches' table, with `split` and `pair`.
        volumes: the predicted volumes; their metadata hold further warnings.
        spectra: power of the test patches, `metrics/spectra.csv`.
        voxel_size_nm: Z, Y, X of the pairs; None where it is not known.
    """
    found = [
        *registration_warnings(quality),
        *_of_patches(summary, index),
        *_of_close_slices(index, spectra, voxel_size_nm),
    ]
    return [*found, *_of_seeds(summary), *_of_factors(summary), *_of_volumes(volumes)]


def gaps_of(metrics: Path, tables: Sequence[str]) -> list[str]:
    """What could not be measured, and why, by the tables of `metrics/` that have a column for it."""
    found = []
    for name in (table for table in tables if (metrics / table).exists()):
        table = io.read_csv(metrics / name)
        if NOT_MEASURED not in table or table[NOT_MEASURED].isna().all():
            continue
        for reason, own in table.dropna(subset=[NOT_MEASURED]).groupby(NOT_MEASURED, sort=False):
            variants = ", ".join(dict.fromkeys(own["variant"].astype(str).str.replace("_", " ")))
            rows = f" of {len(own)} of {len(table)} rows" if "patch" in own else ""
            found.append(f"Not measured{rows} in {name} ({variants}): {reason}")
    return found


def of_one_phase(metrics: Path, tables: Sequence[str], summary: Sequence[Mapping[str, Any]]) -> list[str]:
    """Volumes that are all pore, or hold none, by `rock.csv`: a sign of thresholds outside of their grey levels.

    Not those of baselines (by `kind` of `summary`): a constant one has one phase, as it must.
    """
    if "rock.csv" not in tables or not (metrics / "rock.csv").exists():
        return []
    table = io.read_csv(metrics / "rock.csv")
    if "porosity" not in table:  # nothing of it was measured
        return []
    baselines = [row["variant"] for row in summary if row.get("kind") == "baseline"]
    table = table[~table["variant"].isin(baselines)]
    shares, found = pd.to_numeric(table["porosity"]), []
    for share in (0.0, 1.0):
        variants = ", ".join(dict.fromkeys(table["variant"][shares == share].astype(str).str.replace("_", " ")))
        if variants:
            found.append(
                f"The porosity of {variants} is {share:.0%}: the grey levels lie on one side of the threshold of the "
                "pores. Look whether measure.thresholds fit them (config/README.md), or whether a network has died."
            )
    return found


def _of_patches(summary: Sequence[Mapping[str, Any]], index: pd.DataFrame) -> list[str]:
    found = []
    patches = min((int(row["n"]) for row in summary), default=0)
    slices = int(index[index["split"] == "test"]["pair"].nunique())
    if summary and patches < FEWEST_PATCHES:
        found.append(f"The scores are of {patches} test patches only: their errors are rough.")
    if summary and slices == 1:
        found.append(
            "All test patches are of one slice: too few slices to tell whether a difference is more than noise, and no "
            "errors are given. Have more slices in patches.split.test."
        )
    elif summary and slices < FEWEST_SLICES:
        found.append(
            f"All test patches are of {slices} slices. Errors and intervals are over slices, so they are wide, and "
            "little is beyond noise. Have more slices in patches.split.test."
        )
    return found


def _of_close_slices(index: pd.DataFrame, spectra: pd.DataFrame, voxel_size_nm: Sequence[float | None]) -> list[str]:
    """Test slices that lie so near each other that they show the same grains, and do not count as several."""
    positions = np.unique(index[index["split"] == "test"]["z"].dropna().to_numpy(dtype=float))
    if positions.size < 2 or voxel_size_nm[0] is None:
        return []
    nearest_nm = float(np.diff(positions).min()) * voxel_size_nm[0]
    alike = _correlation(spectra[spectra["source"] == "sem"], nearest_nm)
    if not alike > CORRELATED:  # NaN among them, where the pixel size is not known
        return []
    return [
        f"Test slices lie as near as {nearest_nm:.0f} nm along z, and over that distance the FIB-SEM's grey levels are "
        f"still correlated by {alike:.2f} (within the plane): the slices are not independent, and errors and intervals "
        "are too narrow. Choose test slices that lie further apart."
    ]


def _correlation(power: pd.DataFrame, distance_nm: float) -> float:
    """Correlation of grey levels so far apart, by their radial power spectrum (Wiener and Khinchin, in the plane)."""
    frequency, density = (power[key].to_numpy(dtype=float) for key in ("frequency_per_nm", "power"))
    turned = np.cos(np.linspace(0, np.pi / 2, 91))  # over all directions in the plane
    waves = np.cos(2 * np.pi * distance_nm * frequency[:, None] * turned).mean(axis=1)
    total = float((density * frequency).sum())
    return float((density * frequency * waves).sum()) / total if total > 0 else math.nan


def _of_seeds(summary: Sequence[Mapping[str, Any]]) -> list[str]:
    single = [row for row in summary if row["kind"] == "learned" and int(row["seeds"]) == 1]
    if not single:
        return []
    which = (
        "Every learned variant"
        if all(int(r["seeds"]) == 1 for r in summary if r["kind"] == "learned")
        else (", ".join(str(row["label"]) for row in single))
    )
    return [
        f"{which} was trained with a single seed: how much another training would differ is not known, and is not in "
        "the errors given."
    ]


def _of_factors(summary: Sequence[Mapping[str, Any]]) -> list[str]:
    coarse = sorted({int(row["factor"]) for row in summary} - {1})
    if not coarse:
        return []
    factors = ", ".join(f"×{factor}" for factor in coarse)
    return [f"Variants of factor {factors} saw TXM images made coarser by computation, not measured so."]


def _of_volumes(volumes: Sequence[VolumeEntry]) -> list[str]:
    """Warnings that the predictions wrote into their volumes; repeated ones are given once."""
    of_text: dict[str, list[str]] = {}
    for volume in volumes:
        for text in _written(Path(volume["path"])):
            of_text.setdefault(text, []).append(volume["variant"].replace("_", " "))
    found = []
    for text, variants in of_text.items():
        of = "all volumes" if len(variants) == len(volumes) > 1 else ", ".join(variants)
        found.append(f"Volume ({of}): {text}")
    return found


def _written(path: Path) -> list[str]:
    return [str(text) for text in io.read_marks(path).get("warnings", [])]
