"""Digests of files of data: of their whole content, and of which file is which.

A file is read once. After that, its entry in the file system is compared: size, time of the last write, time of the
last change of any kind (ctime) and inode. Nobody can set the time of change back. So a file that was exchanged,
renamed, or written with its old time restored is read again. Digests are kept in the user's own cache (`user_cache`) by
the path of the file, so that received results cannot supply digests of their own.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io import Volume
from txm2sem_core.io.litter import files_below
from txm2sem_core.io.mounts import mount_of
from txm2sem_core.io.readers.hdf5 import split_dataset
from txm2sem_core.provenance.user_cache import Kept

_BLOCK = 64 * 2**20  # bytes that one thread reads at a time, also of one large file
_PIECE = 2**20
_BATCH = 1024  # blocks that are handed out at once
_SAY_EVERY_S = 5.0
# Younger changes are not believed: another one within the same tick of a file system's clock would not be seen.
_YOUNG_NS = 10 * 10**9
# File systems that keep a time of change which no user can set. On a network the server keeps it, for all its machines
# alike. Files on others (FAT, sshfs) are read at every start.
_KEEPS_CHANGES = {
    *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "bcachefs", "tmpfs", "ramfs", "overlay"),
    *("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs", "wekafs", "panfs"),
    *("cifs", "smb3", "ntfs3", "fuseblk", "9p", "virtiofs"),
}


class _File(NamedTuple):
    folder: Path  # the folder that was given, or that the file lies in
    name: str  # within it
    path: Path


def raw_digest(paths: Iterable[Path]) -> str:
    """A digest of the content of files and folders, which does not change when they are moved, copied or touched.

    It holds the order of `paths`, the name of each file (within its folder, for a folder), and every byte. What file
    managers leave in a folder is no part of it (`io.litter`).

    Raises:
        InputError: a path is missing or cannot be read, or a file changes meanwhile.
    """
    files = [file for path in paths for file in _files(Path(path))]
    digest = hashlib.sha256()
    for file, content in zip(files, _contents(files), strict=True):
        digest.update(f"{file.name}:{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def volume_digest(volume: Volume) -> str:
    """A digest that distinguishes volumes: of all content of its files, and of one slice as it is read.

    Of a volume that is no file, all of its voxels. The same of its mask and of its further scans, where it has any.
    """
    path, _ = split_dataset(Path(volume.source))
    depth, from_file = volume.shape[0], path.exists()
    digest = hashlib.sha256(f"{volume.shape} {volume.dtype} {raw_digest([path]) if from_file else ''}".encode())
    for z in range(depth // 2, depth // 2 + 1) if from_file else range(depth):
        digest.update(np.ascontiguousarray(volume.read(z, z + 1)).tobytes())
    if volume.mask is not None:
        digest.update(volume_digest(volume.mask).encode())
    for other in volume.further:
        digest.update(volume_digest(other).encode())
    return digest.hexdigest()


def files_mark(paths: Iterable[Path]) -> str | None:
    """A digest of what the file system says of files and folders, without reading any: with another content, another.

    It is another one after a copy too. None where a change need not show: on a file system that keeps no time of
    change, or within seconds of the last one.

    Raises:
        InputError: a path is missing or cannot be reached.
    """
    digest, newest = hashlib.sha256(), 0
    for file in (file for path in paths for file in _files(split_dataset(Path(path))[0])):
        mark = _mark(file.path)
        newest = max(newest, int(mark.split()[2]))
        digest.update(f"{file.name}:{mark}\n".encode("utf-8", "surrogateescape"))
        if not _is_kept_track_of(file.folder):
            return None
    return digest.hexdigest() if time.time_ns() - newest > _YOUNG_NS else None


def know_files(folder: Path, written: Mapping[str, tuple[str, int]]) -> None:
    """Keep digests that were taken when files were written, so that `raw_digest` of their folder need not read them.

    Left out are files that have changed since, or seconds ago.

    Args:
        folder: that the files are in.
        written: by the path of a file in the folder: its SHA-256, and a time after it was put there, in ns by the clock
            of the file system.
    """
    here = folder.resolve()
    if not _is_kept_track_of(here):
        return
    for name, (content, after_ns) in written.items():
        try:
            mark = _mark(folder / name)
        except InputError:  # whoever needs the file will say so
            continue
        changed_ns = int(mark.split()[2])
        # of a larger file the digest is made of those of its blocks
        if _size(mark) <= _BLOCK and changed_ns <= after_ns and time.time_ns() - changed_ns > _YOUNG_NS:
            _kept_of(here).put(name, [mark, content])
    _kept_of(here).save()


def _files(path: Path) -> Iterator[_File]:
    if path.is_dir():
        folder = path.resolve()
        found = [file for file in files_below(path) if file.is_file()]
        for name in sorted(os.path.relpath(file, path) for file in found):
            yield _File(folder, Path(name).as_posix(), path / name)
    elif path.is_file():
        yield _File(path.parent.resolve(), path.name, path)
    else:
        raise InputError(f"{path}: there is no such file or folder. Check the path.")


def _contents(files: list[_File]) -> list[str]:
    """The digest of each file's content, read where it is not known."""
    marks = [_mark(file.path) for file in files]
    found = [_known(file, mark) for file, mark in zip(files, marks, strict=True)]
    unknown = [number for number, content in enumerate(found) if content is None]
    read = _read([(files[number].path, _size(marks[number])) for number in unknown])
    for number, content in zip(unknown, read, strict=True):
        file, mark = files[number], marks[number]
        if _mark(file.path) != mark:
            raise InputError(
                f"{file.path}: this file changes while it is read. Wait until whatever writes it is done, and start "
                "again."
            )
        found[number] = content
        if _is_kept_track_of(file.folder) and time.time_ns() - int(mark.split()[2]) > _YOUNG_NS:
            _kept_of(file.folder).put(file.name, [mark, content])
    for folder in {files[number].folder for number in unknown}:
        _kept_of(folder).save()
    return [content for content in found if content is not None]


def _known(file: _File, mark: str) -> str | None:
    kept = _kept_of(file.folder).get(file.name)
    return kept[1] if isinstance(kept, list) and len(kept) == 2 and kept[0] == mark else None


@cache
def _kept_of(folder: Path) -> Kept:
    return Kept(f"files-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]}")


def _mark(path: Path) -> str:
    """What the file system says of a file's content: another content has another mark."""
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: this file cannot be reached ({error.strerror}). Check the path.") from error
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _size(mark: str) -> int:
    return int(mark.split()[0])


@cache
def _is_kept_track_of(folder: Path) -> bool:
    """Whether the file system of a folder keeps a time of change that nobody can set; as Linux tells."""
    kind = mount_of(folder).kind
    return kind in _KEEPS_CHANGES if sys.platform == "linux" else os.name == "posix"


def _read(files: list[tuple[Path, int]]) -> Iterator[str]:
    """The digests of files of known sizes, in order; of a large file, that of the digests of its blocks."""
    blocks = [
        (number, path, start, min(_BLOCK, size - start))
        for number, (path, size) in enumerate(files)
        for start in range(0, max(size, 1), _BLOCK)
    ]
    parts: list[list[bytes]] = [[] for _ in files]
    said = _ReadingProgress(sum(size for _, size in files))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for first in range(0, len(blocks), _BATCH):
            batch = blocks[first : first + _BATCH]
            for (number, _, _, length), part in zip(batch, pool.map(_read_block, batch), strict=True):
                parts[number].append(part)
                said.add(length)
    for digests in parts:
        yield (digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()).hex()


def _read_block(block: tuple[int, Path, int, int]) -> bytes:
    _, path, start, length = block
    digest, buffer = hashlib.sha256(), memoryview(bytearray(min(_PIECE, max(length, 1))))
    try:
        with open(path, "rb", buffering=0) as stream:
            stream.seek(start)
            while length > 0 and (count := stream.readinto(buffer[: min(_PIECE, length)])):
                digest.update(buffer[:count])
                length -= count
    except OSError as error:
        raise InputError(f"{path}: this file cannot be read ({error.strerror}). Check its rights.") from error
    return digest.digest()


class _ReadingProgress:
    """Reports on stderr the progress of a long reading."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._at = total, 0, time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._at >= _SAY_EVERY_S:
            self._at = time.monotonic()
            done, total = self._done / 2**30, self._total / 2**30
            print(f"txm2sem: files that are new or have changed: {done:.1f} of {total:.1f} GiB read", file=sys.stderr)
