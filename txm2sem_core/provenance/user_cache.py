"""A cache of slow look-ups in the user's own cache folder, which received results cannot write to."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from txm2sem_core.errors import Txm2semError
from txm2sem_core.io.atomic import working_path

Mark = tuple[int, int, int, int]
_FILES = 10_000  # of the cache, one for each volume of a run; the oldest are removed


class Kept:
    """Values by key, read once and written once a process. Without a cache folder of one's own nothing is kept."""

    def __init__(self, name: str, most: int | None = None) -> None:
        """Nothing is read before the first `get`.

        Args:
            name: of the file; another form of the values has another name.
            most: so many entries are kept, the newest; all, if not given.
        """
        self._name, self._most = name, most
        self._values: dict[str, Any] | None = None
        self._read_as: Mark | None = None  # the state of the file that was read
        self._fresh: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """The value, or None."""
        if self._values is None:
            self._values = self._read()
        return self._fresh.get(key, self._values.get(key))

    def put(self, key: str, value: Any) -> None:
        """Keep a value, a JSON value, until the process ends and beyond."""
        if not self._fresh:
            atexit.register(self.save)
        self._fresh[key] = value

    def save(self) -> None:
        """Write what is new, with what other processes have written since."""
        file = self._path()
        if file is None or not self._fresh:
            return
        known = self._values is not None and self._read_as == _mark(file)
        merged = self._values or {} if known else self._read()
        merged = {key: value for key, value in merged.items() if key not in self._fresh} | self._fresh
        newest = dict(list(merged.items())[-self._most :]) if self._most else merged
        with contextlib.suppress(OSError, Txm2semError), working_path(file) as temporary:  # it is only for speed
            temporary.write_text(json.dumps(newest, separators=(",", ":")), encoding="utf-8")
            self._values, self._fresh = newest, {}
        _remove_oldest(file.parent)

    def _read(self) -> dict[str, Any]:
        file = self._path()
        self._read_as = None if file is None else _mark(file)
        try:
            values = {} if file is None else json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return values if isinstance(values, dict) else {}

    def _path(self) -> Path | None:
        folder = cache_folder()
        return None if folder is None else folder / f"{self._name}.json"


def _mark(file: Path) -> Mark | None:
    """What tells a file from another that was put in its place; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


@cache
def _remove_oldest(folder: Path) -> None:
    """Once a process, since all of the folder is looked at."""
    with contextlib.suppress(OSError):
        files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        for file in files[:-_FILES]:
            file.unlink(missing_ok=True)


def cache_folder() -> Path | None:
    """`txm2sem` in `XDG_CACHE_HOME` or `~/.cache`, made if need be; None where it cannot be, or is another user's."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "txm2sem"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder if not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid() else None
    except (OSError, RuntimeError):  # RuntimeError: nobody knows where this user's home is
        return None
