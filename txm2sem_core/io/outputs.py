"""Whether a command may write to its outputs: checked before it reads or computes anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.io.atomic import check_standing, named
from txm2sem_core.io.finer import split_finer
from txm2sem_core.io.readers.hdf5 import split_dataset

_LONGEST_NAME = 200  # bytes; files that are being written have longer names, and 255 is the most
_Identity = tuple[int, int]  # device and number of a file or folder: the same by whatever path it is reached


def output_path(text: str) -> Path:
    """A path to write to, as it was typed.

    Raises:
        ConfigError: it is empty, a terminal could not show it, or it is the root of the file system.
    """
    if not text.strip():
        raise ConfigError("the output is an empty text. Give a name; a variable of the shell may have been empty.")
    if not text.isprintable():  # control characters, line breaks, and bytes that are no UTF-8
        raise ConfigError(
            f"{printable(text)}: this name holds characters that a terminal cannot show. Choose another output."
        )
    path = Path(text)
    if path.resolve() == Path(path.resolve().anchor):
        raise ConfigError(f"{text}: this is the root of the file system. Choose a folder of your own in it.")
    return path


def printable(text: str) -> str:
    r"""A text with what a terminal cannot show written out, as `\\n` and `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def check_output(
    inputs: Iterable[str | Path | None],
    *,
    files: Iterable[str | Path] = (),
    folders: Iterable[str | Path] = (),
) -> None:
    """Check that outputs replace nothing of the user's: neither an input nor any other file.

    An earlier result of ours is no objection yet: the new one may turn out to be the same (`atomic.put_in_place`).

    An output may not be, hold or lie within an input, however both are spelled or linked. Where named files are written
    into a folder, `files` are those, and the folder may hold inputs that have other names.

    Args:
        inputs: files and folders that are read; `file.h5:/dataset` too. None, and what is not there, are passed over.
        files: that will be written.
        folders: that will be written as a whole.

    Raises:
        InputError: names the output and the input, or what stands there.
    """
    given = list(inputs)
    for outputs, folder in ((files, False), (folders, True)):
        for output in outputs:
            target = named(Path(output))
            if len(os.fsencode(target.name)) > _LONGEST_NAME:
                raise InputError(f"{target}: this name is longer than {_LONGEST_NAME} bytes. Choose a shorter one.")
            check_apart(target, given)
            check_standing(target, folder=folder, overwrite=True)


def check_apart(output: Path, inputs: Iterable[str | Path | None]) -> None:
    """Check that an output is none of the inputs, contains none and lies within none (see `check_output`).

    Raises:
        InputError: names both.
    """
    for path in inputs:
        if path is not None:
            _check_apart(output, split_dataset(split_finer(path)[0])[0])


def _check_apart(output: Path, given: Path) -> None:
    if not given.exists():
        return
    identity = _identity(given)
    if identity == _identity(output):
        raise InputError(f"{output}: the output is the input {given}, which would be lost. Choose another output.")
    if identity in set(_around(output)):
        raise InputError(f"{output}: the output lies within the input {given}. Choose a place outside of it.")
    if output.exists() and _identity(output) in {*_around(given), *_around(given.resolve()), *_linked(given)}:
        raise InputError(
            f"{output}: the output holds the input {given}, which would be lost with it. Choose another output."
        )


def _identity(path: Path) -> _Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _around(path: Path) -> Iterator[_Identity]:
    """The folders that a path lies in: those that are there, and `path` itself not among them."""
    for folder in (path.parent.resolve(), *path.parent.resolve().parents):
        if (identity := _identity(folder)) is not None:
            yield identity


def _linked(folder: Path) -> Iterator[_Identity]:
    """What links in an input folder lead to, with all around it."""
    for root, folders, files in os.walk(folder):
        for path in (Path(root, name) for name in (*folders, *files)):
            if path.is_symlink() and (found := _identity(path)) is not None:
                yield found
                yield from _around(path.resolve())
