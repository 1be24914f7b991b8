"""A process that reads all there is in a folder, again and again, until it is told to stop.

`python reader.py FOLDER STOP` prints what it saw as JSON: `rounds`; `files`, the SHA-256 of all contents of each file;
`opened`, how often each of the project's readers gave a result; `replaced`, how often one refused what was replaced
under its hands; `faults`, what nobody should ever see. Hidden files are left out: they are being written.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.errors import InputError


def names(folder: Path) -> list[str]:
    """What lies in a folder; listed again if it was replaced meanwhile, for what was listed is being removed then."""
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            found = sorted(name for name in os.listdir(descriptor) if not name.startswith("."))
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return found
        finally:
            os.close(descriptor)


def files_of(folder: Path) -> Iterator[Path]:
    """All files, at any depth."""
    for name in names(folder):
        path = folder / name
        if path.is_dir():
            yield from files_of(path)
        else:
            yield path


def state(path: Path) -> list[tuple[int, int]]:
    """What tells whether a file or folder was replaced."""
    return [(s.st_ino, s.st_mtime_ns) for s in (p.stat() for p in [path, *(files_of(path) if path.is_dir() else [])])]


def read_volume(path: Path) -> None:
    volume = io.open_volume(path)
    volume.read(0, volume.shape[0])


READERS: dict[str, Callable[[Path], Any]] = {
    "*.json": io.read_json,
    "*.csv": io.read_csv,
    "pairs/*.tif": io.read_image,
    "v.tif": read_volume,
    "v.ome.zarr": read_volume,
    "patches": io.read_patch_store,
    "model": load_model,
}


FOLDERS = ("v.ome.zarr", "patches", "model")
SEVERAL = ("patches", "model")  # files that are replaced one after the other; what does not belong together is refused
PATIENCE_S = 60.0  # in which a writer replaces the next one


class Reader:
    """What it read, and what it saw."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rounds = 0
        self.files: dict[str, set[str]] = defaultdict(set)
        self.opened: Counter[str] = Counter()
        self.replaced: Counter[str] = Counter()
        self.faults: list[str] = []

    def read_all(self) -> None:
        """Every file's bytes, then all that has a reader."""
        found: list[Path] = []
        try:
            for path in files_of(self.folder):
                found.append(path)
                name = path.relative_to(self.folder).as_posix()
                self.files[name].add(hashlib.sha256(path.read_bytes()).hexdigest())
        except OSError as error:  # nothing is ever absent
            self.faults.append(f"{type(error).__name__}: {error}")
        else:
            gone = self.files.keys() - {path.relative_to(self.folder).as_posix() for path in found}
            self.faults += [f"{name}: gone" for name in sorted(gone)]
        for pattern, reader in READERS.items():
            for path in [*found, *(self.folder / name for name in FOLDERS)]:
                if path.match(pattern) and path.exists():
                    self.read(pattern, reader, path)
        self.rounds += 1

    def read(self, pattern: str, reader: Callable[[Path], Any], path: Path) -> None:
        try:
            before = state(path)
            try:
                reader(path)
                self.opened[pattern] += 1
            except InputError:
                if state(path) == before and not (pattern in SEVERAL and self.changes(path, before)):
                    raise
                self.replaced[pattern] += 1
        except Exception as error:
            self.faults.append(f"{path.relative_to(self.folder)}: {type(error).__name__}: {error}")

    @staticmethod
    def changes(path: Path, before: list[tuple[int, int]]) -> bool:
        """Whether the writer goes on: else what was refused is there to stay."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if state(path) != before:
                return True
            time.sleep(0.01)
        return False


def main() -> None:
    folder, stop = map(Path, sys.argv[1:])
    reader = Reader(folder)
    reader.read_all()
    print("begun", flush=True)
    while not stop.exists():
        reader.read_all()
    reader.read_all()
    found = vars(reader) | {"folder": str(folder), "files": {name: sorted(all_) for name, all_ in reader.files.items()}}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
