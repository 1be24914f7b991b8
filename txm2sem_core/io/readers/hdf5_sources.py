"""Where the voxels of an HDF5 dataset lie: every link and every source is followed to its end before it is read.

HDF5 lets a file bring in the bytes of any other that the reader may open: by a link to an object of another file, by
external storage, and by the sources of a virtual dataset, which may be such links themselves. Here the voxels lie in
the file that was named, or in HDF5 files beside it; everything else is refused by its name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from txm2sem_core.errors import InputError
from txm2sem_core.io.files import LONGEST_NAME, check_regular, is_plain_name

if TYPE_CHECKING:
    import h5py

_MOST_LINKS = 40
_MOST_NESTED = 8


class Stored(NamedTuple):
    """A dataset that holds voxels itself."""

    file: Path
    name: str
    span: tuple[int, int] | None  # first and last slice of the virtual dataset that it serves; None: all, or not known


def find_object(path: Path, file: h5py.File, name: str) -> object:
    """The object at a path within the file, by its links one after the other; None where there is none.

    Raises:
        InputError: a link leads into another file, or goes round in circles.
    """
    import h5py

    root = h5py.h5g.open(file.id, b"/")
    here, followed = root, 0
    waiting = name.encode("utf-8", "surrogateescape").split(b"/")[::-1]
    while waiting:
        part = waiting.pop()
        if part in (b"", b"."):
            continue
        if not isinstance(here, h5py.h5g.GroupID) or part not in here:
            return None
        kind = here.links.get_info(part).type
        if kind == h5py.h5l.TYPE_HARD:
            here = h5py.h5o.open(here, part)
        elif kind == h5py.h5l.TYPE_SOFT and followed < _MOST_LINKS:
            followed += 1
            target = here.links.get_val(part)
            here = root if target.startswith(b"/") else here
            waiting += target.split(b"/")[::-1]
        elif kind == h5py.h5l.TYPE_SOFT:
            raise InputError(f"{path}:{name}: its links lead in a circle. Correct them.")
        else:
            raise InputError(f"{path}:{name}: its voxels lie in another file. Give that file.")
    kinds = {h5py.h5d.DatasetID: h5py.Dataset, h5py.h5g.GroupID: h5py.Group}
    return kinds[type(here)](here) if type(here) in kinds else here


def stored_datasets(path: Path, dataset: h5py.Dataset) -> list[Stored]:
    """The datasets that hold the voxels of one; itself, if it is not virtual.

    Nothing of the dataset but its creation properties is looked at before: to know its shape HDF5 may open its sources.

    Raises:
        InputError: a source lies neither in the file nor beside it, is missing, or the sources go round in circles.
    """
    return _followed(path, dataset, ())


def _followed(path: Path, dataset: h5py.Dataset, above: tuple[tuple[str, bytes], ...]) -> list[Stored]:
    import h5py

    made = dataset.id.get_create_plist()
    if made.get_external_count():
        raise InputError(f"{path}:{dataset.name}: its voxels lie in another file. Give that file.")
    if made.get_layout() != h5py.h5d.VIRTUAL:
        return [Stored(path, str(dataset.name), None)]
    here = (os.path.realpath(path), h5py.h5o.get_info(dataset.id).addr.to_bytes(8, "little"))
    if here in above or len(above) >= _MOST_NESTED:
        raise InputError(
            f"{path}:{dataset.name}: the sources of this virtual dataset lead in a circle, or through more than "
            f"{_MOST_NESTED} virtual datasets. Export its voxels into one dataset."
        )
    found: list[Stored] = []
    known: dict[tuple[str, str], list[Stored]] = {}
    for index in range(made.get_virtual_count()):
        name, inner = made.get_virtual_filename(index), made.get_virtual_dsetname(index)
        if (name, inner) not in known:
            known[name, inner] = _source(path, dataset, name, inner, (*above, here))
        span = _span(made.get_virtual_vspace(index))
        found += [stored._replace(span=span) for stored in known[name, inner]]
    return found


def _span(space: h5py.h5s.SpaceID) -> tuple[int, int] | None:
    """First and last slice of a selection: along the third axis from behind."""
    try:
        low, high = space.get_select_bounds()
        return int(low[-3]), int(high[-3])
    except (IndexError, ValueError, RuntimeError):
        return None


def _source(
    path: Path, dataset: h5py.Dataset, name: str, inner: str, above: tuple[tuple[str, bytes], ...]
) -> list[Stored]:
    """What a source of a virtual dataset leads to."""
    import h5py

    if "%" in name or "%" in inner:
        raise InputError(
            f"{path}:{dataset.name}: a virtual dataset whose sources are numbered ({name!r}, {inner!r}) is not read. "
            "Export its voxels into one dataset."
        )
    if name == ".":
        return _sources_of(path, dataset, dataset.file, path, inner, above)
    beside = _beside(path, dataset, name)
    try:
        check_regular(beside)
        with h5py.File(beside, "r") as file:
            return _sources_of(path, dataset, file, beside, inner, above)
    except InputError as error:
        raise InputError(f"{path}:{dataset.name}: a source of this virtual dataset is refused: {error}") from error
    except OSError as error:
        raise InputError(
            f"{path}:{dataset.name}: a virtual dataset whose source {name} is missing or no HDF5. Put it there."
        ) from error


def _sources_of(
    path: Path,
    dataset: h5py.Dataset,
    file: h5py.File,
    source_file: Path,
    inner: str,
    above: tuple[tuple[str, bytes], ...],
) -> list[Stored]:
    import h5py

    source = find_object(source_file, file, inner)
    if not isinstance(source, h5py.Dataset):
        raise InputError(
            f"{path}:{dataset.name}: a virtual dataset whose source {source_file.name}:{inner} is missing. Add it."
        )
    return _followed(source_file, source, above)


def _beside(path: Path, dataset: h5py.Dataset, name: str) -> Path:
    """The file beside, if it is one: in the folder of the file, or of what the file is a link to.

    Raises:
        InputError: it lies elsewhere, or HDF5 would look for it elsewhere.
    """
    folders = {os.path.realpath(path.parent), os.path.dirname(os.path.realpath(path))}
    source_file = Path(name) if os.path.isabs(name) else path.parent / name
    plain = os.path.realpath(source_file.parent) in folders if os.path.isabs(name) else is_plain_name(name)
    if not plain or os.path.dirname(os.path.realpath(source_file)) not in folders:
        raise InputError(
            f"{path}:{dataset.name}: the source {name[:LONGEST_NAME]!r} of this virtual dataset lies neither in the "
            "file nor beside it. Put its files into one folder, named without a path, or export one dataset."
        )
    if os.environ.get("HDF5_VDS_PREFIX"):
        raise InputError(f"{path}:{dataset.name}: HDF5_VDS_PREFIX sends HDF5 elsewhere for its sources. Unset it.")
    return source_file
