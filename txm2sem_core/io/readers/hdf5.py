"""A volume in an HDF5 file: `file.h5:/path/to/dataset`, or the only 3D dataset in it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.guards import Fingerprint, Handle, check_fits
from txm2sem_core.io.readers.projections import signs_of_projections
from txm2sem_core.io.tiff import DAMAGE, kept_dtype, to_kept
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize

if TYPE_CHECKING:
    import h5py

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5", ".nxs")
_UM_NM = 1e3


class _Found(NamedTuple):
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    voxel_size_nm: VoxelSize | None


def split_dataset(path: Path) -> tuple[Path, str | None]:
    """File and dataset of `file.h5:/path/to/dataset`; the dataset is None where none is named."""
    if path.exists():
        return path, None
    text = str(path)
    for suffix in HDF5_SUFFIXES:
        at = text.lower().find(f"{suffix}:")
        if at >= 0:
            end = at + len(suffix)
            return Path(text[:end]), text[end + 1 :] or None
    return path, None


def open_hdf5(path: Path, dataset: str | None) -> Volume:
    """Open a 3D dataset (leading axes of length 1 are passed over); axes are z, y, x as stored.

    The voxel size is the dataset's attribute `element_size_um` (z, y, x in micrometres), as ImageJ's HDF5 plugin,
    ilastik and others write it.

    Raises:
        InputError: no HDF5, no such dataset or several, not 3D, of an odd type, with voxels in other files, or
            projections.
    """
    import h5py  # here, not above: heavy, and imported with this package by every prediction

    before = Fingerprint.of(path)
    try:
        with h5py.File(path, "r") as file:
            found = _found(path, file, dataset)
    except DAMAGE as error:
        raise _damaged(path, error, "this HDF5 file") from error
    dtype = kept_dtype(found.dtype)
    if dtype is None:
        raise InputError(
            f"{path}:{found.name}: voxels of type {found.dtype} are not supported. Save as 8, 16 or 32 bit."
        )
    source = f"{path}:{found.name}"
    handle = Handle(partial(h5py.File, path, "r"), lambda file: file.close())
    leading = (0,) * (len(found.shape) - 3)

    def read(z0: int, z1: int) -> np.ndarray:
        try:
            with handle.use() as file:
                slab = to_kept(np.asarray(file[found.name][(*leading, slice(z0, z1))]))
        except DAMAGE as error:
            before.check()
            raise _damaged(path, error, f"slices {z0} to {z1 - 1} of {found.name}") from error
        before.check()
        return slab

    shape = (found.shape[-3], found.shape[-2], found.shape[-1])
    return Volume(shape, dtype, found.voxel_size_nm, source, read, _close=handle.close)


def _found(path: Path, file: h5py.File, name: str | None) -> _Found:
    chosen = file[_only(path, file)] if name is None else _named(path, file, name)
    _check_inside(path, chosen)
    if not _is_volume(chosen):
        raise InputError(f"{path}:{chosen.name}: a dataset [Z, Y, X] is needed, its shape is {chosen.shape}.")
    if signs := signs_of_projections(chosen):
        raise _no_slices(path, chosen.name, signs)
    chunk = chosen.chunks or ()
    if chunk:
        check_fits(path, int(np.prod(chunk)) * chosen.dtype.itemsize, f"one chunk of {chosen.name}")
    return _Found(chosen.name, chosen.shape, chosen.dtype, _element_size_nm(chosen))


def _is_volume(dataset: h5py.Dataset) -> bool:
    return dataset.ndim >= 3 and all(n == 1 for n in dataset.shape[:-3]) and min(dataset.shape, default=0) > 0


def _volumes(file: h5py.File) -> list[str]:
    """Datasets that could be meant: 3D, of numbers, projections too. Links to other files are not followed."""
    import h5py

    found: list[str] = []

    def visit(_: str, entry: object) -> None:
        if isinstance(entry, h5py.Dataset) and _is_volume(entry) and kept_dtype(entry.dtype) is not None:
            found.append(str(entry.name))

    file.visititems(visit)
    return found


def _only(path: Path, file: h5py.File) -> str:
    every = _volumes(file)
    signs = {name: signs_of_projections(file[name]) for name in every}
    found = [name for name in every if signs[name] is None]
    if every and not found:
        raise _no_slices(path, every[0], str(signs[every[0]]))
    if len(found) != 1:
        listed = _listed(found) or "none"
        raise InputError(
            f"{path}: one 3D dataset is needed to know which is meant, it has {len(found)} ({listed}). Name one: "
            f"{path}:/path/to/dataset."
        )
    return found[0]


def _no_slices(path: Path, name: str, signs: str) -> InputError:
    return InputError(
        f"{path}:{name}: these are projections, not slices of a volume ({signs}). Reconstruct them first, or name the "
        f"dataset of the reconstruction: {path}:/path/to/dataset."
    )


def _named(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    import h5py

    entry = file.get(name)
    if not isinstance(entry, h5py.Dataset):
        what = "no such dataset" if entry is None else "a group, not a dataset"
        raise InputError(f"{path}:{name}: {what}. Its 3D datasets are {_listed(_volumes(file)) or 'none'}.")
    return entry


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


def _check_inside(path: Path, dataset: h5py.Dataset) -> None:
    """See that the voxels lie in this file: a missing source of a virtual dataset would read as zeros."""
    if Path(dataset.file.filename) != path or dataset.external:
        raise InputError(f"{path}:{dataset.name}: its voxels lie in another file. Give that file.")
    if dataset.is_virtual:
        sources = {source.file_name for source in dataset.virtual_sources()} - {"."}
        missing = [name for name in sorted(sources) if not (path.parent / name).is_file()]
        if missing:
            raise InputError(
                f"{path}:{dataset.name}: a virtual dataset whose source {missing[0]} is missing. Put it there."
            )


def _element_size_nm(dataset: h5py.Dataset) -> VoxelSize | None:
    raw = dataset.attrs.get("element_size_um")
    if raw is None:
        return None
    try:
        sizes = np.atleast_1d(np.asarray(raw, dtype=float)).ravel()
    except (TypeError, ValueError):
        return None
    if sizes.size != 3 or not (np.isfinite(sizes) & (sizes > 0)).all():
        return None
    z_nm, y_nm, x_nm = (float(size) * _UM_NM for size in sizes)
    return z_nm, y_nm, x_nm


def _damaged(path: Path, error: BaseException, what: str) -> InputError:
    reason = " ".join(str(error).split())[:200]
    remedy = "Copy or export it again."
    if "filter" in reason or "plugin" in reason:
        remedy = "Save it with gzip compression or none, or install the package hdf5plugin and set HDF5_PLUGIN_PATH."
    elif "unable to lock" in reason:
        remedy = "Another program writes it; wait until that is done."
    return InputError(f"{path}: {what} cannot be read ({reason}). {remedy}")
