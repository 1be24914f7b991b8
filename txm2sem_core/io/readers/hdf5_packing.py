"""What the chunks of an HDF5 dataset unpack to, before HDF5 unpacks them: its filters go on until the data end."""

from __future__ import annotations

import itertools
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from txm2sem_core.errors import InputError
from txm2sem_core.io.guards import FEW_BYTES, check_pieces
from txm2sem_core.io.unpacking import TooLargeError, bound_of, check_announced, check_deflated, could_swell

if TYPE_CHECKING:
    import h5py

# registered numbers of filters: https://github.com/HDFGroup/hdf5_plugins, docs/RegisteredFilterPlugins.md
_DEFLATE, _SHUFFLE, _FLETCHER, _SZIP, _NBIT, _SCALE_OFFSET = range(1, 7)
_LZF, _BLOSC, _LZ4, _BITSHUFFLE, _ZSTD = 32000, 32001, 32004, 32008, 32015
_UNPACKED = {_SHUFFLE, _FLETCHER}
_READ = {_DEFLATE, _SZIP, _NBIT, _SCALE_OFFSET, _LZF, _BLOSC, _LZ4, _BITSHUFFLE, _ZSTD}
_MOST_KNOWN = 2**20


class Packing:
    """How a dataset is packed, and which of its chunks were looked at."""

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        """Look at its chunks' shape and its filters.

        Raises:
            InputError: chunks that are too large or too many, or filters whose result cannot be bounded.
        """
        self.chunk: tuple[int, ...] = tuple(int(n) for n in dataset.chunks or ())
        self.filter, self._values = 0, tuple[int, ...]()
        self._most = bound_of(math.prod(self.chunk) * dataset.dtype.itemsize)
        self._known: set[tuple[int, ...]] = set()
        if not self.chunk:
            return
        check_pieces(f"{path}:{dataset.name}", self.chunk, dataset.shape, dataset.dtype.itemsize, "chunk")
        made = dataset.id.get_create_plist()
        for index in range(made.get_nfilters()):
            number, _, values, name = made.get_filter(index)
            if number in _UNPACKED:
                continue
            if number not in _READ or self.filter:
                kind = name.decode("ascii", "replace") if isinstance(name, bytes) else name
                raise InputError(
                    f"{path}:{dataset.name}: its chunks are packed by the filter {number} {kind}, or by several, which "
                    "is not read. Save it with gzip compression or none."
                )
            self.filter, self._values = number, tuple(values)
        if self.filter in (_NBIT, _SCALE_OFFSET) and math.prod(self._values[2:5:2]) > self._most:
            raise InputError(f"{path}:{dataset.name}: its chunks unpack to more than their size. Export it again.")

    def check(self, dataset: h5py.Dataset, first: int, last: int) -> None:
        """Look at the chunks that hold slices `first` to `last`, if they could unpack to more than their size.

        Raises:
            TooLargeError: one does.
            ValueError, RuntimeError, OSError, struct.error: one is damaged.
        """
        if self.filter in (0, _NBIT, _SCALE_OFFSET):
            return
        *lead, depth, height, width = self.chunk
        steps = [range(0, n, size) for n, size in zip(dataset.shape[:-3], lead, strict=True)]
        steps += [range(first // depth * depth, min(last + 1, dataset.shape[-3]), depth)]
        steps += [range(0, dataset.shape[-2], height), range(0, dataset.shape[-1], width)]
        for position in itertools.product(*steps):
            if position not in self._known:
                self._check_chunk(dataset, position)
                if len(self._known) < _MOST_KNOWN:
                    self._known.add(position)

    def _check_chunk(self, dataset: h5py.Dataset, position: tuple[int, ...]) -> None:
        info = dataset.id.get_chunk_info_by_coord(position)
        if info.byte_offset is None or not info.size:  # never written
            return
        if info.size > self._most:
            raise TooLargeError(self._most)
        # zlib is asked only where it could be asked to fill more than a small volume: it takes as long as reading
        if self.filter == _DEFLATE and not could_swell(info.size, max(self._most, FEW_BYTES)):
            return
        _, data = dataset.id.read_direct_chunk(position)
        if self.filter == _DEFLATE:
            check_deflated(data, self._most)
        elif self.filter == _LZF:
            import imagecodecs  # here alone: it takes long to load

            imagecodecs.lzf_decode(data, out=self._most)
        elif self.filter in (_LZ4, _BITSHUFFLE):
            packed = self.filter == _LZ4 or (len(self._values) > 4 and self._values[4])
            if packed and struct.unpack_from(">Q", data)[0] > self._most:
                raise TooLargeError(self._most)
        else:
            check_announced({_SZIP: "szip", _BLOSC: "blosc", _ZSTD: "zstd"}[self.filter], data, self._most)
