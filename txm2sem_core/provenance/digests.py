"""Digests of raw files and of our own source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.errors import InputError

_WHOLE_BYTES = 64 * 2**20  # files up to this size are digested whole, of larger ones three samples of a megabyte
_SAMPLE_BYTES = 2**20
_CACHE_NAME = ".raw_digests.json"


def source_files(*modules: str) -> list[Path]:
    """The source files of modules or subpackages of this package (`training`, `losses`, `metrics/image`)."""
    files = []
    for module in modules:
        place = Path(__file__).parents[1] / module
        files += sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return files


def source_digest(*modules: str) -> str:
    """SHA-256 over `source_files`."""
    digest = hashlib.sha256()
    for file in source_files(*modules):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def raw_digest(paths: Iterable[Path], cache_folder: Path) -> str:
    """A digest of the content of files and folders, which does not change when they are copied or touched.

    Files are read once: what they gave is kept in `cache_folder` as long as their size and time of change stay the
    same. Of a file larger than 64 MiB its size and a megabyte at the start, middle and end are read. A file of that
    name that is no such record stays as it is, and nothing is kept.

    Raises:
        InputError: a path is missing.
    """
    cache_path = cache_folder / _CACHE_NAME
    cache = _read_cache(cache_path)
    ours = cache is not None or not os.path.lexists(cache_path)
    cache = cache or {}
    digest, changed = hashlib.sha256(), False
    for path in paths:
        for file in _files(path):
            status = file.stat()
            mark = [status.st_size, status.st_mtime_ns]
            known = cache.get(str(file))
            if known is None or known[:2] != mark:
                cache[str(file)] = known = [*mark, _file_digest(file, status.st_size)]
                changed = True
            digest.update(f"{file.name}:{known[2]}\n".encode())
    if changed and ours:
        with io.working_path(cache_path) as temporary:
            io.write_json(temporary, cache)
    return digest.hexdigest()


def _read_cache(path: Path) -> dict[str, list[object]] | None:
    """What earlier calls kept: size, time of change and digest by path; None if it is something else, or not there."""
    if path.is_symlink():
        return None
    try:
        values = io.read_json(path)
    except InputError:
        return None
    whole = isinstance(values, dict) and all(isinstance(kept, list) and len(kept) == 3 for kept in values.values())
    return values if whole else None


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if not path.is_file():
        raise InputError(f"{path}: there is no such file or folder. Check the path.")
    return [path]


def _file_digest(file: Path, size: int) -> str:
    if size <= _WHOLE_BYTES:
        return io.sha256_file(file)
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as stream:
        for start in (0, size // 2, size - _SAMPLE_BYTES):
            stream.seek(start)
            digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()
