"""A pair's TXM slice against the volume: the right place passes in silence, another one or another scale is said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.samples.slice_position import check_positions, compare_position


def volume(noise: float = 0.0, seed: int = 0) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(20, 64, 64)), 2.0)
    levels = 20000 + 5000 * field / field.std()
    return levels + noise * np.random.default_rng(seed).normal(size=field.shape)


def places(slices: np.ndarray, stack: np.ndarray, offset: int = 0) -> list:
    return [
        compare_position(
            f"{z:03d}", z + offset, Slice(slices[z]), {z + offset + d: Slice(stack[z + offset + d]) for d in (-1, 0, 1)}
        )
        for z in range(2, 18, 4)
    ]


@pytest.mark.parametrize("noise", [0, 300, 1000])
def test_right_places_pass_in_silence(noise: float) -> None:
    """The slices may be of another exposure, with noise of their own."""
    assert check_positions(places(volume(noise, 1), volume(noise, 2)), "volume") == []


@pytest.mark.parametrize("offset", [-1, 1])
def test_another_exposure_of_a_neighbour_is_said(offset: int) -> None:
    (warning,) = check_positions(places(volume(300, 1), volume(300, 2), offset), "volume")
    assert "4 of 4 pairs fit a neighbouring slice of volume better" in warning
    assert "in pair 002 z = 2 agrees by 0.9" in warning


@pytest.mark.parametrize("offset", [-1, 1])
def test_the_very_neighbour_is_refused(offset: int) -> None:
    stack = volume(300)
    with pytest.raises(InputError, match=rf"slice z = 2 of volume, not z = {2 + offset}.*4 of 4 .*by [+-]1"):
        check_positions(places(stack, stack, offset), "volume")


def test_equal_slices_side_by_side_do_not_make_the_right_place_wrong() -> None:
    stack = np.repeat(volume()[::2], 2, axis=0)
    assert check_positions(places(stack, stack), "volume") == []


@pytest.mark.parametrize(("contrast", "shift"), [(1.4, 0), (0.7, 0), (1.0, 3000)])
def test_another_grey_scale_is_said_with_its_number(contrast: float, shift: float) -> None:
    stack = volume(100)
    middle = np.median(stack)
    (warning,) = check_positions(places(middle + contrast * (stack - middle) + shift, stack), "volume")
    assert "4 of 4 pairs have another grey scale" in warning
    assert f"contrast is {contrast:.3g} times" in warning


def test_one_odd_slice_is_named() -> None:
    stack = volume(100)
    slices = stack.copy()
    slices[6] = 1.5 * slices[6]
    (warning,) = check_positions(places(slices, stack), "volume")
    assert "1 of 4 pairs" in warning
    assert "pair 006" in warning


def test_what_was_not_measured_is_not_compared() -> None:
    stack = volume(300)
    y, x = np.mgrid[:64, :64]
    stack[:, np.hypot(y - 31.5, x - 31.5) > 31] = 0
    found = places(stack, stack)
    assert check_positions(found, "volume") == []
    assert all(abs(place.contrast - 1) < 1e-9 for place in found)
    with pytest.raises(InputError, match="correlate by only"):  # zeros alone would correlate by 0.9 and more
        check_positions(places(np.roll(stack, 7, axis=0)[:, :, :], stack), "volume")
