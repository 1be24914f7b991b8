"""Whether a folder may take the results of a run: Snakemake removes what stands where a job is to write.

It does so before the job starts, and writes logs and benchmarks, wherever the names lead. So before anything is
planned, what stands in the places of results must have come from a run, and no link may stand among them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from txm2sem_core.errors import InputError
from txm2sem_core.io.litter import is_litter
from txm2sem_core.io.ownership import is_own_volume, listed_files
from txm2sem_core.io.tables import read_json

MARK = ".txm2sem-results"
RECORDS = ".settings"  # folders of what results were made with: of each sample, and of what is of all
_TEXT = "The results of TXM2SEM are in this folder. What lies in the places of results may be replaced by a run.\n"
# folders that a job makes as a whole, and Snakemake removes as a whole before it makes them again
_WHOLE = ("raw", "pairs", "slices", "crate")
_ZARR_PART = re.compile(r"(?:\d+/)?(?:zarr\.json|\.zgroup|\.zarray|\.zattrs)|\d+(?:/c)?(?:/\d+)*")
_OTHERS = (RECORDS, "logs", "benchmarks", "crate", "report.html", "provenance.json", "ro-crate-metadata.json")


def check_results(folder: Path, samples: Iterable[str]) -> None:
    """See that a run may write its results into a folder, and remove there what it has to make again.

    Args:
        folder: of the results; need not exist, and may be a link itself.
        samples: whose folders are in it.

    Raises:
        InputError: a link stands among the results; something stands in their places that no run has left; or lies in
            a folder that is made as a whole. Names it.
    """
    paths = [folder / name for name in (*samples, *_OTHERS)]
    for path in (found for root in paths for found in _entries(root)):
        if path.is_symlink():
            raise InputError(
                f"{path}: a link stands among the results. A run would write, or remove, what it leads to. Remove the "
                "link, or choose another results_dir."
            )
        if (first := _foreign(path)) is not None:
            raise InputError(
                f"{first}: this lies in {path.name}, which a run makes and removes as a whole, and no run has left it. "
                "Move it elsewhere."
            )
    if _is_marked(folder):
        return
    first = next((path for root in paths for path in _entries(root) if not path.is_dir()), None)
    if first is not None:
        raise InputError(
            f"{first}: this stands where a run would leave its results, and no run has left it. Move it elsewhere, or "
            f"choose another results_dir. If an earlier version of TXM2SEM made all of {folder}, make an empty file "
            f"{MARK} in it."
        )


def mark_results(folder: Path) -> None:
    """Leave the mark by which `check_results` knows the results of a run; nothing that stands there is touched."""
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), (folder / MARK).open("x", encoding="utf-8") as file:
        file.write(_TEXT)


def _is_marked(folder: Path) -> bool:
    """By the mark, or by the record of a finished run, which stays where hidden files were not copied."""
    mark = folder / MARK
    if mark.is_file() and not mark.is_symlink():
        return True
    record = _values(folder / "provenance.json")
    return "config_sha256" in record and "txm2sem" in record.get("software", ())


def _foreign(folder: Path) -> Path | None:
    """The first in a folder that is made as a whole which is no part of it, by its names; None where that is not known.

    What is known are the places in an OME-Zarr of ours, and what a JSON of ours in the folder lists (`sha256`).
    """
    volume = folder.name.endswith(".zarr")
    if not (volume or folder.name in _WHOLE) or not folder.is_dir():
        return None
    listed = listed_files(folder) or {}
    if volume and not is_own_volume(folder):
        return None
    if not volume and not listed:
        return None
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if is_litter(path.name) or (path.is_dir() and not volume):
            continue
        if not (_ZARR_PART.fullmatch(name) or name in listed) if volume else name not in listed:
            return path
    return None


def _values(file: Path) -> dict[str, Any]:
    try:
        values = read_json(file)
    except InputError:
        return {}
    return values if isinstance(values, dict) else {}


def _entries(path: Path) -> Iterator[Path]:
    """A path and all below it, but for the chunks of volumes: those are replaced as a whole. No link is followed."""
    if not os.path.lexists(path):
        return
    yield path
    if path.is_symlink() or not path.is_dir():
        return
    for at, folders, files in os.walk(path):
        yield from (Path(at, name) for name in (*folders, *files))
        folders[:] = [name for name in folders if not name.endswith(".zarr")]
