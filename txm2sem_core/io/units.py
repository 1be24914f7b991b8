"""What a job of a volume reads and writes along z, and the blocks of its planes. Pure geometry.

Along z, in slices, with units of `thickness` slices, and a network that sees `context` slices below and above:

    slices    0 |---------------------------------------------------| depth
    units       |---0---|---1---|---2---|---3---|---4---|---5---|-6-|   whole planes; each is written at once, into
                                                                        shards of its own, and marked when it is there
    slabs       |--------1 of 2---------|---------2 of 2------------|   whole units: what one job makes
    read                      |c|---3---|c|                             a unit's slices, and `context` at both ends
    level 1     |-------0-------|-------1-------|-------2-------|-3-|   the pyramid has units too: twice as many slices

No shard has two writers, since it lies within one unit; and no voxel depends on the slab that it is in, since a unit
reads the same slices whoever makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def padded_length(length: int, multiple: int, minimum: int = 1) -> int:
    """The length a plane must be padded to at its end: a multiple of `multiple`, at least `minimum`."""
    return -(-max(length, minimum) // multiple) * multiple


@dataclass(frozen=True, order=True)
class Unit:
    """Slices z0 to z1 - 1 of one level of a volume: what is written at once, and marked when it is there."""

    index: int
    z0: int
    z1: int


def plan_units(depth: int, thickness: int) -> list[Unit]:
    """Cut `depth` slices into units of `thickness`; the last may be thinner."""
    return [Unit(n, z, min(z + thickness, depth)) for n, z in enumerate(range(0, depth, thickness))]


def plan_slab(units: Sequence[Unit], slab: int, slabs: int) -> list[Unit]:
    """The units of slab number `slab` of `slabs`, counted from 1; none where there are more slabs than units."""
    return list(units[(slab - 1) * len(units) // slabs : slab * len(units) // slabs])


def plan_reads(units: Sequence[Unit], context: int, depth: int, most: int) -> list[tuple[int, int]]:
    """The ranges of slices that `units`, in order, are made of: each slice once, in order, at most `most` together.

    Ranges end at multiples of `most`, so that files stored in chunks as thick are not decoded twice.
    """
    reads: list[tuple[int, int]] = []
    start = 0
    for unit in units:
        stop = min(unit.z1 + context, depth)
        start = max(start, unit.z0 - context, 0)
        while start < stop:
            end = min(stop, (start // most + 1) * most)
            reads.append((start, end))
            start = end
    return reads


def plan_blocks(shape: tuple[int, int], side: int) -> list[tuple[slice, slice]]:
    """Cut a plane (Y, X) into blocks of `side` pixels a side, those at the end smaller."""
    rows, columns = ([slice(n, min(n + side, length)) for n in range(0, length, side)] for length in shape)
    return [(row, column) for row in rows for column in columns]
