"""Protection of readers: against files that change while read, files that declare too much, and leaking handles."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Self, TypeVar

from txm2sem_core.errors import InputError

# of the memory that is free, what one plane, chunk or strip may claim: it is held twice while it is converted
SHARE_OF_MEMORY = 0.5
# What a file declares is held against what it has. Images of instruments shrink to a tenth; a volume that is almost
# empty, whose chunks of zeros are hardly there, to a thousandth. What a few bytes may claim is that of a small volume.
MOST_DECLARED = 10_000  # bytes of voxels to a byte of the file
FEW_BYTES = 256 * 2**20
MOST_SLICES = 2**20
MOST_PIECES = 2**15  # chunks or tiles in a slice: each is looked for
SMALL_PIECE_BYTES = 128 * 2**20  # a chunk or tile may be larger than the image, as of small ones it is, but not more

T = TypeVar("T")


@dataclass(frozen=True)
class Fingerprint:
    """Size, time of change and identity of files when they were opened."""

    stats: dict[Path, tuple[int, int, int]] = field(repr=False)

    @classmethod
    def of(cls, *paths: Path) -> Self:
        """Take the fingerprint of files.

        Raises:
            InputError: one of them is gone, or may not be looked at.
        """
        return cls({path: _stat(path) for path in paths})

    def check(self, *paths: Path) -> None:
        """Compare those files (all if none is named) with what they were.

        Raises:
            InputError: names the first that has changed.
        """
        for path in paths or self.stats:
            if _stat(path) != self.stats[path]:
                raise InputError(
                    f"{path}: this file changed while it was read. Wait until whatever writes it is done, and start "
                    "again."
                )


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: this file cannot be reached ({error.strerror}). Check the path.") from error
    return found.st_size, found.st_mtime_ns, found.st_ino


class Handle(Generic[T]):
    """An open file that is used by one thread at a time, opened again in a forked process, and closed with its owner.

    A forked process shares the position in the file with its parent, so each needs a file of its own.
    """

    def __init__(self, opener: Callable[[], T], closer: Callable[[T], None]) -> None:
        self._opener, self._closer = opener, closer
        self._file: T | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()

    @contextmanager
    def use(self) -> Iterator[T]:
        """The open file, for this thread alone."""
        if self._process != os.getpid():
            self._file, self._lock, self._process = None, threading.Lock(), os.getpid()
        with self._lock:
            if self._file is None:
                self._file = self._opener()
            yield self._file

    def close(self) -> None:
        """Close the file; `use` opens it again."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None and self._process == os.getpid():
                self._closer(file)

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be ending
            self.close()


def available_memory() -> int:
    """Bytes that can be allocated without swapping, within the limit of the control group where there is one."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):  # not Linux: all memory there is
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 << 30
    for group in _control_groups():
        with suppress(OSError, ValueError):
            bound, used = ((group / name).read_text() for name in ("memory.max", "memory.current"))
            free = min(free, max(int(bound) - int(used), 0))
    return free


def _control_groups() -> list[Path]:
    """Folders of the control group of this process, as a batch system makes one a job, and of all above it."""
    root = Path("/sys/fs/cgroup")
    own = Path("/")
    with suppress(OSError, ValueError):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = Path(next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/"))
    return [root / group.relative_to("/") for group in (own, *own.parents)]


def check_declared(source: str | Path, shape: Sequence[int], itemsize: int, stored: int) -> None:
    """Refuse a volume that declares what its file cannot hold, before anything of that size is made or listed.

    Args:
        source: for the message.
        shape: (Z, Y, X) as the file declares it.
        itemsize: bytes a voxel.
        stored: bytes that the file, or its files, have.

    Raises:
        InputError: more than 2^20 slices, a slice that is larger than the bound of `check_fits`, or more than 256 MiB
            in all and 10,000 times what is stored.
    """
    depth, *plane = shape
    if depth > MOST_SLICES:
        raise InputError(
            f"{source}: it declares {depth} slices; at most {MOST_SLICES} are read. Check the file, or crop it."
        )
    one = math.prod(plane) * itemsize
    if depth * one > max(FEW_BYTES, MOST_DECLARED * stored):
        raise InputError(
            f"{source}: it declares {depth} slices of {' x '.join(map(str, plane))} voxels, {depth * one / 2**30:.1f} "
            f"GiB, but has {stored} bytes. It is cut short, or its voxels were never written. Export it again."
        )
    check_fits(source, one, f"one slice of {' x '.join(map(str, plane))} voxels")


def check_pieces(source: str | Path, piece: Sequence[int], whole: Sequence[int], itemsize: int, what: str) -> None:
    """Refuse chunks or tiles that are larger than the image or the memory, or too many.

    Args:
        source: for the message.
        piece: shape of a chunk or tile.
        whole: shape of the array or page; its last two axes are the slice's.
        itemsize: bytes a voxel.
        what: `chunk` or `tile`.

    Raises:
        InputError: one piece is larger than the bound of `check_fits`, or than 128 MiB and the array; or a slice has
            more than 2^15 of them.
    """
    n_bytes = math.prod(piece) * itemsize
    shown = " x ".join(map(str, piece))
    if n_bytes > max(SMALL_PIECE_BYTES, math.prod(whole) * itemsize):
        raise InputError(
            f"{source}: one {what} of {shown} would take {n_bytes / 2**20:.0f} MiB, the whole image "
            f"{math.prod(whole) * itemsize / 2**20:.3g} MiB. Export it again with smaller ones."
        )
    check_fits(source, n_bytes, f"one {what} of {shown}")
    pieces = math.prod(-(-n // max(1, size)) for n, size in zip(whole[-2:], piece[-2:], strict=True))
    if pieces > MOST_PIECES:
        raise InputError(
            f"{source}: each slice is cut into {pieces} {what}s of {shown}; at most {MOST_PIECES} are read. Export it "
            "again with larger ones."
        )


def check_fits(source: str | Path, n_bytes: int, what: str) -> None:
    """Refuse to unpack what the header says is larger than half of the free memory.

    Raises:
        InputError: it is; names the file, `what`, and both sizes.
    """
    bound = int(SHARE_OF_MEMORY * available_memory())
    if n_bytes > bound:
        raise InputError(
            f"{source}: {what} would take {n_bytes / 2**30:.1f} GiB of memory, at most {bound / 2**30:.1f} GiB (half "
            "of what is free) are allowed. Check the file, crop it, or use a machine with more memory."
        )
