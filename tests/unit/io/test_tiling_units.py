"""Units, slabs and reads along z: every slice once, no shard with two writers, no read twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core.io.units import Unit, plan_blocks, plan_reads, plan_slab, plan_units

DEPTHS, THICKNESSES = st.integers(1, 300), st.integers(1, 40)


@given(DEPTHS, THICKNESSES)
def test_units_cover_every_slice_once_and_start_at_multiples(depth: int, thickness: int) -> None:
    units = plan_units(depth, thickness)
    assert [z for unit in units for z in range(unit.z0, unit.z1)] == list(range(depth))
    assert all(unit.z0 == unit.index * thickness for unit in units)


@given(DEPTHS, THICKNESSES, st.integers(1, 50))
def test_slabs_are_whole_units_in_order_and_as_even_as_can_be(depth: int, thickness: int, slabs: int) -> None:
    units = plan_units(depth, thickness)
    parts = [plan_slab(units, number, slabs) for number in range(1, slabs + 1)]
    assert [unit for part in parts for unit in part] == units
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@given(DEPTHS, THICKNESSES, st.integers(0, 4), st.integers(1, 20), st.data())
def test_reads_bring_what_units_need_and_each_slice_once(
    depth: int, thickness: int, context: int, most: int, data: st.DataObject
) -> None:
    units = plan_units(depth, thickness)
    chosen = sorted(data.draw(st.sets(st.sampled_from(units))))
    reads = plan_reads(chosen, context, depth, most)
    read = [z for start, stop in reads for z in range(start, stop)]
    needed = {
        int(n)
        for unit in chosen
        for z in range(unit.z0, unit.z1)
        for n in np.clip(np.arange(z - context, z + context + 1), 0, depth - 1)
    }
    assert read == sorted(needed)
    assert all(0 < stop - start <= most for start, stop in reads)
    # a stored chunk of `most` slices is read by at most one read of neighbouring units, so it is decoded once
    assert all(start // most == (stop - 1) // most for start, stop in reads)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 150))
def test_blocks_cover_a_plane_once(height: int, width: int, side: int) -> None:
    count = np.zeros((height, width), dtype=int)
    for y, x in plan_blocks((height, width), side):
        count[y, x] += 1
        assert y.stop - y.start <= side
        assert x.stop - x.start <= side
    assert (count == 1).all()


def test_the_picture_of_the_module() -> None:
    units = plan_units(100, 16)
    assert [unit.index for unit in plan_slab(units, 1, 2)] == [0, 1, 2]
    assert plan_slab(units, 2, 2)[-1] == Unit(6, 96, 100)
    assert plan_reads([units[3]], 2, 100, 100) == [(46, 66)]
    assert len(plan_units(50, 16)) == 4  # level 1


@pytest.mark.parametrize("slabs", [8, 100])
def test_more_slabs_than_units_leave_some_empty(slabs: int) -> None:
    units = plan_units(100, 16)
    assert sum(not plan_slab(units, number, slabs) for number in range(1, slabs + 1)) == slabs - 7
