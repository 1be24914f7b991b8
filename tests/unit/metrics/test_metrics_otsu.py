"""Multi-Otsu thresholds against scikit-image, against every choice, and against hot pixels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_multiotsu, threshold_otsu

from txm2sem_core.errors import InputError
from txm2sem_core.metrics import Thresholds, fit_thresholds, multi_otsu_thresholds, phase_fractions, segment
from txm2sem_core.metrics import otsu as otsu_module
from txm2sem_core.phases.segmenter import thresholds_of_labels

SHARES = (0.15, 0.35, 0.4, 0.1)


def rock(dtype: type = np.uint16) -> np.ndarray:
    rng = np.random.default_rng(0)
    grey = np.array([900, 1450, 2000, 2600])[rng.choice(4, (300, 300), p=SHARES)] + rng.normal(0, 80, (300, 300))
    return grey.astype(dtype)


def between(values: np.ndarray, cuts: tuple[float, ...]) -> float:
    """Variance between the phases, which Otsu's thresholds make greatest."""
    phase = segment(values, cuts)
    shares = [(phase == k).mean() * (values[phase == k].mean() - values.mean()) ** 2 for k in np.unique(phase)]
    return float(sum(shares))


@given(
    levels=st.lists(st.integers(-40, 300), min_size=2, max_size=9, unique=True),
    counts=st.lists(st.integers(1, 40), min_size=9, max_size=9),
    phases=st.integers(2, 5),
    scale=st.sampled_from([1.0, 1 / 255, 257.0]),
)
@settings(max_examples=80, deadline=None)
def test_no_other_thresholds_part_the_phases_more(
    levels: list[int], counts: list[int], phases: int, scale: float
) -> None:
    levels.sort()
    values = np.repeat(np.array(levels) * scale, counts[: len(levels)])
    if len(levels) < phases:
        with pytest.raises(InputError, match=f"{len(levels)} different grey levels.*Lower"):
            multi_otsu_thresholds(values, phases)
        return
    middles = [(a + b) / 2 * scale for a, b in itertools.pairwise(levels)]
    best = max(between(values, cuts) for cuts in itertools.combinations(middles, phases - 1))
    found = multi_otsu_thresholds(values, phases)
    assert between(values, found) >= best * (1 - 1e-9)
    assert found == pytest.approx([min(middles, key=lambda middle: abs(middle - cut)) for cut in found])


@pytest.mark.parametrize("phases", [2, 3, 4])
def test_eight_bits_as_scikit_image_has_them(phases: int) -> None:
    rng = np.random.default_rng(phases)
    grey = np.array([30, 90, 150, 220])[rng.choice(4, 20000, p=SHARES)] + rng.normal(0, 15, 20000)
    image = grey.clip(0, 255).astype(np.uint8)
    theirs = threshold_multiotsu(image, phases)
    ours = multi_otsu_thresholds(image, phases)
    np.testing.assert_array_equal(segment(image, ours), np.digitize(image, theirs, right=True))
    assert segment(image, multi_otsu_thresholds(image / 255.0, phases) and ours).max() == phases - 1
    assert np.array(multi_otsu_thresholds(image / 255.0, phases)) * 255 == pytest.approx(ours)


def test_sixteen_bits_are_exact_as_well() -> None:
    """scikit-image's Otsu of two phases has a bin for every level of integers."""
    image = rock()
    level = threshold_otsu(image)
    np.testing.assert_array_equal(segment(image, multi_otsu_thresholds(image, 2))[0], (image > level)[0])


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_the_type_of_the_grey_levels_does_not_count(dtype: type) -> None:
    image = rock()
    assert multi_otsu_thresholds(image.astype(dtype), 4) == multi_otsu_thresholds(image, 4)


def test_float_data_of_many_levels_is_off_by_a_bin_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    image = rock(np.float64)
    exact = fit_thresholds(lambda: [image], 4)
    monkeypatch.setattr(otsu_module, "MOST_LEVELS", 1000)
    binned = fit_thresholds(lambda: iter(image), 4)  # row by row
    assert binned.levels == pytest.approx(exact.levels, abs=2 * (image.max() - image.min()) / otsu_module.FLOAT_BINS)
    assert (binned.pixels, binned.outside) == (image.size, 0)


HOT = [
    ("20 of 16 bits", np.uint16, 65535, 20),
    ("90 of 16 bits", np.uint16, 65535, 90),
    ("dead float", np.float32, -1e5, 20),
    ("one of 1e6", np.float32, 1e6, 1),
    ("one of 1e30", np.float32, 1e30, 1),
    ("infinite", np.float32, math.inf, 3),
    ("negative infinite", np.float64, -math.inf, 1),
    ("not a number", np.float32, math.nan, 20),
]


@pytest.mark.parametrize("most", [2**16, 1000])
@pytest.mark.parametrize(("name", "dtype", "hot", "number"), HOT)
def test_hot_pixels_do_not_move_the_thresholds(
    name: str, dtype: type, hot: float, number: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otsu_module, "MOST_LEVELS", most)
    image = rock(dtype)
    usual = fit_thresholds(lambda: [image], 4)
    image[0, :number] = hot
    found = fit_thresholds(lambda: iter(image), 4)
    assert (usual.outside, usual.remark) == (0, "")
    assert found.outside == number
    assert f"{number} of {image.size} pixels" in found.remark
    fractions = phase_fractions(segment(rock(dtype), found.levels), 4)
    assert fractions == pytest.approx(SHARES, abs=0.004), name
    with pytest.warns(UserWarning, match=f"{number} of {image.size} pixels lie outside"):
        multi_otsu_thresholds(image, 4)


def test_rare_phases_and_small_images_are_not_taken_for_hot_pixels() -> None:
    image = rock()
    image[:, :2] = 9000  # 0.7 % of the pixels: pyrite
    assert fit_thresholds(lambda: [image], 5).outside == 0
    few = np.array([0] * 5 + [10] * 5 + [5000], np.uint16)
    assert multi_otsu_thresholds(few, 3) == (5.0, 2505.0)
    blank = np.zeros(10000, np.uint8)
    blank[:3] = (100, 100, 200)  # fewer levels than phases would be left without these
    assert multi_otsu_thresholds(blank, 3) == (50.0, 150.0)


def test_hot_pixels_among_the_labelled_do_not_move_the_thresholds_of_labels() -> None:
    image = rock(np.float64)
    labels = (1 + np.digitize(image, (1200, 1750, 2300))).astype(np.uint8)
    usual = thresholds_of_labels([(image, labels)], 4)
    image[0, np.argmax(labels[0] == 4)] = 1e6
    assert thresholds_of_labels([(image, labels)], 4) == pytest.approx(usual, abs=2)
    assert np.mean(Thresholds(usual)(image) + 1 == labels) > 0.999
