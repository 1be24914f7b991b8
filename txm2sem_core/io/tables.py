"""Tables, JSON, text and digests."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from txm2sem_core.errors import InputError
from txm2sem_core.io.atomic import atomic_path
from txm2sem_core.io.files import plain_name, read_bytes
from txm2sem_core.io.ownership import sha256_file

__all__ = ["read_csv", "read_json", "read_text", "sha256_file", "write_csv", "write_json", "write_text"]

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 10_000
_UNIVERSAL = re.compile("\r\n?")  # the ends of lines of other systems


def write_text(path: str | Path, text: str, *, overwrite: bool = True) -> None:
    """Write UTF-8 text atomically; in place of what, see `atomic_path`."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: str | Path) -> str:
    """Read UTF-8 text, with or without a byte-order mark, from a regular file (see `files.read_bytes`)."""
    try:
        return _UNIVERSAL.sub("\n", read_bytes(path).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error


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
    """Read a CSV table. Columns named in `text_columns` stay text, so that the pair `000` is not the number 0.

    Names of pairs become names of files, so they must be plain ones, in every table.

    Raises:
        InputError: the file cannot be read, is no table, has more than 10,000 columns, or gives a pair no plain name.
    """
    import pandas as pd  # here, not above: heavy, and imported with this package by every prediction

    text = read_text(path)
    if text.partition("\n")[0].count(",") >= MAX_COLUMNS:
        raise InputError(f"{path}: this table has more than {MAX_COLUMNS} columns. Make it again.")
    try:
        table = pd.read_csv(StringIO(text), dtype=dict.fromkeys(text_columns, str), keep_default_na=True)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: this is not a CSV table ({' '.join(str(error).split())}). Make it again.") from error
    for name in table["pair"].dropna().unique() if "pair" in table and "pair" in text_columns else ():
        plain_name(name, path, "a pair")
    return table
