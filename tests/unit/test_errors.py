"""What the system's errors become for a user, and which stay a fault of ours."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path

import pytest

from txm2sem_core.errors import ConfigError, OutOfMemoryError, for_user, warn_in_one_line


def system_error(number: int, file: Path | None = None) -> OSError:
    return OSError(number, os.strerror(number), *([str(file)] if file else []))


def test_what_is_no_matter_of_the_users_stays_as_it_is(tmp_path: Path) -> None:
    for error in (
        ValueError("x"),
        system_error(errno.ENOENT, tmp_path),
        OSError("no number"),
        OSError(errno.EPERM, ""),
    ):
        assert for_user(error) is None
    own = ConfigError("a message")
    assert for_user(own, tmp_path) is own


@pytest.mark.parametrize(
    "error",
    [
        system_error(errno.ENOSPC),
        system_error(errno.EDQUOT),
        OSError("1000 requested and 12 written"),  # numpy's `tofile`
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors
    ],
)
def test_a_full_disk_names_what_was_written(tmp_path: Path, error: Exception) -> None:
    target = tmp_path / "not" / "there" / "a.tif"
    message = str(for_user(error, target))
    assert message.startswith(f"{target}: cannot be written, {target.parent} has no space left (")
    assert "MiB are free). Make space there, and run the same again." in message


def test_a_full_disk_of_which_nothing_is_known() -> None:
    assert "TMPDIR" in str(for_user(system_error(errno.ENOSPC)))


def test_missing_rights_name_the_file_that_lacks_them(tmp_path: Path) -> None:
    target, hidden, source = tmp_path / "a.tif", tmp_path / ".x.part.a.tif", tmp_path.parent / "source.tif"
    assert str(for_user(system_error(errno.EACCES, hidden), target)).startswith(f"{target}: this user may not")
    assert str(for_user(system_error(errno.EROFS, source), target)).startswith(f"{source}: this user may not")
    assert str(for_user(system_error(errno.EACCES, source))).startswith(f"{source}: this user may not")


def test_no_memory() -> None:
    message = for_user(MemoryError("Unable to allocate 3.00 TiB for an array"))
    assert isinstance(message, OutOfMemoryError)
    assert "Unable to allocate 3.00 TiB" in str(message)


def test_no_thread() -> None:
    message = for_user(RuntimeError("can't start new thread"))  # as Python says where memory is bounded
    assert isinstance(message, OutOfMemoryError)
    assert "ulimit" in str(message)
    assert for_user(RuntimeError("shape mismatch")) is None


def test_a_warning_is_one_line_without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # to be given back
    warn_in_one_line()
    shown = warnings.formatwarning("a\nb \x1b[0m", UserWarning, "cli.py", 3, "print(readable(evaluate_files()))")
    assert shown == "txm2sem: warning: a\\nb \\x1b[0m\n"
