"""A volume in an MRC file (MRC2014, Cheng et al. 2015, J. Struct. Biol. 192, 146; IMOD's dialect of it).

The header is read here and not by mrcfile: that takes a file without `MAP ` or a known machine stamp for damaged, or
for little-endian, and all bytes for signed. Of mrcfile is the header's layout.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from txm2sem_core.errors import InputError
from txm2sem_core.io.files import open_file
from txm2sem_core.io.guards import Fingerprint, check_declared
from txm2sem_core.io.readers.contiguous import contiguous_reader
from txm2sem_core.io.tiff import DAMAGE, kept_dtype
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize

MRC_SUFFIXES = (".mrc", ".rec", ".map", ".st", ".mrcs")
_PACKED_SUFFIXES = (".gz", ".bz2")
_HEADER_BYTES = 1024
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_REFUSED = {3: "complex numbers", 4: "complex numbers", 16: "colours", 101: "voxels of 4 bits"}
_BITS = {0: 8, 1: 16, 2: 32, 3: 32, 4: 64, 6: 16, 12: 16, 16: 24, 101: 4}  # of a voxel, by mode
_VOLUME_STACKS = range(401, 631)  # space groups
_MRC2014 = 20140  # the first version that says mode 0 is signed
_IMOD_STAMP = 1146047817  # "IMOD", in the header's bytes 152 to 155; flags in the next four
_IMOD_SIGNED, _IMOD_4_BITS = 1, 16


class _Header(NamedTuple):
    """What is read of a header."""

    mode: int
    shape: tuple[int, int, int]  # (Z, Y, X)
    extended: int  # bytes
    axes: tuple[int, int, int]
    space_group: int
    grid: tuple[int, int, int]  # (Z, Y, X)
    cell: tuple[float, float, float]  # (Z, Y, X), angstrom
    low: float
    high: float
    version: int
    imod_flags: int | None  # None without IMOD's stamp
    named: bool  # it says that it is an MRC file
    order: Literal["<", ">"]

    @property
    def offset(self) -> int:
        """Of the first voxel, in bytes."""
        return _HEADER_BYTES + self.extended

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        depth, height, width = self.shape
        return self.offset + depth * height * -(-width * _BITS[self.mode] // 8)

    @property
    def makes_sense(self) -> bool:
        """Whether its numbers can be those of an MRC file: read in the wrong byte order they are not."""
        axes = sorted(self.axes) in ([0, 0, 0], [1, 2, 3])
        return axes and self.mode in _BITS and min(self.shape) > 0 and self.extended >= 0


def is_packed(path: Path) -> bool:
    """Whether the name is that of a compressed MRC, which cannot be read slice by slice."""
    return path.suffix.lower() in _PACKED_SUFFIXES and Path(path.stem).suffix.lower() in MRC_SUFFIXES


def open_mrc(path: Path) -> Volume:
    """Open an MRC volume or stack; sections are slices. The header has angstroms.

    A voxel size of 0, or of exactly 1 angstrom along all axes (what IMOD writes where it knows none), is not known.

    Raises:
        InputError: compressed, damaged, cut short, complex, of 4 bits or in colour, of several volumes, or with axes in
            another order than x, y, z.
    """
    if is_packed(path):
        raise InputError(
            f"{path}: a compressed MRC would have to be unpacked whole. Unpack it first (gunzip, bunzip2)."
        )
    before = Fingerprint.of(path)
    size = before.stats[path][0]
    try:
        with open_file(path) as file:
            header = _header(path, file.read(_HEADER_BYTES), size)
    except OSError as error:
        raise _damaged(path, str(error)) from error
    _check(path, header, size)
    dtype = np.dtype(_DTYPES[header.mode]).newbyteorder(header.order)
    check_declared(path, header.shape, dtype.itemsize, size)
    if header.mode == 0 and not _signed(path, header):
        dtype = np.dtype(np.uint8)
    kept = kept_dtype(dtype)
    assert kept is not None
    read_voxels, close = contiguous_reader(path, header.offset, header.shape, dtype)

    def read(z0: int, z1: int) -> np.ndarray:
        try:
            slab = read_voxels(z0, z1)
        except DAMAGE as error:
            before.check()
            raise _damaged(path, str(error)) from error
        before.check()
        return slab

    return Volume(header.shape, kept, _voxel_size_nm(header), str(path), read, _close=close)


def _header(path: Path, data: bytes, size: int) -> _Header:
    """The header, in the byte order in which it makes sense: machine stamps are missing in some files, wrong in others.

    Raises:
        InputError: it makes sense in neither.
    """
    if len(data) < _HEADER_BYTES:
        raise _damaged(path, f"a header has {_HEADER_BYTES} bytes, the file {size}")
    found = [header for header in (_parsed(data, "<"), _parsed(data, ">")) if header.makes_sense]
    found = [header for header in found if header.size == size] or [header for header in found if header.named]
    if not found:
        raise _damaged(path, "no MRC header: neither byte order gives a known mode, axes and the size of the file")
    return found[0]


def _parsed(data: bytes, order: Literal["<", ">"]) -> _Header:
    fields = np.frombuffer(data, np.dtype(HEADER_DTYPE).newbyteorder(order))[0]
    stamp, flags = np.frombuffer(data, f"{order}i4", 2, offset=152)
    return _Header(
        mode=int(fields["mode"]),
        shape=(int(fields["nz"]), int(fields["ny"]), int(fields["nx"])),
        extended=int(fields["nsymbt"]),
        axes=(int(fields["mapc"]), int(fields["mapr"]), int(fields["maps"])),
        space_group=int(fields["ispg"]),
        grid=(int(fields["mz"]), int(fields["my"]), int(fields["mx"])),
        cell=(float(fields["cella"]["z"]), float(fields["cella"]["y"]), float(fields["cella"]["x"])),
        low=float(fields["dmin"]),
        high=float(fields["dmax"]),
        version=int(fields["nversion"]),
        imod_flags=int(flags) if stamp == _IMOD_STAMP else None,
        named=data[208:211] == b"MAP",
        order=order,
    )


def _check(path: Path, header: _Header, size: int) -> None:
    """See that the file holds one grey volume, whole.

    Raises:
        InputError: it does not; says what it holds, and what to do.
    """
    packed = header.mode == 0 and header.imod_flags is not None and bool(header.imod_flags & _IMOD_4_BITS)
    if what := _REFUSED[101] if packed else _REFUSED.get(header.mode):
        raise InputError(
            f"{path}: an MRC of mode {header.mode} with {what}; grey levels of 8, 16 or 32 bits are needed (modes 0, "
            "1, 2, 6, 12). Convert it (IMOD: newstack -mode 1)."
        )
    if header.axes not in ((1, 2, 3), (0, 0, 0)):
        raise InputError(
            f"{path}: its columns, rows and sections are the axes {header.axes}; 1, 2, 3 (x, y, z) are needed."
        )
    depth, volume = header.shape[0], header.grid[0]
    if header.space_group in _VOLUME_STACKS and 0 < volume != depth:
        raise InputError(
            f"{path}: a stack of volumes of {volume} sections each (space group {header.space_group}, {depth} sections "
            "in all); one volume is needed. Export one of them."
        )
    if size < header.size:
        raise _damaged(path, f"it has {size} bytes, its header says {header.size}")
    if size > header.size:
        raise _damaged(path, f"it is {size - header.size} bytes larger than expected, its header says {header.size}")


def _signed(path: Path, header: _Header) -> bool:
    """Whether the bytes of mode 0 have a sign.

    MRC2014 says that they have; files of ITK, of IMOD before 4.2.23 and of many others have none. IMOD's stamp has a
    flag for it. Where the header's minimum and maximum fit one alone, that is it: they are of the voxels, while a stamp
    is copied from file to file. What remains uncertain is said in a warning.
    """
    low, high = header.low, header.high
    known = low <= high and not low == high == 0  # MRC2014 writes a maximum below the minimum where none is known
    with_sign, without = known and low >= -128 and high <= 127, known and low >= 0 and high <= 255
    stamp = None if header.imod_flags is None else bool(header.imod_flags & _IMOD_SIGNED)
    limits = f"the header's minimum and maximum are {low:g} and {high:g}"
    if with_sign != without:
        if stamp is not None and stamp != with_sign:
            _warn(path, with_sign, f"IMOD's stamp says the opposite, but {limits}")
        return with_sign
    if stamp is not None and (with_sign or not known):
        return stamp
    if known and not with_sign:  # as IMOD does: the one that lies farther out counts
        signed = stamp if stamp is not None else -low > high - 128
        _warn(path, signed, f"{limits}, which no bytes can have")
        return signed
    signed = header.version >= _MRC2014
    rule = "as MRC2014 has it" if signed else "as programs before MRC2014 have it"
    why = f"{limits}, which fit both and then mean the same" if known else f"{limits}, which says nothing"
    _warn(path, signed, f"{rule}; {why}")
    return signed


def _warn(path: Path, signed: bool, why: str) -> None:
    warnings.warn(
        f"{path}: its bytes are read as {'-128 to 127' if signed else '0 to 255'} ({why}). If that is wrong, save it "
        "with 16 bits (IMOD: newstack -mode 1).",
        stacklevel=4,
    )


def _voxel_size_nm(header: _Header) -> VoxelSize | None:
    angstroms = [length / n if n > 0 else 0.0 for length, n in zip(header.cell, header.grid, strict=True)]
    if all(a == 1.0 for a in angstroms):
        return None
    z_nm, y_nm, x_nm = (a / 10 if np.isfinite(a) and a > 0 else None for a in angstroms)
    return None if y_nm is None or x_nm is None else (z_nm, y_nm, x_nm)


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: this MRC file cannot be read, it is damaged or cut short ({reason}). Export it again.")
