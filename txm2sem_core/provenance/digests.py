"""Digests of raw files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.errors import InputError

_WHOLE_BYTES = 64 * 2**20  # files up to this size are digested whole, of larger ones three samples of a megabyte
_SAMPLE_BYTES = 2**20
_CACHE_NAME = ".raw_digests.json"


def raw_digest(paths: Iterable[Path], cache_folder: Path) -> str:
    """A digest of the content of files and folders, which does not change when they are copied or touched.

    Files are read once: what they gave is kept in `cache_folder` as long as their size and time of change stay the
    same. Of a file larger than 64 MiB its size and a megabyte at the start, middle and end are read.

    Raises:
        InputError: a path is missing.
    """
    cache_path = cache_folder / _CACHE_NAME
    try:
        cache: dict[str, list[object]] = io.read_json(cache_path)
    except InputError:
        cache = {}
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
    if changed:
        io.write_json(cache_path, cache)
    return digest.hexdigest()


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
