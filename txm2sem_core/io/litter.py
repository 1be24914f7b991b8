"""Files that nobody put there: file managers, network file systems and archives leave them in every folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

TIMESTAMP = ".snakemake_timestamp"  # an empty file that Snakemake leaves in every folder that a job made
# Of macOS (also on foreign disks, and in its archives), Windows, KDE, NFS, FUSE, Synology, open documents, Snakemake;
# and waste bins. What begins with a dot is not left out as such: an old zarr describes itself in such files.
_FILES = (
    *(r"\.DS_Store", r"\._.*", r"Icon\r", r"\.apdisk", r"Thumbs\.db(:.*)?", r"ehthumbs(_vista)?\.db", r"desktop\.ini"),
    *(r"\.directory", r"\.nfs[0-9a-f]+", r"\.fuse_hidden[0-9a-f]+", r"\.smbdelete.*", r"\.~lock\..*#", r"~\$.*"),
    re.escape(TIMESTAMP),
)
_FOLDERS = (
    *(r"\.AppleDouble", r"\.Spotlight-V100", r"\.fseventsd", r"\.TemporaryItems", r"\.Trashes", r"__MACOSX"),
    *(r"\.Trash-\d+", r"\$RECYCLE\.BIN", r"System Volume Information", r"@eaDir", r"#recycle", r"\.snapshots?"),
)
_FILE, _FOLDER = (re.compile("|".join(names), re.IGNORECASE | re.DOTALL) for names in (_FILES, _FOLDERS))


def is_litter(name: str) -> bool:
    """Whether a file of this name was left by a program, and is no part of a folder's content."""
    return _FILE.fullmatch(name) is not None


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder without such files; links to folders are not followed."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _FOLDER.fullmatch(name)]
        yield from (Path(root, name) for name in files if not is_litter(name))
