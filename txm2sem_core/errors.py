"""The errors that a user can cause and correct.

Every message says what was wrong, where (file, key, axis, value), and what to do about it. Commands and workflow
scripts print the message without a traceback; anything that is not a `Txm2semError` is a fault of ours and keeps its
traceback.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# categories of characters that control a terminal, or reorder or hide the text around them: control, format
# (bidirectional marks among them), surrogate, line and paragraph separator
_CONTROLLING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: object) -> str:
    r"""Text in one line that a terminal can show safely: names of files and folders may hold control characters.

    What is escaped is written as Python does (`\x1b`, `\u202e`); everything else, other scripts too, stays.
    """
    return "".join(_escaped(sign) if unicodedata.category(sign) in _CONTROLLING else sign for sign in str(text))


def print_warnings(job: str, texts: Iterable[str]) -> None:
    """Write warnings to the log, one line each."""
    for warning in texts:
        print(printable(f"{job}: warning: {warning}"), file=sys.stderr, flush=True)


def warn_in_one_line() -> None:
    """Let Python's warnings reach the user as messages do, without a line of code."""

    def in_one_line(message: Warning | str, *_: object, **__: object) -> str:
        return printable(f"txm2sem: warning: {message}") + "\n"

    warnings.formatwarning = in_one_line


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")


class Txm2semError(Exception):
    """A mistake in what the program was given. `str(error)` is the whole message for the user, and `printable`."""

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(message))


class ConfigError(Txm2semError):
    """A setting, sample table or command line option that cannot be used."""


class InputError(Txm2semError):
    """A file that is missing, unreadable, or not what its place in the workflow needs."""


class UnreadableError(InputError):
    """A file that can no longer be read while it is used: to be corrected, and never a reason to leave out a metric."""


class RegistrationError(Txm2semError):
    """A pair of slices that could not be brought into register; of several pairs, one a line."""

    def __init__(self, message: object = "") -> None:
        Exception.__init__(self, "\n".join(map(printable, str(message).split("\n"))))


class TrainingError(Txm2semError):
    """A training that cannot continue: a loss that is not finite, or no usable patches."""


class OutOfMemoryError(Txm2semError):
    """A computation that needs more memory than there is."""


_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def for_user(error: BaseException, target: Path | None = None) -> Txm2semError | None:
    """The error to report: `error` itself, or what it means where a disk, quota or memory is full or rights are
    missing.

    None where it is something else, and so a fault of ours.

    Args:
        error: ours, an `OSError` or `MemoryError`, what a library made of one, or that no thread could be started.
        target: what was being written; if not given, the file that the error names.
    """
    if isinstance(error, Txm2semError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemoryError(f"out of memory ({error}). Use smaller images, or a machine or job with more.")
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return OutOfMemoryError(
            "no further thread could be started. Leave memory to this job, or raise what bounds it (ulimit -v or -u)."
        )
    number = _error_number(error)
    if number not in _FULL + _FORBIDDEN:
        return None
    named = getattr(error, "filename", None)
    file = Path(os.fsdecode(named)) if isinstance(named, (str, bytes)) else None
    if number in _FORBIDDEN:
        target = target if file is None or (target and file.is_relative_to(target.parent)) else file
        if target is None:  # of something that is no file
            return None
    reason = os.strerror(number)
    target = target or file
    if target is None:
        return InputError(
            f"a disk is full ({reason}). Make space where the output lies and where temporary files do (TMPDIR), and "
            "run the same again."
        )
    if number in _FORBIDDEN:
        return InputError(
            f"{target}: this user may not read or write it ({reason}). Change its rights or those of its folder, or "
            "choose another."
        )
    return InputError(
        f"{target}: cannot be written, {target.parent} has no space left ({reason}; {free_mib(target.parent)} MiB are "
        "free). Make space there, and run the same again."
    )


@contextmanager
def report_user_errors() -> Iterator[None]:
    """End the program with the message alone on a user's mistake, on stderr as logs may be silent."""
    try:
        yield
    except (Txm2semError, OSError) as error:
        if (reported := for_user(error)) is None:
            raise
        sys.exit(f"txm2sem: error: {reported}")


def _error_number(error: BaseException) -> int:
    """The system's number of an error, also where a library gives no more than its text; 0 if there is none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if found := re.search(r"\(os error (\d+)\)", str(error)):  # safetensors
        return int(found[1])
    return errno.ENOSPC if isinstance(error, OSError) and "requested and" in str(error) else 0  # numpy's `tofile`


def free_mib(folder: Path) -> str:
    """MiB that are free where `folder` is, or is to be, for messages."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path("."))
    return f"{shutil.disk_usage(there).free / 2**20:.1f}"
