"""Tables, JSON, text and digests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from txm2sem_core.errors import InputError
from txm2sem_core.io.atomic import atomic_path
from txm2sem_core.io.ownership import sha256_file

__all__ = ["read_csv", "read_json", "read_text", "sha256_file", "write_csv", "write_json", "write_text"]

if TYPE_CHECKING:
    import pandas as pd


def write_text(path: str | Path, text: str, *, overwrite: bool = True) -> None:
    """Write UTF-8 text atomically; in place of what, see `atomic_path`."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: str | Path) -> str:
    """Read UTF-8 text, with or without a byte-order mark."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would be read for ever
            raise InputError(f"{path}: this is not a file. Check the path.")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file. Check the path.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path}: this file cannot be read ({error.strerror}). Check its rights.") from error
    except ValueError as error:  # a NUL in the path
        raise InputError(f"{str(path)!r}: this is not a path ({error}).") from error


def write_json(path: str | Path, value: Any, *, overwrite: bool = True) -> None:
    """Write JSON atomically, with sorted keys so that equal values give equal bytes. NaN is refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", overwrite=overwrite)


def read_json(path: str | Path) -> Any:
    """Read JSON."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: this is not JSON (line {error.lineno}: {error.msg}). Make it again.") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets within brackets without end
        raise InputError(f"{path}: a value cannot be read ({str(error)[:200]}). Make it again.") from error


def write_csv(path: str | Path, table: pd.DataFrame, *, overwrite: bool = True) -> None:
    """Write a table as CSV atomically, without the row index."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: str | Path, text_columns: tuple[str, ...] = ("pair",)) -> pd.DataFrame:
    """Read a CSV table. Columns named in `text_columns` stay text, so that the pair `000` is not the number 0."""
    import pandas as pd  # here, not above: heavy, and imported with this package by every prediction

    try:
        return pd.read_csv(path, dtype=dict.fromkeys(text_columns, str), keep_default_na=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file. Check the path.") from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is not a CSV table ({' '.join(str(error).split())}). Make it again.") from error
