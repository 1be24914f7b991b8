"""Whether two results folders of the same configuration agree: to the byte, or as far as two machines can.

One machine gives the same bytes. Another kind of processor adds up in another order; a training then drifts apart as
with another seed, and so do its predictions. Their differences are shown, but it is the scores that must agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io.litter import files_below, is_litter

# what holds times, or repeats what does, and the folder's own description; hidden files are Snakemake's, or a cache
_LEFT_OUT = {"logs", "benchmarks", "crate", "provenance.json", "ro-crate-metadata.json", "README.md"}
_REPORT = "report.html"  # the whole run's, or a sample's page
_SLABS = "slabs"  # folder of what the jobs of a volume report, which is as many as there were jobs
_VOLUME, _DIGEST = ".ome.zarr", ".digest"
_KINDS = {"models": "models", "volumes": "volumes", "predictions": "predictions", "metrics": "tables"}
_KINDS |= {"figures": "figures", "figures_data": "figures"}
OTHERS = "data"  # raw, registered, patches: what is before the networks
SCORES = "summary.csv"  # the mean scores of every variant
TOLERANCE = 0.15
"""Greatest difference of scores between two machines (see `Compared`), as measured in docs/guides/reproduce.md."""


@dataclass(frozen=True)
class Compared:
    """One result of two folders.

    Attributes:
        name: path in the results folder; a volume is one result.
        kind: scores, models, volumes, predictions, tables, figures or data.
        same: the same bytes.
        difference: of voxels and tables that are not the same: of voxels the root mean square difference in standard
            deviations of the first; of a table the greatest difference in any column of numbers, in greatest values of
            that column. Infinite where shapes, columns or texts differ, or one of the two is missing.
    """

    name: str
    kind: str
    same: bool
    difference: float | None = None
    missing: bool = False

    @property
    def agrees(self) -> bool:
        """It is there, and if it holds the scores, they are within the tolerance."""
        return self.same or not (self.missing or (self.kind == "scores" and (self.difference or 0) > TOLERANCE))


def compare_results(first: Path, second: Path) -> list[Compared]:
    """Compare all results of two folders, but what holds times.

    Raises:
        InputError: one of them holds no results.
    """
    names: list[dict[str, Path]] = []
    for folder in (first, second):
        names.append(dict(_results(folder)))
        if not names[-1]:
            raise InputError(f"{folder}: there are no results. Give the results folder of a finished run.")
    return [_compare(name, *(found.get(name) for found in names)) for name in sorted(names[0].keys() | names[1].keys())]


def agreement_text(compared: list[Compared]) -> str:
    """A table of the kinds, then a line for each result that is not the same to the byte."""
    lines = [f"{'':12}{'results':>8}{'same bytes':>12}{'largest difference':>20}{'tolerance':>11}"]
    for kind in ("scores", *dict.fromkeys(_KINDS.values()), OTHERS):
        own = [result for result in compared if result.kind == kind]
        if own:
            known = [result.difference for result in own if result.difference is not None]
            largest = f"{max(known):.3g}" if known else "-"
            tolerance = f"{TOLERANCE:g}" if kind == "scores" else "-"
            same = sum(result.same for result in own)
            lines.append(f"{kind:12}{len(own):>8}{same:>12}{largest:>20}{tolerance:>11}")
    for result in compared:
        if not result.same:
            by = "other bytes" if result.difference is None else f"{result.difference:.3g}"
            lines.append(f"{'differs' if result.agrees else 'DISAGREES'}: {result.name}: {by}")
    return "\n".join(lines)


def _results(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files by their path; a zarr volume, which is a folder, is one. Digests beside what is compared are left out.

    That of a volume which was not kept (`predict.keep`) stands for it.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        inside = any(part.endswith(".zarr") for part in name.parts[:-1])
        hidden = any(part.startswith(".") for part in name.parts)
        if (
            name.parts[0] in _LEFT_OUT
            or inside
            or hidden
            or name.name == _REPORT
            or _SLABS in name.parts[:-1]
            or is_litter(path.name)
        ):
            continue
        if name.suffix == _DIGEST:
            volume = name.with_suffix(_VOLUME)
            if "volumes" in name.parts[1:2] and not (folder / volume).exists():
                yield volume.as_posix(), path
            continue
        if path.is_file() or path.name.endswith(".zarr"):
            yield name.as_posix(), path


def _compare(name: str, first: Path | None, second: Path | None) -> Compared:
    parts = Path(name).parts
    kind = _KINDS.get(parts[1], OTHERS) if len(parts) > 2 else OTHERS
    kind = "scores" if kind == "tables" and parts[2] == SCORES else kind
    if first is None or second is None:
        return Compared(name, kind, False, np.inf, missing=True)
    if _DIGEST in (first.suffix, second.suffix):  # one of the two was not kept, or neither
        stated = _digest(first), _digest(second)
        missing = None in stated
        return Compared(name, kind, not missing and stated[0] == stated[1], np.inf if missing else None, missing)
    if _bytes(first) == _bytes(second):
        return Compared(name, kind, True)
    if name.endswith(".csv"):
        return Compared(name, kind, False, _table_difference(first, second))
    if kind in ("volumes", "predictions") and Path(name).suffix in (".zarr", ".tif"):
        return Compared(name, kind, False, _voxel_difference(first, second))
    return Compared(name, kind, False)


def _digest(volume: Path) -> str | None:
    """What the job that made a volume left beside it, and which is equal for equal bytes; None where that is not."""
    beside = volume if volume.suffix == _DIGEST else volume.with_name(volume.name.removesuffix(_VOLUME) + _DIGEST)
    try:
        return str(io.read_json(beside)["sha256"])
    except (InputError, KeyError, TypeError):
        return None


def _bytes(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of all in a folder."""
    files = [path] if path.is_file() else sorted(files_below(path))
    return {file.relative_to(path).as_posix(): io.sha256_file(file) for file in files}


def _voxel_difference(first: Path, second: Path) -> float:
    one, other = io.open_volume(first), io.open_volume(second)
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return np.inf
    squares = total = of_squares = 0.0
    for a, b in zip(one.slices(), other.slices(), strict=True):
        if not np.array_equal(np.isnan(a), np.isnan(b)):
            return np.inf
        plane, b = np.nan_to_num(a).astype(np.float64), np.nan_to_num(b)  # not measured in either
        squares += float(((plane - b) ** 2).sum())
        total += float(plane.sum())
        of_squares += float((plane**2).sum())
    count = float(np.prod(one.shape))
    variance = of_squares / count - (total / count) ** 2
    return float(np.sqrt(squares / count / variance)) if variance > 0 else float(np.inf if squares else 0)


def _table_difference(first: Path, second: Path) -> float:
    one, other = io.read_csv(first), io.read_csv(second)
    if list(one.columns) != list(other.columns) or len(one) != len(other):
        return np.inf
    greatest = 0.0
    for column in one.columns:
        numbers = [pd.to_numeric(table[column], errors="coerce").to_numpy(float) for table in (one, other)]
        texts = [table[column].astype(str)[np.isnan(own)] for table, own in zip((one, other), numbers, strict=True)]
        if not texts[0].equals(texts[1]):
            return np.inf
        scale = np.nanmax(np.abs(numbers[0]), initial=0, where=np.isfinite(numbers[0]))
        with np.errstate(invalid="ignore"):  # of infinite ones, which may be the same
            apart = np.nanmax(np.where(numbers[0] == numbers[1], 0, np.abs(numbers[0] - numbers[1])), initial=0)
        greatest = max(greatest, float(apart / scale) if scale else float(np.inf if apart else 0))
    return greatest
