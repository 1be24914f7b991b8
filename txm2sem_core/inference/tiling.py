"""What a tile of a plane reads and what it writes. Pure geometry.

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
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from txm2sem_core.io.units import padded_length


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
