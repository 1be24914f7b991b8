"""What would mislead a reader of the report, in short sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from txm2sem_core import io
from txm2sem_core.doubts import doubtful_registration
from txm2sem_core.viewer import VolumeEntry

FEWEST_PATCHES = 30
FEWEST_SLICES = 3


def warn_of(
    summary: Sequence[Mapping[str, Any]], quality: pd.DataFrame, index: pd.DataFrame, volumes: Sequence[VolumeEntry]
) -> list[str]:
    """Warnings of one sample, the weightiest first; refused pairs are told elsewhere.

    Args:
        summary: rows of the comparison.
        quality: the registration's table.
        index: the patches' table, with `split` and `pair`.
        volumes: the predicted volumes, whose metadata hold warnings of their own.
    """
    found = [*doubtful_registration(quality), *_of_patches(summary, index), *_of_seeds(summary), *_of_factors(summary)]
    return found + _of_volumes(volumes)


def _of_patches(summary: Sequence[Mapping[str, Any]], index: pd.DataFrame) -> list[str]:
    found = []
    patches = min((int(row["n"]) for row in summary), default=0)
    slices = int(index[index["split"] == "test"]["pair"].nunique())
    if summary and patches < FEWEST_PATCHES:
        found.append(f"The scores are of {patches} test patches only: their errors are rough.")
    if summary and slices < FEWEST_SLICES:
        of = "one slice" if slices == 1 else f"{slices} slices"
        found.append(f"All test patches are of {of}: they resemble each other, so the true errors are larger.")
    return found


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
    """What the predictions wrote into their volumes; what several say is told once."""
    sayings: dict[str, list[str]] = {}
    for volume in volumes:
        for text in _written(Path(volume["path"])):
            sayings.setdefault(text, []).append(volume["variant"].replace("_", " "))
    told = []
    for text, variants in sayings.items():
        of = "all volumes" if len(variants) == len(volumes) > 1 else ", ".join(variants)
        told.append(f"Volume ({of}): {text}")
    return told


def _written(path: Path) -> list[str]:
    metadata = path / "zarr.json"
    if not metadata.exists():
        return []
    return [str(text) for text in io.read_json(metadata).get("attributes", {}).get("txm2sem", {}).get("warnings", [])]
