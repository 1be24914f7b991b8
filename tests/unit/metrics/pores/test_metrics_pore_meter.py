"""The shape of pores from slices, against that of whole volumes, and what it needs of memory."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.chords import chord_lengths
from txm2sem_core.metrics.pores.connectivity import connected_porosity
from txm2sem_core.metrics.pores.geometry import euler_number, specific_surface
from txm2sem_core.metrics.pores.phases import Thresholds, two_point_probability
from txm2sem_core.metrics.pores.streaming import ConnectedMeter, PoreMeter
from txm2sem_core.metrics.pores.summary import rock_metrics

SLABS = (1, 2, 5)


@given(
    shape=st.tuples(st.integers(1, 11), st.integers(1, 6), st.integers(1, 6)),
    porosity=st.floats(0.2, 0.9),
    seed=st.integers(0, 10_000),
    slab=st.sampled_from(SLABS),
)
@settings(max_examples=150, deadline=None)
def test_connected_porosity_is_that_of_the_whole(
    shape: tuple[int, int, int], porosity: float, seed: int, slab: int
) -> None:
    pore = np.random.default_rng(seed).random(shape) < porosity
    meter = ConnectedMeter()
    for start in range(0, shape[0], slab):
        meter.add(pore[start : start + slab])
    assert meter.result() == pytest.approx(tuple(connected_porosity(pore, axis) for axis in range(3)), abs=1e-12)


def test_a_pore_that_comes_back_is_one() -> None:
    """Two arms that meet in the last slice alone join x; a spiral that leaves the slab does too."""
    pore = np.zeros((6, 3, 7), dtype=bool)
    pore[:, 1, 0] = pore[:, 1, -1] = pore[-1, 1, :] = True
    for slab in SLABS:
        meter = ConnectedMeter()
        for start in range(0, 6, slab):
            meter.add(pore[start : start + slab])
        assert meter.result() == pytest.approx((pore.mean(), 0, pore.mean()))


@given(
    shape=st.tuples(st.integers(2, 12), st.integers(2, 7), st.integers(2, 7)),
    porosity=st.floats(0.1, 0.9),
    seed=st.integers(0, 10_000),
    slab=st.sampled_from(SLABS),
)
@settings(max_examples=40, deadline=None)
def test_all_figures_are_those_of_the_whole(shape: tuple[int, int, int], porosity: float, seed: int, slab: int) -> None:
    pore = np.random.default_rng(seed).random(shape) < porosity
    edges = (30.0, 10.0, 20.0) if seed % 2 else (10.0, 30.0, 20.0)
    meter = PoreMeter(64, edges, slices=shape[0], slab=slab)
    for plane in pore:
        meter.add(plane)
    found = meter.result()
    assert found.porosity == pytest.approx(pore.mean())
    assert found.euler == euler_number(pore)
    assert found.specific_surface == pytest.approx(specific_surface(pore, edges))
    assert found.connected == pytest.approx(tuple(connected_porosity(pore, axis) for axis in range(3)))
    lag = min(shape[1:]) - 1
    for axis in range(3):
        whole = chord_lengths(pore, axis)
        np.testing.assert_array_equal(found.chords[axis].whole, whole.whole)
        np.testing.assert_array_equal(found.chords[axis].cut, whole.cut)
        starts = np.abs(np.diff(pore.astype(int), axis=axis)).mean() / 2
        expected_mean = pore.mean() / starts if starts else math.nan
        assert found.mean_chords[axis] == pytest.approx(expected_mean, nan_ok=True)
        near = min(lag, shape[axis] - 1) + 1
        expected = two_point_probability(pore, axis, near - 1)
        np.testing.assert_allclose(found.two_point[axis, :near], expected)


def rock(slices: int) -> Iterator[np.ndarray]:
    """Slices that are made one at a time: half pore, and as many pores as there can be."""
    rng = np.random.default_rng(0)
    for _ in range(slices):
        yield (rng.random((128, 128)) < 0.5).astype(np.uint8)


def peak_bytes(slices: int) -> int:
    tracemalloc.start()
    metrics, _ = rock_metrics(rock(slices), (slices, 128, 128), (10, 10, 10), Thresholds((0.5,)), cube_px=16)
    assert metrics["block_z_px"] == 16
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_slices() -> None:
    peak_bytes(40)  # what is made once
    assert peak_bytes(256) < 1.15 * peak_bytes(128)


def test_mistakes_are_refused() -> None:
    with pytest.raises(InputError, match="no slice"):
        PoreMeter(4).result()
    meter = PoreMeter(4)
    meter.add(np.zeros((4, 5), dtype=bool))
    with pytest.raises(InputError, match="slice 1"):
        meter.add(np.zeros((4, 6), dtype=bool))
