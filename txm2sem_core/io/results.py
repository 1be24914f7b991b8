"""Whether a folder may take the results of a run: Snakemake removes what stands where a job is to write.

It does so before the job starts, and writes logs and benchmarks, wherever the names lead. So before anything is
planned, what stands in the places of results must have come from a run, and no link may stand among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from txm2sem_core.errors import InputError
from txm2sem_core.io.tables import read_json

MARK = ".txm2sem-results"
_TEXT = "The results of TXM2SEM are in this folder. What lies in the places of results may be replaced by a run.\n"
_OTHERS = ("logs", "benchmarks", "crate", "report.html", "provenance.json", "ro-crate-metadata.json")


def check_results(folder: Path, samples: Iterable[str]) -> None:
    """See that a run may write its results into a folder, and remove there what it has to make again.

    Args:
        folder: of the results; need not exist, and may be a link itself.
        samples: whose folders are in it.

    Raises:
        InputError: a link stands among the results; or something stands in their places that no run has left. Names it.
    """
    places = [folder / name for name in (*samples, *_OTHERS)]
    for path in (found for place in places for found in _entries(place)):
        if path.is_symlink():
            raise InputError(
                f"{path}: a link stands among the results. A run would write, or remove, what it leads to. Remove the "
                "link, or choose another results_dir."
            )
    if _is_marked(folder):
        return
    first = next((path for place in places for path in _entries(place) if not path.is_dir()), None)
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
    try:
        record = read_json(folder / "provenance.json")
        return "txm2sem" in record["software"] and "config_sha256" in record
    except (InputError, KeyError, TypeError):
        return False


def _entries(place: Path) -> Iterator[Path]:
    """A path and all below it, but for the chunks of volumes: those are replaced as a whole. No link is followed."""
    if not os.path.lexists(place):
        return
    yield place
    if place.is_symlink() or not place.is_dir():
        return
    for at, folders, files in os.walk(place):
        yield from (Path(at, name) for name in (*folders, *files))
        folders[:] = [name for name in folders if not name.endswith(".zarr")]
