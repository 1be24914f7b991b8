"""Structured damage to files of every format: numbers that matter are replaced where a format keeps them."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

NUMBERS = [0, 1, 2, 3, 7, 8, 15, 16, 17, 255, 256, 1000, 65535, 65536, 2**20, 2**24, 2**27, 2**31 - 1, 2**31, 2**32 - 1]
NUMBERS += [2**32, 2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**12, -1, -2, -(2**31)]
TEXTS = ["", ".", "..", "../x", "/etc/passwd", "0", "a/b", "a\0b", "\x1b[2J", "\u202e", "-1", "NaN", "x" * 300, "é"]
VALUES: list[Any] = [
    None,
    True,
    False,
    0.5,
    -0.0,
    1e308,
    [],
    {},
    [[]],
    [0, 0, 0],
    [1, 64, 64],
    {"a": 1},
    *NUMBERS,
    *TEXTS,
]
Damage = Callable[[bytes, random.Random], bytes]


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few numbers anywhere, most often in front; or cut, lengthened, a part copied elsewhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not changed:
            break
        reach = min(len(changed), rng.choice((64, 512, 2048, len(changed))))
        at, kind = rng.randrange(reach), rng.random()
        if kind < 0.35:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind < 0.8:
            width = rng.choice((1, 2, 4, 8))
            order = rng.choice(("little", "big"))
            value = (rng.choice(NUMBERS) & (256**width - 1)).to_bytes(width, order)  # type: ignore[arg-type]
            at -= at % width
            changed[at : at + width] = value
        elif kind < 0.87:
            del changed[at:]
        elif kind < 0.94:
            start = rng.randrange(len(changed))
            changed[at:at] = changed[start : start + rng.randrange(1, 64)]
        else:
            start, size = rng.randrange(len(changed)), rng.randrange(1, 64)
            changed[at : at + size] = changed[start : start + size]
    return bytes(changed)


def damaged_tiff(data: bytes, rng: random.Random) -> bytes:
    """Entries of directories: tag, type, count or value; or a number in the description; or bytes."""
    if rng.random() < 0.25 or len(data) < 16:
        return damaged_bytes(damaged_text(data, rng) if rng.random() < 0.5 else data, rng)
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    changed = bytearray(data)
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    for _ in range(rng.choice((0, 0, 0, 1, 3))):  # to a later page
        count = struct.unpack_from(order + ("Q" if big else "H"), data, at)[0] if at + 8 < len(data) else 0
        after = at + (8 + 20 * count if big else 2 + 12 * count)
        following = struct.unpack_from(order + ("Q" if big else "I"), data, after)[0] if after + 8 <= len(data) else 0
        at = following or at
    if at + 8 >= len(data):
        return damaged_bytes(data, rng)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    for _ in range(rng.choice((1, 1, 2, 3))):
        entry = at + (8 if big else 2) + rng.randrange(max(1, min(count, 100))) * (20 if big else 12)
        fields = [(0, "H"), (2, "H"), (4, "Q" if big else "I"), (12 if big else 8, "Q" if big else "I")]
        place, kind = rng.choice([*fields[:2], *fields[2:], fields[3], fields[3]])
        if entry + place + struct.calcsize(kind) <= len(changed):
            tags = [254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330]
            numbers = [*tags, 339, 347, 32997, 33629, 34412, 50838, 51123] if place == 0 else NUMBERS
            codes = [1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34712, 34925, 50000, 50002, 33003, 34887]
            value = rng.choice(numbers + (codes if place > 2 else []))
            struct.pack_into(order + kind, changed, entry + place, value & (256 ** struct.calcsize(kind) - 1))
    return bytes(changed)


def damaged_text(data: bytes, rng: random.Random) -> bytes:
    """Numbers in a text, or a piece of it left out, doubled or replaced."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?|[A-Za-z_]{2,}", data))
    if not found:
        return damaged_bytes(data, rng)
    changed = data
    for match in sorted(rng.sample(found, min(len(found), rng.choice((1, 1, 2, 4)))), key=lambda m: -m.start()):
        kind = rng.random()
        if match[0][-1:].isdigit() or kind < 0.1:
            new = str(rng.choice(NUMBERS)).encode()
        elif kind < 0.4:
            new = rng.choice(TEXTS).encode()
        else:
            new = rng.choice(found)[0]
        changed = changed[: match.start()] + new + changed[match.end() :]
    if rng.random() < 0.15:
        start, end = sorted((rng.randrange(len(changed) + 1), rng.randrange(len(changed) + 1)))
        changed = changed[:start] + changed[end:] if rng.random() < 0.5 else changed[:end] + changed[start:]
    return changed


def damaged_json(data: bytes, rng: random.Random) -> bytes:
    """A value replaced, a key or entry left out or doubled; seldom the text."""
    try:
        value = json.loads(data)
    except ValueError:
        return damaged_bytes(data, rng)
    if rng.random() < 0.1:
        return damaged_text(data, rng)
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = _mutated(value, rng)
    return json.dumps(value).encode()


def _mutated(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key, changed = rng.choice(list(value)), dict(value)
        kind = rng.random()
        if kind < 0.08:
            del changed[key]
        elif kind < 0.12:
            changed[str(rng.choice(TEXTS))] = changed.pop(key)
        else:
            changed[key] = _mutated(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.85:
        index, entries = rng.randrange(len(value)), list(value)
        kind = rng.random()
        if kind < 0.1:
            del entries[index]
        elif kind < 0.2:
            entries.append(entries[index])
        else:
            entries[index] = _mutated(value[index], rng)
        return entries
    return rng.choice(NUMBERS if isinstance(value, int) and rng.random() < 0.7 else VALUES)


def damaged_png(data: bytes, rng: random.Random) -> bytes:
    """A chunk's content or kind, with a checksum that fits; chunks doubled, left out, exchanged; or bytes."""
    if rng.random() < 0.2:
        return damaged_bytes(data, rng)
    chunks, at = [], 8
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    index, kind = rng.randrange(len(chunks)), rng.random()
    name, content = chunks[index] if rng.random() < 0.5 else chunks[0]
    if kind < 0.6:
        chunks[index if (name, content) == chunks[index] else 0] = (name, damaged_bytes(content, rng))
    elif kind < 0.75:
        chunks.insert(index, chunks[rng.randrange(len(chunks))])
    elif kind < 0.85:
        del chunks[index]
    else:
        chunks[index] = (rng.choice([b"IDAT", b"acTL", b"fdAT", b"iCCP", b"zTXt", b"tRNS", b"PLTE", b"abCD"]), content)
    parts = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return data[:8] + b"".join(parts)


def damaged_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header, with a length that fits; or bytes."""
    (size,) = struct.unpack_from("<Q", data)
    if rng.random() < 0.2 or size > len(data):
        return damaged_bytes(data, rng)
    header = damaged_json(data[8 : 8 + size], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


def damaged_file(name: str, data: bytes, rng: random.Random) -> bytes:
    """By what a file is."""
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return damaged_tiff(data, rng)
    if data[:4] == b"\x89PNG":
        return damaged_png(data, rng)
    if name.endswith(".safetensors"):
        return damaged_safetensors(data, rng)
    if name.endswith((".json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")):
        return damaged_json(data, rng)
    if name.endswith((".csv", ".yaml", ".tsv")):
        return damaged_text(data, rng) if rng.random() < 0.9 else damaged_bytes(data, rng)
    return damaged_bytes(data, rng)
