"""A volume [Z, Y, X] that stays on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from txm2sem_core.errors import InputError, UnreadableError
from txm2sem_core.io.voxel_sizes import VoxelSize


@dataclass(frozen=True)
class Volume:
    """A volume that stays on disk; `read` brings a range of slices into memory.

    Several threads may read at once. A file stays open from the first read until `close`, or until the volume is gone;
    a volume that was closed opens it again when it is read.

    NaN means that a voxel was not measured. A volume that TXM2SEM predicted is `stated`: where it has the value
    `unmeasured`, or NaN, there is no prediction, since nothing was measured there, save in the slices of `whole`; all
    else is one. `mask` is what the user says of it: a volume of the same shape, bool, True where it was measured (see
    `given_masks.with_mask`).
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    voxel_size_nm: VoxelSize | None
    source: str
    _read: Callable[[int, int], np.ndarray]
    channels: int = 1  # of the file; the volume is one of them
    _close: Callable[[], None] | None = None
    stated: bool = False
    unmeasured: float | None = None
    whole: tuple[range, ...] = ()
    mask: Volume | None = None
    thickness: int = 1  # slices that are decoded together
    further: tuple[Volume, ...] = ()  # other scans of the same rock on the same grid, see `scans`
    finer: int = 1  # pixels along y and x that show one of the file
    files: tuple[Path, ...] = ()  # that it is read from, where these are others than its source says
    _read_part: Callable[[slice, slice, slice], np.ndarray] | None = None

    def read(self, z0: int, z1: int) -> np.ndarray:
        """Slices z0 to z1 - 1 as [z1 - z0, Y, X].

        Raises:
            InputError: the range lies outside the volume.
            UnreadableError: a voxel in it is infinite, or the file is damaged or has changed since it was opened.
        """
        if not 0 <= z0 < z1 <= self.shape[0]:
            raise InputError(f"{self.source}: slices {z0} to {z1 - 1} of axis z were asked, it has {self.shape[0]}.")
        return self._checked(lambda: self._read(z0, z1), z0, z1)

    def read_part(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """A box [Z, Y, X] within the volume; where the format has chunks, only those that it touches are decoded.

        Raises:
            UnreadableError: as for `read`.
        """
        part = self._read_part
        if part is not None:
            return self._checked(lambda: part(z, y, x), z.start, z.stop)
        blocks = range(z.start, z.stop, self.thickness)  # never more of the volume at once
        return np.concatenate([self.read(z0, min(z0 + self.thickness, z.stop))[:, y, x].copy() for z0 in blocks])

    def _checked(self, read: Callable[[], np.ndarray], z0: int, z1: int) -> np.ndarray:
        try:
            slab = read()
        except InputError as error:
            raise UnreadableError(error) from error
        if slab.dtype.kind == "f" and np.isinf(slab).any():
            raise UnreadableError(
                f"{self.source}: slices {z0} to {z1 - 1} hold {np.isinf(slab).sum()} infinite voxels, which are no "
                "grey levels. Replace them; NaN stands for what was not measured."
            )
        return slab

    def read_around(self, z: int, context: int) -> np.ndarray:
        """Slices z - context to z + context [2 context + 1, Y, X]; the outermost is repeated at the volume's ends."""
        wanted = np.clip(np.arange(z - context, z + context + 1), 0, self.shape[0] - 1)
        slab = self.read(int(wanted[0]), int(wanted[-1]) + 1)
        return slab[wanted - wanted[0]]

    def slices(self) -> Iterator[np.ndarray]:
        """One slice [Y, X] after the other."""
        for z in range(self.shape[0]):
            yield self.read(z, z + 1)[0]

    @property
    def scans(self) -> tuple[Volume, ...]:
        """The volume and its further scans."""
        return (self, *self.further)

    @property
    def has_parts(self) -> bool:
        """Whether `read_part` decodes less than whole slices."""
        return self._read_part is not None

    def remembering(self, most_bytes: int) -> Self:
        """The same volume, which keeps slices that are read one by one, up to so many bytes; for one thread."""
        kept: dict[int, np.ndarray] = {}

        def read(z0: int, z1: int) -> np.ndarray:
            if z1 - z0 > 1:
                return self._read(z0, z1)
            if z0 in kept:
                return kept[z0]
            slab = self._read(z0, z1)
            if sum(one.nbytes for one in kept.values()) + slab.nbytes <= most_bytes:
                kept[z0] = slab
            return slab

        return replace(self, _read=read)

    def close(self) -> None:
        """Close the files behind the volume and its further scans."""
        for volume in self.scans:
            if volume._close is not None:
                volume._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def of_array(cls, array: np.ndarray, voxel_size_nm: VoxelSize | None = None, source: str = "array") -> Self:
        """A volume already in memory."""
        if array.ndim != 3:
            raise InputError(f"a volume [Z, Y, X] is needed, the array has shape {array.shape}.")
        shape = (array.shape[0], array.shape[1], array.shape[2])
        return cls(shape, array.dtype, voxel_size_nm, source, lambda z0, z1: array[z0:z1])
