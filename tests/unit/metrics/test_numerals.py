"""A number with its error: two digits of the error, and as many decimals of the number."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core.metrics.numerals import number, plus_minus, with_interval

_LOWERED = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")
_ALONE = re.compile(r"(−?[\d.]+) ± ([\d.]+)")
_WITH_POWER = re.compile(r"\((−?[\d.]+) ± ([\d.]+)\)×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")


def parts(text: str) -> tuple[str, str, int]:
    """Number and error as they are written, and the power of ten of both."""
    found = _ALONE.fullmatch(text)
    if found is not None:
        return found[1].translate(_LOWERED), found[2], 0
    found = _WITH_POWER.fullmatch(text)
    assert found is not None, text
    return found[1].translate(_LOWERED), found[2], int(found[3].translate(_LOWERED))


def decimals(text: str) -> int:
    return len(text.partition(".")[2])


@pytest.mark.parametrize(
    ("mean", "error", "digits", "text"),
    [
        (24.31, 0.00944, 2, "24.3100 ± 0.0094"),
        (24.31, 0.0996, 2, "24.31 ± 0.10"),
        (24.314, 1.26, 2, "24.3 ± 1.3"),
        (24.314, 12.6, 2, "24 ± 13"),
        (1234.4, 126.0, 2, "1230 ± 130"),
        (-0.001, 0.53, 3, "0.00 ± 0.53"),
        (0.98765, 0.000321, 3, "0.98765 ± 0.00032"),
        (2.5e-17, 3.1e-18, 3, "(2.50 ± 0.31)×10⁻¹⁷"),
        (-3.2e9, 4.4e7, 2, "(−3.200 ± 0.044)×10⁹"),
        (1.0, 2e8, 2, "(0.0 ± 2.0)×10⁸"),
        (24.31, 0.0, 2, "24.31 ± 0.00"),
        (24.31, 3.6e-15, 2, "24.31 ± 0.00"),
        (0.0, 0.0, 2, "0.00 ± 0.00"),
        (24.31, math.nan, 2, "24.31"),
        (math.inf, 1.0, 2, "∞"),
        (math.nan, 0.1, 2, "–"),
    ],
)
def test_a_number_with_its_error(mean: float, error: float, digits: int, text: str) -> None:
    assert plus_minus(mean, error, digits) == text


sizes = st.floats(min_value=1e-12, max_value=1e12)


@given(st.floats(min_value=-1e12, max_value=1e12), sizes)
def test_both_are_written_to_the_same_place_and_the_error_with_two_digits(mean: float, error: float) -> None:
    text = plus_minus(mean, error, 2)
    written, of_error, power = parts(text)
    assert decimals(written) == decimals(of_error)
    unit = 10.0 ** (power - decimals(of_error))
    if error > 1e-5 * abs(mean):
        digits = of_error.replace(".", "").lstrip("0")
        assert len(digits) >= 2
        assert not digits[2:].strip("0")
        assert float(of_error) * 10.0**power == pytest.approx(error, rel=0.051)
        unit = max(unit, 10.0 ** (math.floor(math.log10(error)) - 1))
    assert abs(float(written) * 10.0**power - mean) <= 0.51 * unit * 10 + 1e-9 * abs(mean)


@given(st.floats(min_value=-1e3, max_value=1e3), sizes.filter(lambda width: 1e-4 < width < 1e3))
def test_an_interval_is_told_by_two_digits_of_its_half_width(low: float, width: float) -> None:
    middle, high = low + width / 2, low + width
    texts = with_interval(middle, low, high, 2)
    assert len({decimals(text) for text in texts}) == 1
    read = [float(text.translate(_LOWERED)) for text in texts]
    assert read == pytest.approx([middle, low, high], abs=0.06 * width)


def test_an_interval_without_ends_and_one_without_width() -> None:
    assert with_interval(1.5, math.nan, math.nan, 2) == ("1.50", "–", "–")
    assert with_interval(0.5, 0.5, 0.5, 2) == ("0.50", "0.50", "0.50")
    assert with_interval(0.009, 0.0034, 0.0146, 2) == ("0.0090", "0.0034", "0.0146")


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 6))
def test_no_number_but_0_is_written_as_0(value: float, digits: int) -> None:
    written = number(value, digits)
    if value != 0:
        assert written.strip("−0.") != ""
