"""How the chunks of a zarr array are unpacked: by codecs that are known, each bounded by the size of its chunk.

zarr finds codecs by the names that stand in the metadata, among them such as run code (`pickle`), and unpacks whatever
they make. Here the array is given a pipeline of the same codecs, if all of them are known, in which those that unpack
stop at the size that a chunk has.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs.abc import Codec as PlainCodec
from numcodecs.compat import ensure_bytes
from zarr.abc.codec import BytesBytesCodec, Codec
from zarr.codecs import ShardingCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer

from txm2sem_core.errors import InputError
from txm2sem_core.io.unpacking import bound_of, check_announced, unpacked_stream, unpacked_zstd

_STREAMS = {"zlib", "gzip", "bz2", "lzma"}
_ANNOUNCED = {"blosc", "lz4"}
# they do not unpack: the result is as large as what they are given, or as its numbers are in another type
_PLAIN = {"bytes", "transpose", "crc32c", "shuffle", "delta", "fixedscaleoffset", "quantize", "bitround", "astype"}
_PLAIN |= {"packbits", "crc32", "adler32", "fletcher32", "jenkins_lookup3"}


def bound_codecs(path: Path, array: zarr.Array) -> None:
    """Have an array unpack by bounded codecs.

    Args:
        path: for the message.
        array: as zarr opened it: its own metadata are looked at, wherever zarr found them.

    Raises:
        InputError: a codec that is not known; names it.
    """
    inner = array.async_array
    pipeline: Any = inner.codec_pipeline
    metadata: Any = array.metadata
    if array.metadata.zarr_format == 2:
        most = bound_of(math.prod(array.chunks) * array.dtype.itemsize)
        filters = tuple(_bounded_plain(path, one, most) for one in metadata.filters or ()) or None
        compressor = metadata.compressor and _bounded_plain(path, metadata.compressor, most)
        (codec,) = pipeline
        codecs: list[Any] = [type(codec)(filters=filters, compressor=compressor)]
    else:
        codecs = [_bounded(path, codec) for codec in pipeline]
    object.__setattr__(inner, "codec_pipeline", type(pipeline).from_codecs(codecs))  # a frozen dataclass


def _bounded(path: Path, codec: Codec) -> Codec:
    """A codec of zarr 3, or one in its place that is bounded."""
    if isinstance(codec, ShardingCodec):
        if unknown := {_name(one) for one in codec.index_codecs} - _PLAIN:
            raise refused_codec(path, min(unknown))
        return ShardingCodec(
            chunk_shape=codec.chunk_shape,
            codecs=[_bounded(path, one) for one in codec.codecs],
            index_codecs=codec.index_codecs,
            index_location=codec.index_location,
        )
    name = _name(codec)
    if name in _PLAIN:
        return codec
    if name in _STREAMS | _ANNOUNCED | {"zstd"} and isinstance(codec, BytesBytesCodec):
        return _Bounded(codec, name)
    raise refused_codec(path, name)


def _name(codec: Codec) -> str:
    """Without the `numcodecs.` of codecs that zarr 3 takes from there."""
    return str(codec.to_dict().get("name", type(codec).__name__)).removeprefix("numcodecs.")


def _bounded_plain(path: Path, codec: Any, most: int) -> Any:
    """A codec of zarr 2, or one in its place that is bounded."""
    name = str(codec.codec_id)
    if name in _PLAIN:
        return codec
    if name in _STREAMS | _ANNOUNCED | {"zstd"}:
        return _BoundedPlain(codec, most)
    raise refused_codec(path, name)


def refused_codec(path: Path, name: str) -> InputError:
    """The message for a codec that is not read."""
    known = ", ".join(sorted(_STREAMS | _ANNOUNCED | {"zstd"}))
    return InputError(
        f"{path}: its chunks are packed by {name}, which is not read: some codecs can run code, and others unpack "
        f"without bounds. Make it again with {known} or none."
    )


def _unpacked(codec: Any, name: str, data: bytes, most: int) -> Any:
    """Data unpacked by a codec of numcodecs, bounded."""
    if name in _STREAMS:
        return unpacked_stream(name, data, most, getattr(codec, "format", None), getattr(codec, "filters", None))
    if name == "zstd":
        return unpacked_zstd(data, most)
    check_announced(name, data, most)
    return codec.decode(data)


class _BoundedPlain(PlainCodec):  # type: ignore[misc]
    """A codec of numcodecs that unpacks to at most so many bytes."""

    codec_id = "bounded"

    def __init__(self, codec: Any, most: int) -> None:
        self._codec, self._most = codec, most

    def encode(self, buf: Any) -> Any:
        raise NotImplementedError("it only reads")

    def decode(self, buf: Any, out: Any = None) -> Any:
        return _unpacked(self._codec, str(self._codec.codec_id), ensure_bytes(buf), self._most)


@dataclass(frozen=True)
class _Bounded(BytesBytesCodec):
    """A codec of zarr 3 that unpacks to at most the size of its chunk."""

    codec: BytesBytesCodec
    name: str
    is_fixed_size = False

    def to_dict(self) -> dict[str, Any]:
        return dict(self.codec.to_dict())

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> _Bounded:
        return _Bounded(self.codec.evolve_from_array_spec(array_spec), self.name)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        return self.codec.compute_encoded_size(input_byte_length, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        most = bound_of(math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize)
        if self.name in _ANNOUNCED:
            check_announced(self.name, chunk_data.to_bytes(), most)
            return await self.codec._decode_single(chunk_data, chunk_spec)
        inner = getattr(self.codec, "_codec", None)  # of numcodecs; those of zarr 3 itself have no settings for reading
        unpacked = await asyncio.to_thread(_unpacked, inner, self.name, chunk_data.to_bytes(), most)
        return chunk_spec.prototype.buffer.from_array_like(np.frombuffer(unpacked, np.uint8))

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError("it only reads")
