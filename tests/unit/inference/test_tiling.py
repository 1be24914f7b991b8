"""What tiles read, keep and weigh, for every plane, tile, overlap, halo and multiple."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txm2sem_core.inference.tiling import Span, plan_axis, plan_tiles
from txm2sem_core.io.units import padded_length


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    multiple = draw(st.sampled_from([1, 2, 4, 8, 32]))
    length = draw(st.integers(1, 30)) * multiple
    return length, draw(st.integers(1, length + 20)), draw(st.integers(0, 40)), draw(st.integers(0, 50)), multiple


@given(axes())
def test_reads_and_keeps_stay_inside_and_reads_lie_on_multiples(axis: tuple[int, int, int, int, int]) -> None:
    length, _, _, _, multiple = axis
    for span in plan_axis(*axis):
        assert 0 <= span.read_start <= span.keep_start < span.keep_stop <= span.read_stop <= length
        assert span.read_start % multiple == 0
        assert (span.read_stop - span.read_start) % multiple == 0


@given(axes())
def test_what_is_kept_lies_the_halo_from_borders_that_the_plane_has_not(axis: tuple[int, int, int, int, int]) -> None:
    length, _, _, halo, _ = axis
    for span in plan_axis(*axis):
        assert span.read_start == 0 or span.keep_start - span.read_start >= halo
        assert span.read_stop == length or span.read_stop - span.keep_stop >= halo


@given(axes(), st.sampled_from([1, 2, 4]))
def test_weights_of_all_tiles_are_one_together(axis: tuple[int, int, int, int, int], factor: int) -> None:
    length = axis[0]
    total = np.zeros(length * factor)
    for span in plan_axis(*axis):
        weights = span.weights(factor)
        assert weights.shape == ((span.keep_stop - span.keep_start) * factor,)
        assert weights.min() > 0
        assert weights.max() <= 1
        total[span.keep_start * factor : span.keep_stop * factor] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(axes())
def test_cores_have_the_size_that_was_asked_for(axis: tuple[int, int, int, int, int]) -> None:
    length, tile, _, _, multiple = axis
    assert len(plan_axis(*axis)) == -(-length // padded_length(min(tile, length), multiple))


def test_the_picture_of_the_module() -> None:
    first, second, third = plan_axis(300, 100, 20, 30)
    assert first == Span(read_start=0, read_stop=140, keep_start=0, keep_stop=110, rise=0, fall=20)
    assert second == Span(read_start=60, read_stop=240, keep_start=90, keep_stop=210, rise=20, fall=20)
    assert third == Span(read_start=160, read_stop=300, keep_start=190, keep_stop=300, rise=20, fall=0)
    assert (first.weights()[:90] == 1).all()
    assert (np.diff(first.weights()[90:]) < 0).all()
    np.testing.assert_allclose(first.weights()[90:] + second.weights()[:20], 1, atol=1e-6)


@pytest.mark.parametrize("tile", [64, 65, 1000])
def test_a_tile_as_large_as_the_plane_is_the_plane(tile: int) -> None:
    assert plan_axis(64, tile, 16, 100, 4) == [Span(0, 64, 0, 64, 0, 0)]


def test_a_last_tile_shorter_than_half_the_overlap() -> None:
    spans = plan_axis(101, 50, 40, 0)
    assert [(s.keep_start, s.keep_stop) for s in spans] == [(0, 70), (30, 101), (80, 101)]
    assert (spans[1].fall, spans[2].rise) == (21, 21)


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(4, 30), st.integers(0, 12), st.integers(0, 12))
def test_blended_tiles_of_a_plane_give_it_back(height: int, width: int, tile: int, overlap: int, halo: int) -> None:
    plane = np.random.default_rng(height * width).random((height, width), dtype=np.float32)
    blended = np.zeros_like(plane)
    for row, column in plan_tiles(plane.shape, tile, overlap, halo):
        part = plane[row.read_start : row.read_stop, column.read_start : column.read_stop]
        y, x = row.keep_start - row.read_start, column.keep_start - column.read_start
        kept = part[y : y + row.keep_stop - row.keep_start, x : x + column.keep_stop - column.keep_start]
        target = blended[row.keep_start : row.keep_stop, column.keep_start : column.keep_stop]
        target += kept * np.outer(row.weights(), column.weights())
    np.testing.assert_allclose(blended, plane, atol=1e-6)


@given(st.integers(1, 500), st.sampled_from([1, 4, 32, 256]), st.integers(1, 300))
def test_padded_lengths_are_the_least_that_fit(length: int, multiple: int, minimum: int) -> None:
    padded = padded_length(length, multiple, minimum)
    assert padded % multiple == 0
    assert padded >= max(length, minimum)
    assert padded - multiple < max(length, minimum)
