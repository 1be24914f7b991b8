"""Rows of images that wait for others: in memory as far as a bound allows, beyond it in temporary files."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import torch
from torch import Tensor


@dataclass
class WaitingMemory:
    """What all queues of one pass may hold in memory together.

    Attributes:
        most: bytes; None for no bound.
        held: bytes that they hold now.
        written: bytes that were written to temporary files so far.
        folder: where these are.
    """

    most: int | None = None
    held: int = 0
    written: int = 0
    folder: str = field(default_factory=tempfile.gettempdir)

    def takes(self, size: int) -> bool:
        """Whether so many bytes more may be held."""
        return self.most is None or self.held + size <= self.most


@dataclass
class _Written:
    """A band in a file that the system removes once it is closed."""

    file: IO[bytes]
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    def read(self) -> Tensor:
        batch, channels, rows, width = self.shape
        made = torch.empty((batch, rows, width, channels), dtype=self.dtype)
        self.file.seek(0)
        view: Any = made.view(torch.uint8).numpy()
        if self.file.readinto(view.reshape(-1).data) != view.size:  # type: ignore[attr-defined]
            raise OSError("a temporary file is shorter than what was written to it")
        self.file.close()
        return made.permute(0, 3, 1, 2).to(self.device)


def _apart(rest: Tensor) -> Tensor:
    """Rows that go on waiting, copied where they alone would keep much more in memory."""
    size = rest.numel() * rest.element_size()
    return rest.clone() if 2 * size <= rest.untyped_storage().nbytes() else rest


class RowQueue:
    """Bands `[B, C, rows, X]` that are put in at the bottom and taken from the top, by any number of rows."""

    def __init__(self, memory: WaitingMemory) -> None:
        self._memory = memory
        self._bands: deque[Tensor | _Written] = deque()

    def put(self, band: Tensor) -> None:
        """Add rows; they are not copied, unless they are written to a file.

        Raises:
            MemoryError: neither memory nor the disk has room for them.
        """
        size = band.numel() * band.element_size()
        if self._memory.takes(size):
            self._memory.held += size
            self._bands.append(band)
            return
        self._bands.append(self._write(band))
        self._memory.written += size

    def _write(self, band: Tensor) -> _Written:
        values = memoryview(band.permute(0, 2, 3, 1).contiguous().cpu().view(torch.uint8).numpy().reshape(-1).data)
        try:
            file = tempfile.TemporaryFile(prefix="txm2sem-", dir=self._memory.folder, buffering=0)  # noqa: SIM115
            while values:
                values = values[file.write(values) :]
        except OSError as error:
            raise MemoryError(f"no room for temporary files in {self._memory.folder}: {error.strerror}") from error
        return _Written(file, band.shape, band.dtype, band.device)

    def take(self, rows: int) -> Iterator[Tensor]:
        """Give the next `rows` rows, in as many pieces as they came in."""
        while rows:
            band = self._bands.popleft()
            if isinstance(band, _Written):
                band = band.read()
                self._memory.held += band.numel() * band.element_size()
            piece, rest = band[:, :, :rows], band[:, :, rows:]
            if rest.shape[2]:
                self._bands.appendleft(_apart(rest))
            self._memory.held -= piece.numel() * piece.element_size()
            rows -= piece.shape[2]
            handed = [piece]
            del band, rest, piece
            yield handed.pop()

    def take_all(self) -> Iterator[Tensor]:
        """Give all rows, band by band."""
        while self._bands:
            yield from self.take(self._bands[0].shape[2])
