"""Curtains are taken out of FIB-SEM slices where it is asked for, and nothing else is."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import pywt
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.config import CurtainSettings, RegisterSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration import register_pairs
from txm2sem_core.registration.curtains import WAVELET, without_curtains
from txm2sem_core.samples.raw_pairs import RawPair

SHAPE = (280, 260)
VERTICAL = CurtainSettings(direction="vertical", width_px=16, length_px=100)


@lru_cache
def rock() -> np.ndarray:
    grains = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 3)
    return 80 + 40.0 * (grains > np.quantile(grains, 0.6))


@lru_cache
def stripes() -> np.ndarray:
    """Heavy ones, up to about 16 pixels wide, which change slowly along Y."""
    drawn = np.random.default_rng(1).normal(size=SHAPE)
    narrow, wide = (ndimage.gaussian_filter(drawn, (80, sigma), mode="reflect") for sigma in (1.2, 6))
    return 20 * (narrow - wide) / (narrow - wide).std()


def error(image: np.ndarray) -> float:
    return float(np.sqrt(np.mean((image - rock()) ** 2)))


def test_heavy_curtains_are_taken_out_and_the_rock_is_left() -> None:
    found, clipped = without_curtains(Slice(rock() + stripes()), VERTICAL)
    assert error(rock() + stripes()) == pytest.approx(20, rel=0.02)
    assert error(found.image) < 7
    assert error(without_curtains(Slice(rock()), VERTICAL)[0].image) < 5  # what it costs where there are none
    assert clipped == 0


def test_it_is_the_filter_of_the_paper() -> None:
    """Münch's, from its formulas, with the whole spectrum."""
    image, levels = rock() + stripes(), 4  # 16 pixels wide
    coefficients = pywt.wavedec2(image, WAVELET, mode="symmetric", level=levels)
    for level in range(1, levels + 1):
        along, across, both = coefficients[level]
        waves = np.fft.fftshift(np.fft.fft(across, axis=0), axes=0)
        order = np.arange(len(across)) - len(across) // 2
        waves *= (1 - np.exp(-(order**2) / (2 * (SHAPE[0] / VERTICAL.length_px) ** 2)))[:, None]
        coefficients[level] = (along, np.fft.ifft(np.fft.ifftshift(waves, axes=0), axis=0).real, both)
    assert_allclose(without_curtains(Slice(image), VERTICAL)[0].image, pywt.waverec2(coefficients, WAVELET), atol=1e-9)


def test_what_varies_along_the_curtains_alone_stays() -> None:
    rows = np.repeat(rock()[:, :1] + np.arange(SHAPE[0])[:, None], SHAPE[1], axis=1)
    assert_allclose(without_curtains(Slice(rows), VERTICAL)[0].image, rows, atol=1e-9)


def test_horizontal_ones_are_vertical_ones_of_the_image_on_its_side() -> None:
    image = rock() + stripes()
    horizontal = VERTICAL.model_copy(update={"direction": "horizontal"})
    upright = without_curtains(Slice(image), VERTICAL)[0].image
    assert_array_equal(without_curtains(Slice(image.T.copy()), horizontal)[0].image, upright.T)


def test_what_was_not_measured_keeps_its_value_and_has_no_say() -> None:
    image = rock() + stripes()
    given = np.zeros(SHAPE, dtype=bool)
    given[20:180, 10:170] = True
    other = np.where(given, image, np.nan)
    one, two = (without_curtains(Slice(each, given), VERTICAL)[0] for each in (image, other))
    assert_array_equal(one.image[given], two.image[given])
    assert_array_equal(one.image[~given], image[~given])
    assert_array_equal(one.mask, given)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_the_type_is_kept_and_what_is_clipped_is_counted(dtype: type) -> None:
    image = np.rint((rock() + stripes()).clip(0, 255)).astype(dtype)
    found, clipped = without_curtains(Slice(image), VERTICAL)
    assert found.image.dtype == dtype
    assert clipped == 0
    dark = image.copy()
    dark[100:140] = np.arange(SHAPE[1]) % 3  # the stripes are not there
    found, clipped = without_curtains(Slice(dark), VERTICAL)
    assert (clipped > 0) == (dtype in (np.uint8, np.uint16))


def test_an_image_too_small_for_a_wavelet_is_left_alone() -> None:
    small = rock()[:12, :14]
    assert_allclose(without_curtains(Slice(small), VERTICAL)[0].image, small, atol=1e-9)


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywt", None)
    with pytest.raises(ConfigError, match=r"register.curtains.direction: .*pip install pywavelets"):
        without_curtains(Slice(rock()), VERTICAL)
    assert without_curtains(Slice(rock()), CurtainSettings())[0].image is rock()


def test_registered_slices_are_kept_without_curtains_and_it_is_said(tmp_path: Path) -> None:
    txm = np.rint(50000 - 150 * ndimage.gaussian_filter(rock(), 1.5)).astype(np.uint16)
    io.write_tiff(tmp_path / "txm.tif", txm)
    io.write_tiff(tmp_path / "sem.tif", np.rint(rock() + stripes()).astype(np.uint8))
    pair = RawPair("000", 0, tmp_path / "txm.tif", tmp_path / "sem.tif")
    errors, words = {}, {}
    for name, curtains in (("with", CurtainSettings()), ("without", VERTICAL)):
        settings = RegisterSettings(transform="translation", levels=2, curtains=curtains)
        register_pairs([pair], settings, tmp_path / name)
        row = io.read_csv(tmp_path / name / "index.csv").iloc[0]
        kept = io.read_image(tmp_path / name / row["sem"]).astype(float)
        errors[name] = np.sqrt(np.mean((kept - rock()[row.y0 : row.y1, row.x0 : row.x1]) ** 2))
        words[name] = str(io.read_csv(tmp_path / name / "quality.csv")["found"][0])
    assert errors["without"] < 0.7 * errors["with"]
    assert "curtains taken out" in words["without"]
    assert "curtains" not in words["with"]
