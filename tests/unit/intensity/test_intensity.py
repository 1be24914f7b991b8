"""Intensities to [-1, 1] and back, and what becomes of values beyond an integer's bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core.intensity import IntensityRange, percentile_range, to_dtype

lows = st.floats(-1e4, 1e4)
widths = st.floats(1, 6e4)


@given(lows, widths)
def test_the_ends_become_minus_one_and_one(low: float, width: float) -> None:
    unit = IntensityRange(low, low + width).to_unit(np.array([low, low + width / 2, low + width]))
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, [-1, 0, 1], atol=2e-3)


@given(st.integers(0, 60000), st.integers(2, 5000))
def test_sixteen_bit_values_come_back_exactly_also_beyond_the_range(low: int, width: int) -> None:
    grey = np.arange(65536, dtype=np.uint16)
    mapping = IntensityRange(float(low), float(low + width))
    back, clipped = to_dtype(mapping.from_unit(mapping.to_unit(grey)), np.uint16)
    assert clipped == 0
    np.testing.assert_array_equal(back, grey)


@pytest.mark.parametrize(
    ("dtype", "base", "step"), [("uint32", 4.0e9, 1), ("int32", -2.0e9, 1), ("float64", 1e6, 1e-3)]
)
def test_a_small_contrast_on_a_large_number_is_kept(dtype: str, base: float, step: float) -> None:
    grey = (base + step * np.arange(1001)).astype(dtype)  # float32 has steps of 256, 128 and 1/16 there
    unit = IntensityRange(base, base + 1000 * step).to_unit(grey)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, np.linspace(-1, 1, 1001), atol=1e-6)


def test_nothing_is_clipped_on_the_way() -> None:
    assert IntensityRange(10, 20).to_unit(np.array([0, 30]))[1] == pytest.approx(3)
    assert IntensityRange(10, 20).as_dict() == {"low": 10, "high": 20}


def test_percentiles_and_their_fallback() -> None:
    pixels = np.arange(1001)
    assert percentile_range(pixels, 1, 99) == IntensityRange(10, 990)
    mostly_zero = np.zeros(10_000)
    mostly_zero[0] = 7
    assert percentile_range(mostly_zero, 1, 99) == IntensityRange(0, 7)
    with pytest.raises(ValueError, match="value 3"):
        percentile_range(np.full(5, 3), 0, 100)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_clipped_pixels_are_counted(dtype: str) -> None:
    info = np.iinfo(dtype)
    image = np.array([info.min - 1.0, info.min - 0.4, info.max + 0.4, info.max + 1, info.max + 1e6, 5.5])
    out, clipped = to_dtype(image, dtype)
    assert clipped == 3
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, [info.min, info.min, info.max, info.max, info.max, 6])


@pytest.mark.parametrize("dtype", ["uint32", "int32"])
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_bounds_that_a_float_does_not_know_are_not_passed(dtype: str, real: type[np.floating]) -> None:
    """The greatest of them is 2^32 - 1, which float32 rounds up to a value that would wrap round to 0."""
    info = np.iinfo(dtype)
    out, clipped = to_dtype(np.array([info.max + 1.0, 1e15, 7.0, info.min - 1e6], real), dtype)
    assert clipped == 3
    np.testing.assert_allclose(out.astype(float), [info.max, info.max, 7, info.min], rtol=1e-7)


def test_floats_are_only_cast() -> None:
    out, clipped = to_dtype(np.array([-1e9, 0.25]), "float32")
    assert clipped == 0
    np.testing.assert_array_equal(out, np.array([-1e9, 0.25], np.float32))
