"""Whether a 3D dataset of an HDF5 file holds projections of a tomography, which are no slices of a volume.

Known are Data Exchange (De Carlo et al. 2014, J. Synchrotron Rad. 21, 1224), NeXus's NXtomo, and a dataset of angles
beside the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.readers.hdf5_sources import find_object, stored_datasets

if TYPE_CHECKING:
    import h5py

_ANGLES = ("theta", "rotation_angle", "rotation_angles", "angles", "angle", "image_key")
_FIELDS = ("data_white", "data_dark")  # of Data Exchange: images without a sample, and without light


def signs_of_projections(dataset: h5py.Dataset) -> str | None:
    """What in the file says that these are projections; None where nothing does.

    Args:
        dataset: at least 3D. One whose path says `recon` is taken for a reconstruction.
    """
    if "recon" in dataset.name.lower():
        return None
    along = _axis_of_angles(dataset)
    if along:
        return f"its axes are {along}"
    folder = dataset.parent
    if folder.name.rsplit("/", 1)[-1].lower() == "exchange":
        for name in ("theta", *_FIELDS):
            if _inside(folder, name) is not None:
                return f"{folder.name}/{name} stands beside it"
    for owner in (folder, *_tomographies(dataset)):
        for found in _angles_in(owner, deep=owner != folder):
            if found.size > 1 and found.size in dataset.shape[-3:-1]:
                return f"{found.name} has {found.size} values, one for each"
    return None


def _inside(folder: h5py.Group, name: str) -> h5py.Dataset | None:
    """A dataset of a group that lies in the same file, also behind a link; its voxels lie where they may be read."""
    import h5py

    path = Path(folder.file.filename)
    try:
        found = find_object(path, folder.file, f"{folder.name}/{name}")
    except InputError:  # a link that leads elsewhere
        return None
    return found if isinstance(found, h5py.Dataset) and _may_be_read(path, found) else None


def _may_be_read(path: Path, dataset: h5py.Dataset) -> bool:
    """Whether what it holds lies in the file or beside it: even to know its size HDF5 may open other files."""
    try:
        stored_datasets(path, dataset)
    except InputError:
        return False
    return True


def _axis_of_angles(dataset: h5py.Dataset) -> str | None:
    """The names of the axes where one is an angle: Data Exchange's `theta:y:x`, NeXus's list at the group."""
    for named, owner in ((dataset.attrs.get("axes"), dataset), (dataset.parent.attrs.get("axes"), dataset.parent)):
        if named is None or (owner is not dataset and not _is_signal(dataset)):
            continue
        names = ":".join(_text(name) for name in np.ravel(named))
        if any(name in _ANGLES for name in names.lower().replace(",", ":").split(":")):
            return names
    return None


def _is_signal(dataset: h5py.Dataset) -> bool:
    signal = dataset.parent.attrs.get("signal", "data")
    return dataset.name.rsplit("/", 1)[-1] == _text(np.ravel(signal)[0])


def _tomographies(dataset: h5py.Dataset) -> Iterator[h5py.Group]:
    """The groups around a dataset that are defined as NXtomo."""
    folder = dataset.parent
    while folder.name != "/":
        definition = _inside(folder, "definition")
        if definition is not None and definition.size == 1 and _text(np.ravel(definition[()])[0]) == "NXtomo":
            yield folder
        folder = folder.parent


def _angles_in(folder: h5py.Group, deep: bool) -> list[h5py.Dataset]:
    """Datasets of angles in a group, or in all groups within it."""
    import h5py

    if not deep:
        beside = (_inside(folder, name) for name in _ANGLES)
        return [found for found in beside if found is not None]
    path = Path(folder.file.filename)
    found: list[h5py.Dataset] = []

    def visit(name: str, entry: object) -> None:
        if isinstance(entry, h5py.Dataset) and name.rsplit("/", 1)[-1] in _ANGLES and _may_be_read(path, entry):
            found.append(entry)

    folder.visititems(visit)
    return found


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
