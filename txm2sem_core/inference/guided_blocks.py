"""Samples that the TXM guides, by blocks of slices that are drawn together, for units of a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from txm2sem_core.inference.guided_sampler import Block
from txm2sem_core.inference.outputs import VolumeOutput
from txm2sem_core.inference.streaming import HeldSlices, PreparedSlice, SliceOfUnit
from txm2sem_core.inference.unit_builder import PredictedSlice, finished_slice
from txm2sem_core.io.units import Unit
from txm2sem_core.io.zarr_levels import UNIT_Z

BLOCK_Z = 3 * UNIT_Z  # slices that are wanted of a block


class StoppedError(Exception):
    """The prediction is to stop before the block is done."""


def blocks_of(units: Sequence[Unit], depth: int) -> list[Unit]:
    """The blocks that hold these units. Where a block begins does not depend on what is asked for."""
    numbers = sorted({unit.z0 // BLOCK_Z for unit in units})
    return [Unit(number, number * BLOCK_Z, min((number + 1) * BLOCK_Z, depth)) for number in numbers]


def guided_slices(
    output: VolumeOutput,
    slices: Iterator[PreparedSlice],
    units: Sequence[Unit],
    depth: int,
    should_stop: Callable[[], bool],
) -> Iterator[PredictedSlice]:
    """Every slice of the units; fewer where it is to stop.

    Args:
        output: of a predictor whose `reach_z` is above 0.
        slices: those of the blocks that hold the units, with the predictor's context and `reach_z` on both sides.
        units: in order.
        depth: of the volume.
        should_stop: asked before every plane that is computed.
    """
    predictor = output.predictor
    held = HeldSlices(slices, predictor.context, depth)
    unit_of = {z: unit for unit in units for z in range(unit.z0, unit.z1)}

    def at_work() -> None:
        if should_stop():
            raise StoppedError

    for block in blocks_of(units, depth):
        drawn = range(max(block.z0 - predictor.reach_z, 0), min(block.z1 + predictor.reach_z, depth))
        held.hold(drawn)
        kept = [z for z in range(block.z0, block.z1) if z in unit_of]
        predicted = predictor.predict_block(Block(kept, drawn, held.slab, held.mask, at_work))
        try:
            for z, image in zip(kept, predicted, strict=True):
                slice_ = SliceOfUnit(unit_of[z], z, held.slab(z), held.mask(z))
                yield finished_slice(output, slice_, image)
        except StoppedError:
            return
