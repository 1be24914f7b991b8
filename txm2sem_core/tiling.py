"""What a tile of a plane reads and what it writes, and what a job of a volume does. Pure geometry.

In the plane, along one axis, in pixels of the network's input, with tiles of `tile` pixels, neighbours blended over
`overlap` pixels, and a network that looks `halo` pixels far (its receptive field):

    plane     0 |-------------------------------------------------| n
    cores       |------tile------|------tile------|------tile-----|
    keep        |-------------------|                                 first tile: to half the overlap beyond its core
                              |--------------------|                  second tile
    read        |-----------------------|                             first tile: keep and the halo, to multiples
                          |----------------------------|              second tile
    weights     1 1 1 1 1 1 1 falls over the overlap, while the neighbour's rises: together they are 1

Whatever a tile keeps lies at least `halo` from the borders that it has and the plane has not, so it is what one pass
over the whole plane would give; blending then only hides rounding, and what a network looks at beyond its halo.

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

import numpy as np


@dataclass(frozen=True)
class Span:
    """One tile along one axis: [read_start, read_stop) is computed, [keep_start, keep_stop) is kept and weighted."""

    read_start: int
    read_stop: int
    keep_start: int
    keep_stop: int
    rise: int  # pixels over which the weight rises at the start; 0 at the plane's border
    fall: int  # the same at the end

    def weights(self, factor: int = 1) -> np.ndarray:
        """Weights [(keep_stop - keep_start) * factor] of the kept pixels, float32, on a grid `factor` times as fine."""
        weights = np.ones((self.keep_stop - self.keep_start) * factor, dtype=np.float32)
        rise, fall = self.rise * factor, self.fall * factor
        weights[:rise] = (np.arange(rise, dtype=np.float32) + 0.5) / np.float32(max(rise, 1))
        if fall:
            weights[-fall:] = 1 - (np.arange(fall, dtype=np.float32) + 0.5) / np.float32(fall)
        return weights


def padded_length(length: int, multiple: int, minimum: int = 1) -> int:
    """The length a plane must be padded to at its end: a multiple of `multiple`, at least `minimum`."""
    return -(-max(length, minimum) // multiple) * multiple


def plan_axis(length: int, tile: int, overlap: int, halo: int, multiple: int = 1) -> list[Span]:
    """Cut an axis of `length` pixels, a multiple of `multiple`, into tiles.

    Args:
        length: pixels along the axis.
        tile: pixels of a tile's core; rounded up to a multiple of `multiple`. `tile >= length` gives one tile.
        overlap: pixels over which neighbours are blended; at most `tile`.
        halo: pixels that are read beyond what is kept.
        multiple: reads start at multiples of it and are multiples long.
    """
    tile = padded_length(min(tile, length), multiple)
    half = min(overlap, tile) // 2
    spans = []
    for start in range(0, length, tile):
        stop = min(start + tile, length)
        rise, fall = (half if start > 0 else 0), (half if stop < length else 0)
        fall = min(fall, length - stop)
        keep_start, keep_stop = start - rise, stop + fall
        read_start = max(0, keep_start - halo) // multiple * multiple
        read_stop = min(length, padded_length(keep_stop + halo, multiple))
        spans.append(Span(read_start, read_stop, keep_start, keep_stop, 2 * rise, 2 * fall))
    return _meet(spans)


def _meet(spans: list[Span]) -> list[Span]:
    """Let each rise be as long as the fall before it, also where the last tile is shorter than half the overlap."""
    met = spans[:1]
    for span in spans[1:]:
        before = met[-1]
        blended = before.keep_stop - span.keep_start
        met[-1] = Span(before.read_start, before.read_stop, before.keep_start, before.keep_stop, before.rise, blended)
        met.append(Span(span.read_start, span.read_stop, span.keep_start, span.keep_stop, blended, span.fall))
    return met


def plan_tiles(
    shape: tuple[int, int], tile: int, overlap: int, halo: int, multiple: int = 1
) -> list[tuple[Span, Span]]:
    """Cut a plane (Y, X) into tiles (span along Y, span along X); see `plan_axis`."""
    rows, columns = (plan_axis(length, tile, overlap, halo, multiple) for length in shape)
    return [(row, column) for row in rows for column in columns]


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
