"""Masked normalised cross-correlation, against that of SimpleITK."""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-call"
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from txm2sem_core.config import RegisterSettings
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration import estimate_transform
from txm2sem_core.registration.correlation import FixedImage


def images(seed: int, shape: tuple[int, int], *, holes: bool) -> tuple[np.ndarray, ...]:
    """Two images, the second moved by (3, -2) against the first, and where they were measured."""
    rng = np.random.default_rng(seed)
    rock = ndimage.gaussian_filter(rng.normal(size=(shape[0] + 8, shape[1] + 8)), 1.5)
    fixed, moving = rock[4 : 4 + shape[0], 4 : 4 + shape[1]], rock[7 : 7 + shape[0], 2 : 2 + shape[1]]
    masks = [
        ndimage.gaussian_filter(rng.normal(size=shape), 3) > -0.15 if holes else np.ones(shape, bool) for _ in "12"
    ]
    return (50 * fixed + 90).astype(np.float32), (moving * 7 - 3).astype(np.float32), *masks


def by_simpleitk(
    fixed: np.ndarray, moving: np.ndarray, mask: np.ndarray, moving_mask: np.ndarray, overlap: float
) -> np.ndarray:
    """`[2 Y - 1, 2 X - 1]`, no shift in the middle."""
    given_images = [sitk.GetImageFromArray(each.astype(np.float32)) for each in (fixed, moving, mask, moving_mask)]
    return sitk.GetArrayFromImage(sitk.MaskedFFTNormalizedCorrelation(*given_images, 0, overlap))


@given(st.integers(0, 10**6), st.tuples(st.integers(12, 40), st.integers(12, 40)), st.booleans(), st.floats(1, 60))
def test_it_is_that_of_simpleitk(seed: int, shape: tuple[int, int], holes: bool, most: float) -> None:
    fixed, moving, *masks = images(seed, shape, holes=holes)
    one = FixedImage(fixed, masks[0], most)
    found = one.correlation(moving, masks[1], 0.0)
    expected = by_simpleitk(fixed, moving, *masks, 0.0)
    ry, rx = one.reach
    middle = expected[shape[0] - 1 - ry : shape[0] + ry, shape[1] - 1 - rx : shape[1] + rx]
    assert found.shape == middle.shape == (2 * ry + 1, 2 * rx + 1)
    shared = FixedImage(np.where(masks[0], fixed, 0), masks[0], most)._shifted(
        one._spectra[2], np.conj(one._spectra_of(moving, masks[1])[0][2])
    )
    many = shared > 20  # of few pixels either may call flat what the other does not
    np.testing.assert_allclose(found[many], middle[many], atol=2e-3)


def test_shifts_that_share_little_are_left_out() -> None:
    fixed, moving, *masks = images(3, (30, 40), holes=False)
    found = FixedImage(fixed, masks[0], 25).correlation(moving, masks[1], 0.5)
    expected = by_simpleitk(fixed, moving, *masks, 0.5)[4:55, 14:65]
    np.testing.assert_array_equal(found == 0, np.abs(expected) < 1e-6)
    y, x = np.unravel_index(np.argmax(found), found.shape)
    assert (y - 25, x - 25) == (3, -2)
    assert found.max() == pytest.approx(1)


def test_a_flat_image_correlates_with_nothing() -> None:
    fixed, moving, *masks = images(3, (30, 40), holes=True)
    flat = np.full_like(fixed, 7)
    assert not FixedImage(flat, masks[0], 9).correlation(moving, masks[1], 0.1).any()
    assert not FixedImage(fixed, masks[0], 9).correlation(flat, masks[1], 0.1).any()
    assert not FixedImage(fixed, ~masks[0] & False, 9).correlation(moving, masks[1], 0.1).any()


@pytest.mark.parametrize("most", [0, 0.4])
def test_a_bound_below_a_pixel_leaves_no_shift(most: float) -> None:
    image = images(3, (64, 70), holes=False)[0]
    slices = Slice(image), Slice(np.roll(image, 0))
    found = estimate_transform(*slices, RegisterSettings(max_shift_fraction=most / 64, max_rotation_deg=0))
    assert found.correlation_after == pytest.approx(1, abs=1e-3)
