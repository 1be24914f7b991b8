"""What packed data unpack to, bounded while they are unpacked: a kilobyte may stand for gigabytes.

The libraries that unpack chunks for zarr and HDF5 go on until the data end. Here the size that a packed piece announces
is read from its header, or, where it announces none, it is unpacked no further than to the bound.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from typing import Any, Protocol

_STEP = 2**20
_DEFLATE_RATIO = 1032  # deflate cannot pack better
_SLACK = 2**16  # headers of a packing within a packing
_DICTIONARY = 2**26  # of LZMA, beside what it unpacks to
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class TooLargeError(ValueError):
    """A packed piece would unpack to more than its bound."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a packed part unpacks to more than the {most} bytes that its place has")


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes | bytearray: ...


def bound_of(n_bytes: int) -> int:
    """What a piece of `n_bytes` may take between two of several packings."""
    return n_bytes + n_bytes // 8 + _SLACK


def unpacked_stream(kind: str, data: bytes, most: int, lzma_format: int | None, lzma_filters: Any) -> bytes:
    """Unpack `zlib`, `gzip`, `bz2` or `lzma`, streams one after the other as well, to at most `most` bytes.

    Raises:
        TooLargeError: there is more.
        ValueError, OSError, EOFError, zlib.error, lzma.LZMAError: damaged, or cut short.
    """
    parts: list[bytes] = []
    room = most
    while data:
        if kind in ("zlib", "gzip"):
            part, data = _inflated(data, room, most)
        else:
            stream: _Stream = bz2.BZ2Decompressor() if kind == "bz2" else _lzma(lzma_format, lzma_filters, most)
            part = bytes(stream.decompress(data, room + 1))
            if len(part) > room:
                raise TooLargeError(most)
            if not stream.eof and not (kind == "lzma" and lzma_format == lzma.FORMAT_RAW):
                raise EOFError("cut short")
            data = stream.unused_data
        parts.append(part)
        room -= len(part)
        if kind == "gzip":
            data = data.lstrip(b"\0")  # padding, which gzip allows
        elif kind == "zlib":
            break  # one stream, as zlib.decompress has it
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _inflated(data: bytes, room: int, most: int) -> tuple[bytes, bytes]:
    """One stream of zlib or gzip, and what stands behind it."""
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
    part = stream.decompress(data, room + 1)
    if len(part) > room:
        raise TooLargeError(most)
    if not stream.eof:
        raise EOFError("cut short")
    return part, stream.unused_data


def _lzma(format_: int | None, filters: Any, most: int) -> lzma.LZMADecompressor:
    if format_ == lzma.FORMAT_RAW:  # the size of its dictionary stands in the metadata
        for one in filters or ():
            if not isinstance(one, dict) or int(one.get("dict_size", 0)) > max(_DICTIONARY, most):
                raise TooLargeError(most)
        return lzma.LZMADecompressor(format=format_, filters=filters)
    kind = lzma.FORMAT_AUTO if format_ is None else format_
    return lzma.LZMADecompressor(format=kind, memlimit=_DICTIONARY + 2 * most)


def check_deflated(data: bytes, most: int) -> None:
    """TooLargeError if a zlib or gzip stream unpacks to more than `most` bytes; what it holds is thrown away."""
    if len(data) * _DEFLATE_RATIO <= most:
        return
    stream, room = zlib.decompressobj(zlib.MAX_WBITS | 32), most
    while not stream.eof and data:
        room -= len(stream.decompress(data, _STEP))
        if room < 0:
            raise TooLargeError(most)
        data = stream.unconsumed_tail


def could_swell(packed: int, most: int) -> bool:
    """Whether so many bytes of a deflate stream could unpack to more than `most`."""
    return packed * _DEFLATE_RATIO > most


def check_announced(kind: str, data: bytes, most: int) -> None:
    """See that a piece packed by `blosc`, `lz4`, `szip` or `zstd` announces at most `most` bytes.

    Raises:
        TooLargeError: it announces more.
        ValueError, struct.error: its header is damaged, or (`zstd`) announces nothing.
    """
    size = {"blosc": _blosc_size, "lz4": _first_size, "szip": _first_size, "zstd": _zstd_size}[kind](data)
    if size > most:
        raise TooLargeError(most)


def _blosc_size(data: bytes) -> int:
    n_bytes, _, packed = struct.unpack_from("<III", data, 4)
    if packed > len(data):
        raise ValueError(f"cut short: {len(data)} of {packed} bytes")
    return int(n_bytes)


def _first_size(data: bytes) -> int:
    return int(struct.unpack_from("<I", data)[0])


def _zstd_size(data: bytes) -> int:
    """The content size in the header of the frame (RFC 8878, 3.1.1.1)."""
    if data[:4] != _ZSTD_MAGIC:
        raise ValueError("no zstd frame")
    flag, single, dictionary = data[4] >> 6, data[4] >> 5 & 1, data[4] & 3
    if flag == 0 and not single:
        raise ValueError("a zstd frame that does not announce its size")
    start = 5 + (not single) + (0, 1, 2, 4)[dictionary]
    width = (1, 2, 4, 8)[flag]
    size = int.from_bytes(data[start : start + width], "little")
    return size + 256 if width == 2 else size


def unpacked_zstd(data: bytes, most: int) -> bytes:
    """Unpack zstd frames to at most `most` bytes, of which a buffer is made.

    Raises:
        imagecodecs.ZstdError (a RuntimeError): damaged, or there is more.
    """
    import imagecodecs  # here alone: it takes long to load

    return bytes(imagecodecs.zstd_decode(data, out=most))
