"""A volume in an MRC file (MRC2014, Cheng et al. 2015, J. Struct. Biol. 192, 146; IMOD's dialect of it)."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.files import open_file
from txm2sem_core.io.guards import Fingerprint, Handle
from txm2sem_core.io.tiff import DAMAGE, kept_dtype, to_kept
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize

MRC_SUFFIXES = (".mrc", ".rec", ".map", ".st", ".mrcs")
_DAMAGE = (*DAMAGE, RuntimeWarning)  # what is odd in a header is a warning there, which is raised here
_PACKED_SUFFIXES = (".gz", ".bz2")
_IMOD_STAMP = 1146047817  # "IMOD", in the header's bytes 152 to 155; flag 1 in the next four: mode 0 is signed


def is_packed(path: Path) -> bool:
    """Whether the name is that of a compressed MRC, which cannot be read slice by slice."""
    return path.suffix.lower() in _PACKED_SUFFIXES and Path(path.stem).suffix.lower() in MRC_SUFFIXES


def open_mrc(path: Path) -> Volume:
    """Open an MRC volume or stack by mapping it into memory; sections are slices. The header has angstroms.

    A voxel size of 0, or of exactly 1 angstrom along all axes (what IMOD writes where it knows none), is not known.

    Raises:
        InputError: compressed, damaged, cut short, complex or in colour, or with axes in another order than x, y, z.
    """
    if is_packed(path):
        raise InputError(
            f"{path}: a compressed MRC would have to be unpacked whole. Unpack it first (gunzip, bunzip2)."
        )
    before = Fingerprint.of(path)
    _check_extended(path, before.stats[path][0])
    handle = Handle(partial(_mapped, path), lambda mapped: mapped.close())
    try:
        with handle.use() as mapped:
            _check_axes(path, mapped.header)
            voxels = _voxels(mapped)
            shape, stored, size_nm = voxels.shape, voxels.dtype, _voxel_size_nm(mapped)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if len(shape) == 2:
        shape = (1, *shape)
    dtype = kept_dtype(stored)
    if len(shape) != 3 or dtype is None or min(shape) < 1:
        raise InputError(f"{path}: a grey volume [Z, Y, X] is needed, this file has {stored} of shape {shape}.")

    def read(z0: int, z1: int) -> np.ndarray:
        try:
            with handle.use() as mapped:
                before.check()  # a file that was cut short would end the process: it is mapped
                slab = np.array(_voxels(mapped).reshape(shape)[z0:z1])
        except _DAMAGE as error:
            raise _damaged(path, error) from error
        before.check()
        return to_kept(slab)

    return Volume((shape[0], shape[1], shape[2]), dtype, size_nm, str(path), read, _close=handle.close)


def _check_extended(path: Path, size: int) -> None:
    """Hold the size of the extended header, which mrcfile reads whole, against that of the file."""
    with open_file(path) as file:
        head = file.read(213)
    if int.from_bytes(head[92:96], "big" if head[212:] == b"\x11" else "little") > size:
        raise InputError(f"{path}: this MRC file is damaged or cut short (its extended header). Export it again.")


def _mapped(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return mrcfile.mmap(path, mode="r")


def _voxels(mapped: Any) -> np.ndarray:
    """The data; IMOD's unsigned bytes as such, though mode 0 is signed in the standard."""
    data: np.ndarray = mapped.data
    if data.dtype == np.int8:
        extra = mapped.header.extra2.tobytes()
        order = mapped.header.mode.dtype.byteorder
        stamp, flags = np.frombuffer(extra, np.dtype(np.int32).newbyteorder(order), 2, 152 - 112)
        if stamp == _IMOD_STAMP and not flags & 1:
            return data.view(np.uint8)
    return data


def _check_axes(path: Path, header: Any) -> None:
    order = tuple(int(header[name]) for name in ("mapc", "mapr", "maps"))
    if order not in ((1, 2, 3), (0, 0, 0)):
        raise InputError(f"{path}: its columns, rows and sections are the axes {order}; 1, 2, 3 (x, y, z) are needed.")


def _voxel_size_nm(mapped: Any) -> VoxelSize | None:
    size = mapped.voxel_size
    angstroms = [float(size[axis]) for axis in "zyx"]
    if not all(np.isfinite(a) and a > 0 for a in angstroms[1:]) or all(a == 1.0 for a in angstroms):
        return None
    z_nm = angstroms[0] / 10 if np.isfinite(angstroms[0]) and angstroms[0] > 0 else None
    return z_nm, angstroms[1] / 10, angstroms[2] / 10


def _damaged(path: Path, error: BaseException) -> InputError:
    reason = " ".join(str(error).split())[:200]
    return InputError(f"{path}: this MRC file cannot be read, it is damaged or cut short ({reason}). Export it again.")
