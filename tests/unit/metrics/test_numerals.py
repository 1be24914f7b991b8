"""A number with its error: two digits of the error, and as many decimals of the number."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core.metrics.numerals import number, plus_minus, significant, significant_interval

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


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 6))
def test_no_number_but_0_is_written_as_0(value: float, digits: int) -> None:
    written = number(value, digits)
    if value != 0:
        assert written.strip("−0.") != ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.145282, "0.145"),
        (12166.4, "12,200"),
        (-3.2349, "−3.23"),
        (7, "7"),
        (7.0, "7.00"),
        (0.0, "0.00"),
        (9.996, "10.0"),
        (999.6, "1,000"),
        (1.2345e-6, "1.23×10⁻⁶"),
        (2.5e8, "2.50×10⁸"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (None, "–"),
    ],
)
def test_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "texts"),
    [
        (14.05, 13.5, 14.6, ("14.0", "13.5 to 14.6")),
        (14.05, 2.6, 25.6, ("14", "3 to 26")),
        (14.05, -2.6, 30.6, ("14", "−3 to 31")),
        (0.84, math.nan, math.nan, ("0.840", "")),
        (12_345.0, 11_111.0, 13_579.0, ("12,300", "11,100 to 13,600")),
    ],
)
def test_an_interval_in_few_digits(value: float, low: float, high: float, texts: tuple[str, str]) -> None:
    assert significant_interval(value, low, high) == texts
