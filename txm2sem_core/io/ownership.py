"""Which files TXM2SEM made: known by a mark in the file, never by its name.

- TIFF: the tag `Software`
- JSON: the key `software` (`MARK`)
- safetensors: the same key of its metadata
- PNG, PDF, SVG, HTML: the text `Software`, the creator, the generator, within the first or last 4 KiB (`_IN_TEXT`)
- ZIP, so TorchScript, and ONNX: the comment or a property, within the last 4 KiB
- a file without room for a mark, as CSV: a marked JSON in the same folder lists its SHA-256 by name (`sha256`)
- a folder that is written as a whole: a marked JSON in it lists all its files so; `MANIFEST` if there is no other
- OME-Zarr: the key `txm2sem` of the group's attributes; its other files are recognised by their paths in it

A folder is ours if all that lies in it is. A symbolic link never is.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import tifffile

from txm2sem_core.errors import InputError
from txm2sem_core.io.files import open_file, read_bytes
from txm2sem_core.io.litter import TIMESTAMP, is_litter

SOFTWARE = "TXM2SEM"
MARK = {"software": SOFTWARE}
"""Among the keys of every JSON that a command leaves."""
MANIFEST = ".txm2sem.json"
_IN_TEXT = {
    b"\x89PNG": b"tEXtSoftware\0TXM2SEM",
    b"%PDF": b"/Creator (TXM2SEM)",
    b"<?xml": b"<dc:title>TXM2SEM</dc:title>",
    b"<!doc": b'<meta name="generator" content="TXM2SEM">',
    b"PK\x03\x04": b"software TXM2SEM",
    b"\x08": b"\x12\x07TXM2SEM",  # ONNX begins with its version, and ends with properties
}
_TEXT_BYTES = 4096
_LARGEST_JSON = 64 * 2**20
_ZARR_PART = re.compile(r"(?:\d+/)?(?:zarr\.json|\.zgroup|\.zarray|\.zattrs)|\d+(?:/c)?(?:/\d+)+")
Content = dict[str, tuple[int, ...]]


def first_foreign(target: Path) -> Path | None:
    """The first path at or within `target` that we did not make; None if all is ours.

    Of a file its mark is read, or, where it has none, the whole file; of a folder all files, but of an OME-Zarr only
    their paths.
    """
    if target.is_symlink() or not target.is_dir():
        return None if _is_marked(target) or _is_recorded(target) else target
    volume, records = is_own_volume(target), listed_files(target)
    if not volume and records is None:
        return next((path for path in _entries(target) if path.is_symlink() or not path.is_dir()), target)
    for path in _entries(target):
        name = path.relative_to(target).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):  # we leave none empty
                return path
        elif not path.is_file() or path.is_symlink():
            return path
        elif is_litter(path.name) and (path.name != TIMESTAMP or not path.stat().st_size):
            continue
        elif volume:
            if not _ZARR_PART.fullmatch(name):
                return path
        elif records is not None and records.get(name) not in ("", sha256_file(path)):
            return path
    return None


def record_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder by its path there, for a marked JSON's key `sha256`."""
    files = (path for path in _entries(folder) if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def mark_folder(folder: Path) -> None:
    """Leave `MANIFEST` in a folder that is whole, unless a file in it says already what it holds."""
    if not any((folder / name).exists() for name in ("zarr.json", ".zgroup")) and listed_files(folder) is None:
        text = json.dumps({**MARK, "sha256": record_files(folder)}, indent=1, sort_keys=True)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def content(target: Path) -> Content:
    """Kind, identity, size and time of every file, to find out whether anything was added, removed or changed."""
    found = {}
    for path in (target, *_entries(target)):
        status = path.lstat()
        of_file = () if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns)
        found[path.relative_to(target).as_posix()] = (stat.S_IFMT(status.st_mode), status.st_ino, *of_file)
    return found


def is_same(new: Path, old: Path) -> bool:
    """Whether every file of `new` stands in `old` too, to the byte; a folder `old` may hold more."""
    if old.is_symlink() or new.is_dir() != old.is_dir():
        return False
    if not new.is_dir():
        return old.is_file() and filecmp.cmp(new, old, shallow=False)
    return all(is_same(path, old / path.relative_to(new)) for path in _entries(new) if not path.is_dir())


def read_marks(target: Path) -> dict[str, Any]:
    """The values that the mark of a file or OME-Zarr of ours holds; empty if there is no mark.

    Of a TIFF these are the words `key=value` of its tag `Software`, of an OME-Zarr the values of `txm2sem`.
    """
    with suppress(InputError, OSError, ValueError, RecursionError, tifffile.TiffFileError, KeyError, TypeError):
        if target.is_dir():
            return dict(group_attributes(target)["txm2sem"])
        with open_file(target) as stream, tifffile.TiffFile(stream, name=target.name) as tiff:
            words = str(tiff.pages.first.software).split()
            return dict(word.split("=", 1) for word in words[1:]) if words[:1] == [SOFTWARE] else {}
    return {}


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def _entries(folder: Path) -> Iterator[Path]:
    """All that lies in a folder, in order; links are not followed. Nothing of a file."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(root, name) for name in sorted([*folders, *files]))


def _is_marked(file: Path) -> bool:
    """Whether a file has a mark of ours in it."""
    if file.is_symlink() or not file.is_file():
        return False
    with suppress(OSError, ValueError, RecursionError, tifffile.TiffFileError), file.open("rb") as stream:
        head = stream.read(9)
        stream.seek(0)
        if head[:2] in (b"II", b"MM"):
            with tifffile.TiffFile(stream) as tiff:
                return str(tiff.pages.first.software).startswith(SOFTWARE)
        length = int.from_bytes(head[:8], "little")
        if head[8:9] == b"{" and length <= _LARGEST_JSON:  # safetensors
            stream.seek(8)
            header = json.loads(stream.read(length))
            return bool(header.get("__metadata__", {}).get("software") == SOFTWARE)
        for start, mark in _IN_TEXT.items():
            if head.lower().startswith(start.lower()):
                ends = stream.read(_TEXT_BYTES)
                stream.seek(max(0, file.stat().st_size - _TEXT_BYTES))
                return mark in ends + stream.read()
    return _marked_json(file) is not None


def _is_recorded(file: Path) -> bool:
    """Whether a marked JSON beside a file lists it as it is."""
    known = None if file.is_symlink() or not file.is_file() else listed_files(file.parent)
    return known is not None and known.get(file.name) == sha256_file(file)


def listed_files(folder: Path) -> dict[str, str] | None:
    """SHA-256 of the files that the marked JSONs in a folder list, by their paths there; None if none lists anything.

    The JSONs themselves are among them, with an empty text.
    """
    listed: dict[str, str] = {}
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        values = _marked_json(file)
        if values is not None and isinstance(values.get("sha256"), dict):
            listed |= {**values["sha256"], file.name: ""}
    return listed or None


def _marked_json(file: Path) -> dict[str, Any] | None:
    """What a JSON of ours says; None if a file is none."""
    with suppress(OSError, ValueError, RecursionError):
        if file.is_symlink() or not file.is_file() or not 0 < file.stat().st_size <= _LARGEST_JSON:
            return None
        data = file.read_bytes()
        values = json.loads(data) if data[:1] == b"{" else None
        return values if isinstance(values, dict) and values.get("software") == SOFTWARE else None
    return None


def is_own_volume(folder: Path) -> bool:
    """Whether it is an OME-Zarr of ours."""
    with suppress(InputError, OSError, ValueError, RecursionError, KeyError, TypeError):
        return "txm2sem" in group_attributes(folder)
    return False


def group_attributes(folder: Path) -> dict[str, Any]:
    """The attributes of a zarr group, of format 3 or 2.

    Raises:
        InputError, ValueError, KeyError, TypeError: it has none that can be read.
    """
    if (folder / "zarr.json").exists():
        return dict(json.loads(read_bytes(folder / "zarr.json"))["attributes"])
    return dict(json.loads(read_bytes(folder / ".zattrs")))
