"""The arrays of an OME-Zarr volume: its levels, their files, and the means that make a pyramid.

A unit is `UNIT_Z` slices of a level, all of the plane and all channels. It is stored in files of its own. Of OME-Zarr
0.5 (zarr 3) these are shards of `UNIT_Z` x `SHARD_YX` x `SHARD_YX` voxels at most, in which the chunks that a viewer
fetches lie. OME-Zarr 0.4 (zarr 2) has no shards: each chunk of `UNIT_Z` x `CHUNK_YX` x `CHUNK_YX` voxels is a file,
without a checksum, which zarr 2 has no place for.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from txm2sem_core.io.atomic import remove, sync
from txm2sem_core.io.files import check_within
from txm2sem_core.io.tables import sha256_file
from txm2sem_core.io.units import Unit, padded_length, plan_blocks, plan_units

if TYPE_CHECKING:
    import zarr

UNIT_Z = 16
CHUNK_YX = 256
SHARD_YX = 1024
_LEVEL_BELOW = 256  # the pyramid ends at the first level whose longest in-plane side is no longer than this
Version = Literal["0.4", "0.5"]
"""Of OME-Zarr."""
Shape = tuple[int, int, int]
Block = tuple[tuple[slice, slice, slice], np.ndarray]
"""Where along z, y, x, and the voxels [Z, Y, X], or [C, Z, Y, X] with channels."""


def level_shapes(shape: Shape) -> list[Shape]:
    """(Z, Y, X) of every level, from the volume itself on; each is half the one before, rounded up."""
    shapes = [shape]
    while max(shapes[-1][1:]) > _LEVEL_BELOW:
        z, y, x = ((n + 1) // 2 for n in shapes[-1])
        shapes.append((z, y, x))
    return shapes


class ZarrLevels:
    """The levels of a volume on disk, written unit by unit; without OME metadata, so that nobody takes it for one.

    Two processes may write the same unit at the same time: each writes for itself, and then renames whole files.
    """

    def __init__(
        self, path: Path, shape: Shape, dtype: np.dtype, channels: int, scratch: Path, version: Version = "0.5"
    ) -> None:
        """Open what is at `path`, or make it without voxels.

        Args:
            path: the zarr group.
            shape: (Z, Y, X) of the volume.
            dtype: of the voxels.
            channels: of an axis before z, or 0 for none.
            scratch: a folder on the same file system, for files that are being written.
            version: of OME-Zarr.
        """
        self.path, self.dtype, self.channels, self.version = path, dtype, channels, version
        self.shapes = level_shapes(shape)
        self._scratch = scratch
        if not path.exists():
            self._create()

    def units(self, level: int) -> list[Unit]:
        """The units of a level."""
        return plan_units(self.shapes[level][0], UNIT_Z)

    def array(self, level: int) -> zarr.Array:
        """The array of a level, to read."""
        import zarr

        return zarr.open_array(self.path / str(level), mode="r")

    def read(self, level: int, unit: Unit) -> np.ndarray:
        """A unit's voxels, [Z, Y, X] or [C, Z, Y, X]."""
        return np.asarray(self.array(level)[..., unit.z0 : unit.z1, :, :])

    def write(self, level: int, blocks: Iterable[Block]) -> dict[str, str]:
        """Write the blocks that make up one unit; returns the SHA-256 of every file, by its path in the group."""
        import zarr

        own = self._scratch / uuid.uuid4().hex
        try:
            own.mkdir(parents=True)
            description = "zarr.json" if self.version == "0.5" else ".zarray"
            shutil.copyfile(self.path / str(level) / description, own / description)
            array = zarr.open_array(own, mode="r+").with_config({"write_empty_chunks": True})
            for (z, y, x), voxels in blocks:
                array[..., z, y, x] = voxels
            return self._move(own, level)
        finally:
            remove(own)

    def halve(self, level: int, unit: Unit) -> Iterator[Block]:
        """A unit of `level` as means of 2 x 2 x 2 voxels of the level before, one block of shard size after another."""
        finer, (_, height, width) = self.array(level - 1), self.shapes[level]
        for y, x in plan_blocks((height, width), SHARD_YX):
            around = [slice(2 * part.start, 2 * part.stop) for part in (slice(unit.z0, unit.z1), y, x)]
            means = mean_of_eight(np.asarray(finer[..., around[0], around[1], around[2]]))
            yield (slice(unit.z0, unit.z1), y, x), means

    def _create(self) -> None:
        import zarr

        own = self._scratch / uuid.uuid4().hex
        group = zarr.create_group(own, zarr_format=3 if self.version == "0.5" else 2)
        several = bool(self.channels)
        for level, shape in enumerate(self.shapes):
            chunks = (min(UNIT_Z, shape[0]), min(CHUNK_YX, shape[1]), min(CHUNK_YX, shape[2]))
            group.create_array(
                str(level),
                shape=(self.channels, *shape) if several else shape,
                dtype=self.dtype,
                chunks=(1, *chunks) if several else chunks,
                **(self._as_zarr_3(shape, chunks) if self.version == "0.5" else self._as_zarr_2()),
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.rename(own, self.path)
        except OSError:
            if not self.path.exists():
                raise
            remove(own)  # another process was faster, and made the same

    @property
    def _axes(self) -> tuple[str, ...]:
        return ("c", "z", "y", "x") if self.channels else ("z", "y", "x")

    def _as_zarr_3(self, shape: Shape, chunks: Shape) -> dict[str, Any]:
        from zarr.codecs import BloscCodec, Crc32cCodec

        shards = tuple(
            min(padded_length(n, chunk), most)
            for n, chunk, most in zip(shape, chunks, (UNIT_Z, SHARD_YX, SHARD_YX), strict=True)
        )
        return {
            "shards": (1, *shards) if self.channels else shards,
            # a checksum after each chunk: one that was changed later cannot be read, whoever reads it
            "compressors": [BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"), Crc32cCodec()],
            "dimension_names": self._axes,
        }

    def _as_zarr_2(self) -> dict[str, Any]:
        import numcodecs

        return {
            "compressors": numcodecs.Blosc(cname="zstd", clevel=1, shuffle=numcodecs.Blosc.BITSHUFFLE),
            "chunk_key_encoding": {"name": "v2", "separator": "/"},
            "fill_value": 0,
            "attributes": {"_ARRAY_DIMENSIONS": list(self._axes)},  # by which xarray knows them
        }

    def _move(self, own: Path, level: int) -> dict[str, str]:
        digests = {}
        folders = set()
        described = ("zarr.json", ".zarray", ".zattrs")
        for file in sorted(path for path in own.rglob("*") if path.is_file() and path.name not in described):
            sync(file)
            name = f"{level}/{file.relative_to(own).as_posix()}"
            digests[name] = sha256_file(file)
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.parent not in folders:
                check_within(self.path, target.parent, self.path, "a folder")
            os.replace(file, target)
            folders.add(target.parent)
        for folder in sorted(folders):
            sync(folder)
        return digests


def mean_of_eight(voxels: np.ndarray) -> np.ndarray:
    """Mean of 2 x 2 x 2 voxels of [..., Z, Y, X], in the same dtype; an odd last plane, row or column is repeated.

    Whole numbers are rounded to the nearest, and halves to the even one, as NumPy does.
    """
    *lead, depth, height, width = voxels.shape
    halved = np.empty((*lead, (depth + 1) // 2, (height + 1) // 2, (width + 1) // 2), dtype=voxels.dtype)
    whole = voxels.dtype.kind in "iu"
    wide = np.dtype(f"{voxels.dtype.kind}{min(2 * voxels.dtype.itemsize, 8)}") if whole else np.dtype(np.float32)
    pad = [(0, 0)] * len(lead) + [(0, height % 2), (0, width % 2)]
    for z in range(halved.shape[-3]):  # by pairs of planes: wider copies of all would be several times as large
        pair = np.add(voxels[..., 2 * z, :, :], voxels[..., min(2 * z + 1, depth - 1), :, :], dtype=wide)
        pair = np.pad(pair, pad, mode="edge")
        rows = pair[..., ::2, :] + pair[..., 1::2, :]
        total = rows[..., ::2] + rows[..., 1::2]
        halved[..., z, :, :] = (total + 3 + (total >> 3 & 1)) >> 3 if whole else total / np.float32(8)
    return halved
