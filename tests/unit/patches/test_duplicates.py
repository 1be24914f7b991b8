"""Copies of a slice in two splits are found, whatever was done to them; neighbours and other rock are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from txm2sem_core.geometry import Crop
from txm2sem_core.patches.duplicates import PlacedSlice, duplicates

SIDE = 256
WHOLE = Crop(0, SIDE, 0, SIDE)


def rock(seed: int, noise_seed: int = 0) -> np.ndarray:
    """A slice of 16 bit with grains of some pixels, and noise of a tenth of their contrast."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), 3.0)
    noise = np.random.default_rng(noise_seed).normal(size=field.shape)
    return (20000 + 3000 * field / field.std() + 300 * noise).astype(np.uint16)


def placed(pair: str, split: str, image: np.ndarray, crop: Crop = WHOLE) -> PlacedSlice:
    cut = crop.of(image)
    return PlacedSlice(pair, split, cut, crop, np.ones(cut.shape, bool))


CHANGES: dict[str, Callable[[np.ndarray], tuple[np.ndarray, Crop]]] = {
    "the same": lambda image: (image, WHOLE),
    "cropped": lambda image: (image, Crop(17, 240, 30, 251)),
    "brighter": lambda image: (image * 2 - 9000, WHOLE),
    "8 bit": lambda image: ((image >> 8).astype(np.uint8), WHOLE),
    "exposed again": lambda _: (rock(0, 7), WHOLE),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_in_another_split_is_said(change: str) -> None:
    image, crop = CHANGES[change](rock(0))
    slices = [placed("001", "train", rock(0)), placed("002", "train", rock(1)), placed("009", "test", image, crop)]
    (warning,) = duplicates(slices, "TXM")
    assert "pairs 001 (train) and 009 (test) are the same slice, or nearly so" in warning


def test_a_copy_within_one_split_is_no_fault() -> None:
    assert duplicates([placed("001", "train", rock(0)), placed("002", "train", rock(0))], "TXM") == []


def test_other_rock_and_a_constant_are_no_copies() -> None:
    flat = np.full((SIDE, SIDE), 7, np.uint16)
    slices = [placed("1", "train", rock(0)), placed("2", "test", rock(1)), placed("3", "test", flat)]
    assert duplicates([*slices, placed("4", "train", flat)], "TXM") == []


def test_slices_that_hardly_overlap_are_not_compared() -> None:
    first = placed("1", "train", rock(0), Crop(0, 130, 0, SIDE))
    assert duplicates([first, placed("2", "test", rock(0), Crop(126, SIDE, 0, SIDE))], "TXM") == []


def test_neighbours_along_z_are_not_copies() -> None:
    """Two slices away of a rock whose grains are six slices thick."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(12, SIDE, SIDE)), 3.0)
    assert duplicates([placed("1", "train", field[4]), placed("2", "test", field[6])], "TXM") == []


def test_no_slices() -> None:
    assert duplicates([], "TXM") == []
