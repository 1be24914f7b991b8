"""A volume in an HDF5 file: `file.h5:/path/to/dataset`, or the only 3D dataset in it."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.blocks import by_blocks
from txm2sem_core.io.guards import Fingerprint, Handle, check_declared
from txm2sem_core.io.readers.hdf5_packing import Packing
from txm2sem_core.io.readers.hdf5_sources import Stored, find_object, stored_datasets
from txm2sem_core.io.readers.projections import signs_of_projections
from txm2sem_core.io.stated_levels import check_axes, missing_value, without_missing
from txm2sem_core.io.tiff import DAMAGE, kept_dtype, to_kept
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.voxel_sizes import VoxelSize

if TYPE_CHECKING:
    import h5py

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5", ".nxs")
_UM_NM = 1e3


class _Part(NamedTuple):
    """A dataset that holds voxels: itself, or a source of the virtual one."""

    stored: Stored
    packing: Packing


class _Found(NamedTuple):
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    voxel_size_nm: VoxelSize | None
    parts: list[_Part]
    missing: float | None  # the value of voxels that were not measured
    own: bool  # the voxels are in the dataset itself
    thickness: int = 1  # of its chunks, in slices


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
        InputError: no HDF5, no such dataset or several, not 3D, of an odd type, with voxels in files that do not lie
            beside this one, larger than its bytes can hold, projections, or stored in another order of axes or with
            other grey levels, by what it states.
    """
    import h5py  # here, not above: heavy, and imported with this package by every prediction

    before = Fingerprint.of(path)
    with _explain_read_errors(path, "this HDF5 file"), h5py.File(path, "r") as file:
        found = _found(path, file, dataset)
    dtype = kept_dtype(found.dtype)
    if dtype is None:
        raise InputError(
            f"{path}:{found.name}: voxels of type {found.dtype} are not supported. Save as 8, 16 or 32 bit."
        )
    source = f"{path}:{found.name}"
    before = Fingerprint.of(path, *{part.stored.file for part in found.parts})
    stored = sum(size for size, *_ in before.stats.values())
    check_declared(source, found.shape[-3:], found.dtype.itemsize, stored)
    handle = Handle(partial(h5py.File, path, "r"), lambda file: file.close())
    leading = (0,) * (len(found.shape) - 3)

    def read(z0: int, z1: int) -> np.ndarray:
        with _explain_read_errors(path, f"slices {z0} to {z1 - 1} of {found.name}", before), handle.use() as file:
            _check_packed(path, file, found, z0, z1 - 1)
            slab = to_kept(np.asarray(file[found.name][(*leading, slice(z0, z1))]))
        before.check()
        return without_missing(slab, found.missing)

    shape = (found.shape[-3], found.shape[-2], found.shape[-1])
    kept = by_blocks(read, shape[0], found.thickness, shape[1] * shape[2] * dtype.itemsize, before.check)
    files = tuple(sorted({path, *(part.stored.file for part in found.parts)}))
    return Volume(
        shape,
        dtype,
        found.voxel_size_nm,
        source,
        kept,
        _close=handle.close,
        thickness=found.thickness,
        files=files,
    )


@contextmanager
def _explain_read_errors(path: Path, what: str, before: Fingerprint | None = None) -> Iterator[None]:
    """Turn what HDF5 raises into an `InputError`.

    Errors keep the local variables of the functions that they came through; objects of h5py that are kept so until the
    interpreter ends would end it by a segmentation fault.
    """
    try:
        yield
    except InputError as error:
        traceback.clear_frames(error.__traceback__)
        raise
    except DAMAGE as error:
        traceback.clear_frames(error.__traceback__)
        if before is not None:
            before.check()
        raise _damaged(path, error, what) from error


def _found(path: Path, file: h5py.File, name: str | None) -> _Found:
    chosen = file[_only(path, file)] if name is None else _named(path, file, name)
    parts = stored_datasets(path, chosen)
    if not _is_volume(chosen):
        raise InputError(f"{path}:{chosen.name}: a dataset [Z, Y, X] is needed, its shape is {chosen.shape}.")
    if signs := signs_of_projections(chosen):
        raise _no_slices(path, chosen.name, signs)
    if kept_dtype(chosen.dtype) is None:
        return _Found(chosen.name, chosen.shape, chosen.dtype, None, [], None, True)
    source = f"{path}:{chosen.name}"
    check_axes(source, _axis_names(chosen)[-3:])
    missing = missing_value(source, chosen.dtype, _small_attributes(chosen))
    own = not chosen.is_virtual
    packings: dict[tuple[Path, str], Packing] = {}
    for part in parts:
        if part[:2] not in packings:
            with _opened(path, file, part) as dataset:
                packings[part[:2]] = Packing(part.file, dataset)
    found = [_Part(part, packings[part[:2]]) for part in parts]
    thickness = chosen.chunks[-3] if chosen.chunks else 1
    return _Found(chosen.name, chosen.shape, chosen.dtype, _element_size_nm(chosen), found, missing, own, thickness)


@contextmanager
def _opened(path: Path, file: h5py.File, part: Stored) -> Iterator[h5py.Dataset]:
    """A dataset of this file, or of one beside it."""
    import h5py

    with ExitStack() as stack:
        there = file if part.file == path else stack.enter_context(h5py.File(part.file, "r"))
        yield there[part.name]


def _check_packed(path: Path, file: h5py.File, found: _Found, first: int, last: int) -> None:
    """Look at the chunks behind some slices; of a virtual dataset at all chunks of the sources that serve them."""
    for stored, packing in found.parts:
        if not packing.filter or (stored.span and (stored.span[0] > last or stored.span[1] < first)):
            continue
        with _opened(path, file, stored) as dataset:
            if found.own:
                packing.check(dataset, first, last)
            elif dataset.ndim >= 3:
                packing.check(dataset, 0, dataset.shape[-3] - 1)
            else:
                raise ValueError(f"the packed source {stored.name} is not 3D")


def _is_volume(dataset: h5py.Dataset) -> bool:
    return dataset.ndim >= 3 and all(n == 1 for n in dataset.shape[:-3]) and min(dataset.shape, default=0) > 0


def _volumes(path: Path, file: h5py.File) -> list[str]:
    """Datasets that could be meant: 3D, of numbers, projections too. Links to other files are not followed.

    Raises:
        InputError: there is none but those that are refused for where their voxels lie; names the first.
    """
    import h5py

    found: list[str] = []
    refused: list[InputError] = []

    def visit(_: str, entry: object) -> None:
        if not isinstance(entry, h5py.Dataset):
            return
        try:
            stored_datasets(path, entry)
        except InputError as error:
            refused.append(error)
            return
        if _is_volume(entry) and kept_dtype(entry.dtype) is not None:
            found.append(str(entry.name))

    file.visititems(visit)
    if refused and not found:
        raise refused[0]
    return found


def _only(path: Path, file: h5py.File) -> str:
    every = _volumes(path, file)
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

    entry = find_object(path, file, name)
    if not isinstance(entry, h5py.Dataset):
        what = "no such dataset" if entry is None else "a group, not a dataset"
        raise InputError(f"{path}:{name}: {what}. Its 3D datasets are {_listed(_volumes(path, file)) or 'none'}.")
    return entry


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


def _element_size_nm(dataset: h5py.Dataset) -> VoxelSize | None:
    if "element_size_um" not in dataset.attrs:
        return None
    try:
        if math.prod(dataset.attrs.get_id("element_size_um").shape) != 3:  # nothing large is read
            return None
        raw = dataset.attrs["element_size_um"]
        sizes = np.atleast_1d(np.asarray(raw, dtype=float)).ravel()
    except (TypeError, ValueError, OSError):
        return None
    if sizes.size != 3 or not (np.isfinite(sizes) & (sizes > 0)).all():
        return None
    z_nm, y_nm, x_nm = (float(size) * _UM_NM for size in sizes)
    return z_nm, y_nm, x_nm


def _small_attributes(dataset: h5py.Dataset) -> dict[str, Any]:
    """Attributes of one element, which alone can be numbers; nothing large is read."""
    one = [name for name in dataset.attrs if math.prod(dataset.attrs.get_id(name).shape) == 1]
    return {name: dataset.attrs[name] for name in one}


def _axis_names(dataset: h5py.Dataset) -> list[str]:
    """By the labels of its dimensions, or as ilastik and vigra write them (`axistags`); empty where nothing says so."""
    labels = [dimension.label for dimension in dataset.dims]
    if any(labels):
        return labels
    try:
        return [str(axis["key"]) for axis in json.loads(_small_attributes(dataset)["axistags"])["axes"]]
    except (KeyError, TypeError, ValueError):
        return []


def _damaged(path: Path, error: BaseException, what: str) -> InputError:
    reason = " ".join(str(error).split())[:200]
    remedy = "Copy or export it again."
    if "filter" in reason or "plugin" in reason:
        remedy = "Save it with gzip compression or none, or install the package hdf5plugin and set HDF5_PLUGIN_PATH."
    elif "unable to lock" in reason:
        remedy = "Another program writes it; wait until that is done."
    return InputError(f"{path}: {what} cannot be read ({reason}). {remedy}")
