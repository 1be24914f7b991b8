"""A reconstructed volume of a Zeiss Xradia microscope (.txm), slice by slice through `olefile` (extra `zeiss`).

The file is a compound document (OLE2). Its streams: `ImageInfo/ImageWidth`, `ImageHeight`, `NoOfImages`, `ImagesTaken`,
`DataType` (3 uint8, 5 uint16, 10 float32), `PixelSize` in micrometres, and `ImageData{n}/Image{i}`, i from 1, a hundred
to a storage: as in dxchange (De Carlo et al. 2014, J. Synchrotron Rad. 21, 1224) and Diamond's txrm2tiff.
"""

from __future__ import annotations

import math
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.io.files import open_file
from txm2sem_core.io.guards import Fingerprint, Handle, check_declared
from txm2sem_core.io.tiff import DAMAGE
from txm2sem_core.io.volume import Volume

ZEISS_SUFFIXES = (".txm", ".txrm")
_IMAGES_A_STORAGE = 100
_DTYPES = {
    2: np.int8,
    3: np.uint8,
    4: np.int16,
    5: np.uint16,
    6: np.int32,
    7: np.uint32,
    10: np.float32,
    11: np.float64,
}
_UM_NM = 1e3
_LARGEST_HEADER = 2**20  # bytes of a stream of numbers, as the angles


def open_zeiss(path: Path) -> Volume:
    """Open a reconstruction; its voxels are cubes of `PixelSize`.

    Raises:
        ConfigError: the extra `zeiss` is not installed.
        InputError: damaged, incomplete, of an unknown type, or projections at several angles instead of slices.
    """
    try:
        import olefile
    except ImportError as error:
        raise ConfigError(f"{path}: Zeiss files need the extra `zeiss`: pip install olefile.") from error
    before = Fingerprint.of(path)
    _check_sectors(path)
    handle = Handle(partial(olefile.OleFileIO, str(path)), lambda ole: ole.close())
    try:
        with handle.use() as ole:
            shape, dtype, size_nm = _header(path, ole)
    except DAMAGE as error:
        raise _damaged(path, error, "this Zeiss file") from error

    def read(z0: int, z1: int) -> np.ndarray:
        try:
            with handle.use() as ole:
                slab = np.stack([_slice(ole, z, shape[1:], dtype) for z in range(z0, z1)])
        except DAMAGE as error:
            before.check()
            raise _damaged(path, error, f"slices {z0} to {z1 - 1}") from error
        before.check()
        return slab

    size = None if size_nm is None else (size_nm, size_nm, size_nm)
    return Volume(shape, dtype, size, str(path), read, _close=handle.close)


def _check_sectors(path: Path) -> None:
    """See that sectors are of a size that the format has: olefile makes room for what the header says."""
    with open_file(path) as file:
        head = file.read(34)
    if len(head) < 34 or struct.unpack_from("<HH", head, 30) not in ((9, 6), (12, 6)):  # powers of two
        raise _damaged(path, ValueError("its sectors are of no known size"), "this Zeiss file")


def _header(path: Path, ole: Any) -> tuple[tuple[int, int, int], np.dtype, float | None]:
    height, width, number, kind = (
        _numbers(ole, f"ImageInfo/{name}", "i")[0] for name in ("ImageHeight", "ImageWidth", "NoOfImages", "DataType")
    )
    if ole.exists("ImageInfo/ImagesTaken") and (taken := _numbers(ole, "ImageInfo/ImagesTaken", "I")[0]) != number:
        raise InputError(f"{path}: {number} slices are announced, {taken} were written. Export it again.")
    if kind not in _DTYPES or min(height, width, number) < 1:
        raise InputError(f"{path}: data type {kind} and shape {(number, height, width)} are not supported.")
    _check_angles(path, ole)
    dtype = np.dtype(_DTYPES[kind])
    check_declared(path, (number, height, width), dtype.itemsize, path.stat().st_size)
    for z in (0, number - 1):
        if not ole.exists(_stream(z)) or ole.get_size(_stream(z)) != height * width * dtype.itemsize:
            raise ValueError(f"stream {_stream(z)} is missing or too short")
    pixel_um = _numbers(ole, "ImageInfo/PixelSize", "f")[0] if ole.exists("ImageInfo/PixelSize") else 0.0
    known = np.isfinite(pixel_um) and pixel_um > 0
    return (number, height, width), dtype, float(pixel_um) * _UM_NM if known else None


def _check_angles(path: Path, ole: Any) -> None:
    if path.suffix.lower() == ".txrm" and ole.exists("ImageInfo/Angles"):
        angles = _numbers(ole, "ImageInfo/Angles", "f")
        if max(angles) - min(angles) > 1e-3:
            raise InputError(
                f"{path}: these are projections at angles from {min(angles):g} to {max(angles):g} degrees, not slices. "
                "Give the reconstruction (.txm)."
            )


def _numbers(ole: Any, stream: str, kind: str) -> tuple[Any, ...]:
    if ole.get_size(stream) > _LARGEST_HEADER:
        raise ValueError(f"stream {stream} is of {ole.get_size(stream)} bytes")
    data = ole.openstream(stream).read()
    return struct.unpack(f"<{len(data) // 4}{kind}", data[: len(data) // 4 * 4])


def _stream(z: int) -> str:
    return f"ImageData{z // _IMAGES_A_STORAGE + 1}/Image{z + 1}"


def _slice(ole: Any, z: int, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    if ole.get_size(_stream(z)) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"stream {_stream(z)} is of {ole.get_size(_stream(z))} bytes")
    plane = np.frombuffer(ole.openstream(_stream(z)).read(), dtype.newbyteorder("<"))
    return plane.reshape(shape).astype(dtype)


def _damaged(path: Path, error: BaseException, what: str) -> InputError:
    reason = " ".join(str(error).split())[:200]
    return InputError(f"{path}: {what} cannot be read, it is damaged or cut short ({reason}). Export it again.")
