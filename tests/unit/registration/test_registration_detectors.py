"""Images of a second detector: placed by those of the first, and kept in their stead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from small_data import blurred, sharp

from txm2sem_core import io
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import RegistrationError
from txm2sem_core.geometry import centred_similarity, warp
from txm2sem_core.registration import register_pairs
from txm2sem_core.registration.plane_pairs import register_planes
from txm2sem_core.samples.raw_pairs import RawPair, sought_pairs

SHAPE = (150, 180)
BAR = 12  # rows
SETTINGS = RegisterSettings()


@pytest.fixture
def pair(tmp_path: Path) -> RawPair:
    """By the first detector the slice is turned and has a data bar; by the second it shows nothing of the TXM."""
    rock = sharp((3, *SHAPE), 3)[1]
    turned = warp(rock, np.linalg.inv(centred_similarity(2.0, 1.0, (4.0, -3.0), SHAPE, SHAPE)), SHAPE)
    turned[-BAR:] = 0
    second = np.random.default_rng(5).integers(1, 60000, SHAPE).astype(np.uint16)
    for name, image in (("txm", blurred(rock)), ("se", turned), ("bse", second)):
        io.write_tiff(tmp_path / f"{name}.tif", image, (30.0, 30.0, 30.0))
    return RawPair("000", 0, tmp_path / "txm.tif", tmp_path / "bse.tif", registered_by=tmp_path / "se.tif")


def test_both_detectors_get_the_same_place_and_their_own_grey_levels(pair: RawPair, tmp_path: Path) -> None:
    first = replace(pair, sem=pair.registered_sem, registered_by=None)
    register_pairs([first], SETTINGS, tmp_path / "first")
    register_pairs([pair], SETTINGS, tmp_path / "second")
    one, other = (io.read_json(tmp_path / name / "transforms.json") for name in ("first", "second"))
    assert one == other
    for kind in ("txm", "mask"):
        images = [io.read_image(tmp_path / name / f"pairs/000_{kind}.tif") for name in ("first", "second")]
        np.testing.assert_array_equal(*images)
    crop = one["000"]["crop"]
    there = warp(io.read_image(pair.sem), np.array(one["000"]["matrix"]), SHAPE)
    kept = io.read_image(tmp_path / "second/pairs/000_sem.tif")
    measured = io.read_image(tmp_path / "second/pairs/000_sem_measured.tif") > 0
    np.testing.assert_array_equal(measured, io.read_image(tmp_path / "first/pairs/000_mask.tif") > 0)
    inner = ndimage.binary_erosion(measured, iterations=10)  # beyond it the filled border tells in the spline
    assert inner.mean() > 0.6
    expected = there[crop["y0"] : crop["y1"], crop["x0"] : crop["x1"]]
    np.testing.assert_allclose(kept[inner].astype(float), expected[inner].astype(float), atol=1)


def test_what_is_refused_is_the_image_that_was_looked_at(pair: RawPair, tmp_path: Path) -> None:
    wrong = replace(pair, sem=pair.registered_sem, registered_by=pair.sem)
    with pytest.raises(RegistrationError, match=r"bse.tif on .*txm.tif: "):
        register_pairs([wrong], SETTINGS, tmp_path / "registered")


def test_sought_slices_are_found_by_the_first_detector(tmp_path: Path) -> None:
    rock = sharp((24, 120, 130), 4)
    io.write_tiff(tmp_path / "volume.tif", blurred(rock), (30.0, 30.0, 30.0))
    for z in (8, 14):
        io.write_tiff(tmp_path / f"se/{z:03d}.tif", rock[z, 10:105, 15:120])
        io.write_tiff(tmp_path / f"bse/{z:03d}.tif", np.full((95, 105), z, np.uint8))
    pairs = sought_pairs(tmp_path / "volume.tif", tmp_path / "bse", {})
    pairs = [replace(each, registered_by=tmp_path / "se" / each.sem.name, pixel_nm=(30.0, 30.0)) for each in pairs]
    first = [replace(each, sem=each.registered_sem, registered_by=None) for each in pairs]
    with io.open_volume(tmp_path / "volume.tif") as volume:
        register_planes(first, volume, 1.0, SETTINGS, tmp_path / "first")
        register_planes(pairs, volume, 1.0, SETTINGS, tmp_path / "registered")
    one, other = (io.read_json(tmp_path / name / "transforms.json") for name in ("first", "registered"))
    assert one == other
    for z in (8, 14):
        np.testing.assert_array_equal(io.read_image(tmp_path / f"registered/pairs/{z:03d}_sem.tif"), z)


def test_a_bar_of_either_detector_is_left_out(pair: RawPair, tmp_path: Path) -> None:
    bse = io.read_image(pair.sem)
    bse[: 2 * BAR] = 7
    io.write_tiff(pair.sem, bse)
    register_pairs([pair], SETTINGS, tmp_path / "registered")
    matrix = np.array(io.read_json(tmp_path / "registered/transforms.json")["000"]["matrix"])
    kept = io.read_image(tmp_path / "registered/pairs/000_sem_measured.tif") > 0
    crop = io.read_json(tmp_path / "registered/transforms.json")["000"]["crop"]
    y, x = np.nonzero(kept)
    on_sem = np.linalg.inv(matrix) @ [x + crop["x0"], y + crop["y0"], np.ones_like(x)]
    assert on_sem[1].min() > 2 * BAR - 1
    assert on_sem[1].max() < SHAPE[0] - BAR
