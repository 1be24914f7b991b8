"""A writer of compound files (OLE2), from Microsoft's [MS-CFB]: Zeiss's .txm and .txrm are such files.

Version 3, sectors of 512 bytes; streams below 4096 bytes lie in the mini stream. Up to 109 sectors of the allocation
table, 7 MB: enough for tests. olefile only reads.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

SECTOR, MINI, CUTOFF = 512, 64, 4096
END, FREE, TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


@dataclass
class _Entry:
    name: str
    kind: int  # 5 root, 1 storage, 2 stream
    data: bytes = b""
    children: list[int] = field(default_factory=list)
    start: int = END
    size: int = 0


def write_compound_file(path: Path, streams: dict[str, bytes]) -> None:
    """Write streams, named as `Storage/Stream`."""
    entries = _tree(streams)
    mini, mini_table = b"", []
    sectors: list[bytes] = []
    table: list[int] = []

    def place(data: bytes) -> int:
        """Append data in sectors of their own; returns the first."""
        start, n = len(sectors), -(-len(data) // SECTOR)
        for i in range(n):
            sectors.append(data[i * SECTOR : (i + 1) * SECTOR].ljust(SECTOR, b"\0"))
            table.append(start + i + 1 if i + 1 < n else END)
        return start if n else END

    for entry in entries:
        if entry.kind == 2:
            entry.size = len(entry.data)
            if len(entry.data) >= CUTOFF:
                entry.start = place(entry.data)
            elif entry.data:
                entry.start, n = len(mini) // MINI, -(-len(entry.data) // MINI)
                mini += entry.data.ljust(n * MINI, b"\0")
                mini_table += [entry.start + i + 1 if i + 1 < n else END for i in range(n)]
    entries[0].start, entries[0].size = place(mini), len(mini)
    first_mini_table = place(
        struct.pack(f"<{len(mini_table)}I", *mini_table).ljust(-(-len(mini_table) // 128) * SECTOR, b"\xff")
    )
    directory = place(b"".join(_directory_entry(entries, i) for i in range(len(entries))))
    n_tables = 1
    while n_tables * 128 < len(sectors) + n_tables:
        n_tables += 1
    tables = list(range(len(sectors), len(sectors) + n_tables))
    table += [TABLE] * n_tables
    table += [FREE] * (n_tables * 128 - len(table))
    assert n_tables <= 109, "too large for this writer"
    header = struct.pack("<8s16sHHHHH6x", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIII", 0, n_tables, directory, 0, CUTOFF)
    header += struct.pack("<IIII", first_mini_table, -(-len(mini_table) // 128), END, 0)
    header += struct.pack("<109I", *tables, *[FREE] * (109 - n_tables))
    path.write_bytes(header + b"".join(sectors) + struct.pack(f"<{len(table)}I", *table))


def _tree(streams: dict[str, bytes]) -> list[_Entry]:
    entries = [_Entry("Root Entry", 5)]
    storages: dict[str, int] = {}
    for name, data in streams.items():
        *above, leaf = name.split("/")
        parent = 0
        for storage in above:
            if storage not in storages:
                storages[storage] = len(entries)
                entries[parent].children.append(len(entries))
                entries.append(_Entry(storage, 1))
            parent = storages[storage]
        entries[parent].children.append(len(entries))
        entries.append(_Entry(leaf, 2, data))
    for entry in entries:  # the order of [MS-CFB]: shorter names first, then upper case
        entry.children.sort(key=lambda child: (len(entries[child].name), entries[child].name.upper()))
    return entries


def _directory_entry(entries: list[_Entry], index: int) -> bytes:
    """128 bytes. Siblings are a chain to the right, which is a valid if unbalanced tree."""
    entry = entries[index]
    right = FREE
    for other in entries:
        if index in other.children:
            at = other.children.index(index)
            right = other.children[at + 1] if at + 1 < len(other.children) else FREE
    child = entry.children[0] if entry.children else FREE
    name = entry.name.encode("utf-16-le")
    packed = struct.pack("<64sHBBIII", name, len(name) + 2, entry.kind, 1, FREE, right, child)
    return packed + struct.pack("<16sI8s8sIQ", b"", 0, b"", b"", entry.start if entry.kind != 1 else 0, entry.size)
