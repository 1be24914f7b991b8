"""Files and names from strangers: which files are opened, and which paths a name found in data may mean.

Only regular files are opened: a pipe would be waited for, and a device read, without end. A name that is read from
data (a pair in a patch store, a file in an index, a source in an HDF5 file, a dataset in an OME-Zarr) is a plain one,
so that a path made of it stays in its folder.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from txm2sem_core.errors import InputError, printable
from txm2sem_core.io.guards import check_fits

LONGEST_NAME = 200


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file to read its bytes; links are followed.

    Raises:
        InputError: there is none, it may not be read, or it is a folder, a pipe, a socket or a device.
    """
    try:
        check_regular(path)
        # should it be changed for a pipe in this moment, opening it must not wait
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file. Check the path.") from error
    except OSError as error:
        raise InputError(f"{path}: this file cannot be read ({error.strerror}). Check its rights.") from error
    except ValueError as error:  # a NUL in the path
        raise InputError(f"{str(path)!r}: this is not a path ({error}).") from error
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise _no_file(path)
    return file


def check_regular(path: str | Path) -> None:
    """See that a path leads to a regular file, without opening it.

    Raises:
        InputError: it is something else.
        OSError: it cannot be looked at, or there is nothing.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise _no_file(path)


def _no_file(path: str | Path) -> InputError:
    return InputError(f"{path}: this cannot be read: it is not a file, but a folder, a pipe or a device. Check it.")


def read_bytes(path: str | Path) -> bytes:
    """A regular file whole.

    Raises:
        InputError: it cannot be read (see `open_file`), or is larger than the bound of `check_fits`.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        check_fits(path, size, "this file")
        try:
            return file.read(size + 1)
        except OSError as error:
            raise InputError(f"{path}: this file cannot be read ({error.strerror}).") from error


def plain_name(name: object, source: str | Path, what: str) -> str:
    """A name that was read from data, if a path made of it can only lie in the folder that it is put into.

    Args:
        name: what was read.
        source: the file that it stands in, for the message.
        what: what it names.

    Raises:
        InputError: it is no text, empty or longer than 200 characters, begins with a dot, or holds a slash, a
            backslash, a colon or what a terminal would obey.
    """
    if not is_plain_name(name):
        raise InputError(
            f"{source}: {what} is called {str(name)[:LONGEST_NAME]!r}, which is no plain name (no slash, backslash or "
            f"colon, no dot in front, 1 to {LONGEST_NAME} characters): it could lead outside its folder. Make the file "
            "again."
        )
    return str(name)


def is_plain_name(name: object) -> bool:
    """Whether `plain_name` lets a name through."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_NAME
        and not name.startswith(".")
        and not any(sign in name for sign in "/\\:")
        and printable(name) == name
    )


def path_within(folder: Path, relative: object, source: str | Path, what: str) -> Path:
    """The path of a file that data name relative to `folder`, as `pairs/000_txm.tif`.

    Raises:
        InputError: a part of it is no plain name, or it leads out of the folder through a link.
    """
    parts = str(relative).split("/")
    path = folder.joinpath(*(plain_name(part, source, what) for part in parts))
    check_within(folder, path, source, what)
    return path


def check_within(folder: Path, path: Path, source: str | Path, what: str) -> None:
    """InputError if a path leads out of a folder through a link."""
    inside, outside = os.path.realpath(path), os.path.realpath(folder)
    if inside != outside and not inside.startswith(os.path.join(outside, "")):
        raise InputError(
            f"{source}: {what} is a link that leads out of the folder, to {inside}. Put the file itself there."
        )
