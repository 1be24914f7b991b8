"""What took long to read from large files and is small itself, kept beside the results until those files change.

A key tells from what files and with what settings it was made (`volumes_key`, or None where that cannot be told). Files
enter a key by what the file system says of them, with a time of change that nobody can set. So what came along with
received results, or was copied, has no key that is valid here, and is never read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core.errors import Txm2semError
from txm2sem_core.io.atomic import working_path
from txm2sem_core.io.files import open_file
from txm2sem_core.io.volume import Volume
from txm2sem_core.provenance.digests import files_mark

Arrays = dict[str, np.ndarray]


def volumes_key(volumes: Iterable[Volume], made_with: Any) -> str | None:
    """A key of the files of volumes and their masks, in their order, and of a JSON value.

    None where the files cannot be told from others: they changed seconds ago, or their file system keeps no time of
    change.
    """
    each = [one for volume in volumes for one in (volume, volume.mask) if one is not None]
    mark = files_mark(path for one in each for path in one.files or (Path(one.source),))
    finer = [one.finer for one in each]
    text = json.dumps(
        [mark, finer, [one.source.rpartition(":")[2] for one in each if one.files], made_with], sort_keys=True
    )
    return None if mark is None else hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def read_beside(file: Path, key: str | None) -> Arrays | None:
    """What is kept in a file under a key; None where there is nothing, or it is of another key, or damaged."""
    if key is None:
        return None
    try:
        with open_file(file) as stream:
            if stream.read(len(key)) != key.encode():
                return None
            with np.load(io.BytesIO(stream.read()), allow_pickle=False) as kept:
                return dict(kept)
    except (Txm2semError, OSError, ValueError, LookupError, zipfile.BadZipFile):
        return None


def keep_beside(file: Path, key: str | None, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep arrays; nothing where the key is None, or the file cannot be written, since it is only for speed."""
    if key is None:
        return
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    with contextlib.suppress(OSError, Txm2semError), working_path(file) as temporary:
        temporary.write_bytes(key.encode() + content.getvalue())
