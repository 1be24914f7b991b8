"""A zarr folder as zarr sees it: regular files within it, and nothing that a link leads to outside of it."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from txm2sem_core.errors import InputError
from txm2sem_core.io.files import check_within
from txm2sem_core.io.guards import check_fits
from txm2sem_core.io.zarr_folders import METADATA

_SWELL = 32  # bytes of Python's values to a character of JSON, at most
_SMALL = 2**20


class FolderStore(LocalStore):
    """zarr's store of a folder, to read; a file is looked at before it is opened."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, read_only=True)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """A file, or a part of it; None where there is none."""
        if not await asyncio.to_thread(is_sound, self.root, key):
            return None
        return await super().get(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Several of them."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """As `get`."""
        return super().get_sync(key, prototype=prototype, byte_range=byte_range) if is_sound(self.root, key) else None


def is_sound(folder: Path, key: str) -> bool:
    """Whether there is a file under a key of a zarr folder.

    Raises:
        InputError: it is no regular file, leads out of the folder, or is larger than the memory.
    """
    path = folder / key
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISDIR(found.st_mode):
        return False
    check_within(folder, path, folder, f"its part {key}")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{folder}: its part {key} is not a file, but a pipe or a device. Make it again.")
    if path.name in METADATA:
        check_fits(path, _SWELL * found.st_size, "reading this file")
    elif found.st_size > _SMALL:
        check_fits(path, found.st_size, "this file")
    return True


def stored_bytes(folder: Path, enough: int) -> int:
    """Bytes of the files below a folder; counting ends at `enough`. Links are not followed."""
    total, waiting = 0, [str(folder)]
    while waiting and total < enough:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total
