"""A file or folder appears whole or not at all, and never in place of what we did not make.

Every result is moved to its final path here. An existing file or folder there is checked by `ownership`: one that is
not ours stays; one of ours is replaced, unless the caller forbids it (`overwrite=False`), as commands do without
`--overwrite`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path

from txm2sem_core.errors import InputError, for_user
from txm2sem_core.io.exchange import exchange
from txm2sem_core.io.ownership import content, first_foreign, is_same, mark_folder

_LEFT_OVER = re.compile(r"\.([0-9a-f]{6})-(\d+)-[0-9a-f]{8}\.(part|old)\.")
_ELSE = "Or choose another output."


@contextmanager
def atomic_path(target: str | Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a path beside `target`; what is written there (a file or a folder) becomes `target` if the block succeeds.

    The suffix is kept, because several libraries choose the format by it. If the block fails, nothing is left behind
    and an earlier `target` stays as it was. Files that killed processes left in the folder are removed. A folder gets a
    mark that lists its files.

    Args:
        target: a new path, or an empty file or folder; or what already holds the same, which then stays.
        overwrite: an earlier result of ours may stand there too, and is replaced (see `ownership`).

    Raises:
        InputError: something else stands there; or the folder of `target` cannot be made or written, or its disk or
            quota is full.
    """
    target = named(Path(target))
    with _part(target) as temporary:
        yield temporary
        if temporary.is_dir():
            mark_folder(temporary)
        put_in_place(temporary, target, overwrite=overwrite)


@contextmanager
def working_path(target: Path) -> Iterator[Path]:
    """As `atomic_path`, for a file in a folder of ours: an existing file is replaced without any check."""
    with _part(target) as temporary:
        yield temporary
        os.replace(temporary, target)


@contextmanager
def _part(target: Path) -> Iterator[Path]:
    """A path beside `target` for what is being written; gone at the end unless it was moved."""
    make_parent(target)
    _clear(target.parent.absolute(), os.getpid())
    temporary = _beside(target, "part")
    try:
        with explain_write_errors(target):
            yield temporary
    finally:
        remove(temporary)


def named(target: Path) -> Path:
    """The path with a last part that is a name (not `.` or `..`), and without `..` before it.

    Raises:
        InputError: it is the root of the file system.
    """
    if target.name in ("", ".."):
        target = target.resolve()
    if ".." in target.parts:  # `none/..` would make the folder `none`
        target = target.parent.resolve() / target.name
    if not target.name:
        raise InputError(f"{target}: this is the root of the file system. Choose a folder of your own in it.")
    return target


@contextmanager
def explain_write_errors(target: Path) -> Iterator[None]:
    """Turn a full disk or missing rights, met while `target` is written, into an `InputError`."""
    try:
        yield
    except Exception as error:
        found = for_user(error, _final(target))
        if found is None or found is error:
            raise
        raise found from error


def _final(path: Path) -> Path:
    """The final path of a file that is being written, also within a folder that is being written."""
    return Path(*(_LEFT_OVER.sub("", part) for part in path.parts))


def make_parent(target: Path) -> None:
    """Make the folder that `target` is to lie in.

    Raises:
        InputError: it cannot be made or written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target.parent}: this folder cannot be made ({error.strerror}). Choose another.") from error
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target.parent}: this folder cannot be written to. Choose another or change its rights.")


def put_in_place(source: Path, target: Path, *, overwrite: bool = True) -> None:
    """Let the file or folder `source` become `target`, unless something else stands there (see `atomic_path`).

    An existing target is checked at the moment of the exchange: if it appeared or changed meanwhile, that is noticed
    before it is removed.
    """
    if is_vacant(target, folder=source.is_dir()) and _move_new(source, target):
        return
    if is_same(source, target):
        print(f"{target}: the same is there already, and stays.", file=sys.stderr)
        remove(source)
        return
    found = content(target)
    check_standing(target, folder=source.is_dir(), overwrite=overwrite)
    if exchange(source, target):  # os.replace cannot put anything over a folder that holds files
        if content(source) != found:
            exchange(source, target)
            raise _changed(target)
        remove(source)
        return
    old = _beside(target, "old")
    os.replace(target, old)  # the target is gone for a moment
    if content(old) != found:
        os.replace(old, target)
        raise _changed(target)
    os.replace(source, target)
    remove(old)


def check_standing(target: Path, *, folder: bool, overwrite: bool) -> None:
    """Check that anything at `target` may be replaced by a result.

    Args:
        target: where the result is to be.
        folder: whether it is one.
        overwrite: an earlier result of ours may be replaced.

    Raises:
        InputError: names the file or folder in the way, and says what to do.
    """
    if target.is_symlink():
        raise InputError(f"{target}: this is a symbolic link, and is left alone. Give what it leads to. {_ELSE}")
    if folder and target.is_dir() and _is_around_us(target):
        raise InputError(f"{target}: you are in this folder, which would be replaced. Give a name for a new one.")
    if is_vacant(target, folder=folder):
        return
    if target.is_dir() != folder:
        kinds = ("a folder", "a file") if target.is_dir() else ("a file", "a folder")
        raise InputError(f"{target}: this is {kinds[0]}, but {kinds[1]} is to be written. Choose another output.")
    if target.is_file() and not target.stat().st_size:  # holds nothing: a script may have made it with mktemp
        return
    first = first_foreign(target)
    if first is not None:
        what = "this" if first == target else f"{first.relative_to(target)}, which lies in it,"
        raise InputError(
            f"{target}: {what} was not made by TXM2SEM or has changed since, and is left alone. Move it elsewhere, or "
            "choose another output. If an earlier version of TXM2SEM made it, remove it yourself."
        )
    if not overwrite:
        raise InputError(
            f"{target}: an earlier result of TXM2SEM stands here, of something else. Give --overwrite to replace it. "
            f"{_ELSE}"
        )


def is_vacant(target: Path, *, folder: bool) -> bool:
    """Whether nothing stands at `target`, or, where a folder is to be written, an empty one."""
    if target.is_symlink() or not folder or not target.is_dir():
        return not os.path.lexists(target)
    return not any(target.iterdir())


def _is_around_us(folder: Path) -> bool:
    """Whether the process works in this folder or below it."""
    here = Path.cwd()
    return any(folder.samefile(place) for place in (here, *here.parents))


def _move_new(source: Path, target: Path) -> bool:
    """Move to a path where nothing stands; False if something came there in the meantime."""
    check_standing(target, folder=source.is_dir(), overwrite=False)
    try:
        if source.is_dir():
            os.rename(source, target)  # refused by the system where the folder at `target` is not empty
            return True
        with suppress(FileExistsError):
            os.link(source, target)  # unlike a renaming it never replaces anything
            os.unlink(source)
            return True
        return False
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise InputError(f"{target}: this folder is in use as a mount point. Choose one inside of it.") from error
        if not is_vacant(target, folder=source.is_dir()):
            return False
        os.replace(source, target)  # no hard links here
    return True


def _changed(target: Path) -> InputError:
    return InputError(
        f"{target}: this came or changed while the result was made, and is left alone. Move it elsewhere."
    )


def _beside(target: Path, kind: str) -> Path:
    """A new hidden path beside `target`; its name says which process of which machine made it."""
    return target.with_name(f".{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.{kind}.{target.name}")


@cache
def _machine() -> str:
    """A short name of this machine, or of this container, which numbers its processes independently."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbering = ""
    return hashlib.sha256(f"{socket.gethostname()} {numbering}".encode()).hexdigest()[:6]


@lru_cache(maxsize=256)  # looked for once a process and folder: one may hold thousands of files
def _clear(folder: Path, _process: int) -> None:
    """Remove what killed processes of this machine left in a folder."""
    with suppress(OSError):  # of a folder that cannot be listed, say
        for path in folder.iterdir():
            found = _LEFT_OVER.match(path.name)
            if found and found[1] == _machine() and not _is_alive(int(found[2])):
                target = path.with_name(path.name[found.end() :])
                if found[3] == "old" and not os.path.lexists(target):  # killed between two renamings
                    os.rename(path, target)
                else:
                    remove(path)


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # where signal 0 does not only ask
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file or folder on the disk before going on, so that not even a power cut takes it away."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # folders on Windows
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
