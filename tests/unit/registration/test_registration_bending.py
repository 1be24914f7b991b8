"""Slices that are bent are found to be, those that are not are left alone, and all that a pair brings along follows."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.bends import Bend, bend_of_record
from txm2sem_core.config import RegisterSettings, parse_settings
from txm2sem_core.errors import ConfigError
from txm2sem_core.geometry import Crop, warp
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.phases.labels import place_labels
from txm2sem_core.registration import register_files, register_in_volume, register_pairs
from txm2sem_core.registration.bending import Bending, find_bend
from txm2sem_core.samples.raw_pairs import RawPair

SHAPE = (120, 136)
SETTINGS = RegisterSettings(transform="translation", bend_px=6.0, bend_spacing_px=40.0, levels=2)


def planted() -> Bend:
    """Up to 4 pixels, without a part that a translation takes away."""
    coefficients = np.random.default_rng(3).normal(0, 3, (2, 6, 7)).clip(-4, 4)
    return Bend((0, 0), 40.0, coefficients - coefficients.mean(axis=(1, 2), keepdims=True))


@lru_cache
def slices(bent: bool) -> tuple[np.ndarray, np.ndarray]:
    """A TXM slice and its FIB-SEM slice, of other contrast; both noisy."""
    rng = np.random.default_rng(0)
    grains = ndimage.gaussian_filter(rng.normal(size=(180, 190)), 4)
    scene = np.where(grains > np.quantile(grains, 0.7), 0.9, 0.3)
    scene[ndimage.gaussian_filter(rng.normal(size=scene.shape), 2.5) > 0.1] = 0.0
    there = np.array([[1, 0, -20], [0, 1, -20], [0, 0, 1]], dtype=float)
    fixed = 50000 - 30000 * warp(ndimage.gaussian_filter(scene, 1.5), there, SHAPE) + rng.normal(0, 2000, SHAPE)
    moving = 40 + 150 * warp(scene, there, SHAPE, order=1, bend=planted() if bent else None)
    return fixed.astype(np.uint16), (moving + rng.normal(0, 10, SHAPE)).clip(0, 255).astype(np.uint8)


@lru_cache
def found(bent: bool) -> Bending:
    fixed, moving = slices(bent)
    return find_bend(Slice(fixed), Slice(moving), np.eye(3), SETTINGS)


def test_a_bend_is_found_within_half_a_pixel() -> None:
    """What the FIB-SEM slice shows at p belongs to p + v(p); so the bend u must take p to where q + v(q) = p."""
    bending = found(True)
    assert bending.bend is not None
    assert bending.gain > 0.01
    u, v = bending.bend.displacement(SHAPE), planted().displacement(SHAPE)
    grid = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1]]).astype(float)
    q = grid + u
    back = q + np.stack([ndimage.map_coordinates(each, q, order=1, mode="nearest") for each in v])
    inner = (slice(16, -16), slice(16, -16))
    before = np.sqrt(np.mean(np.hypot(*v)[inner] ** 2))
    after = np.sqrt(np.mean(np.hypot(*(back - grid))[inner] ** 2))
    assert before > 1.1
    assert after < 0.5
    lengths = np.hypot(*u)
    assert 1 < bending.median_px < bending.greatest_px <= lengths.max() + 1e-9
    assert lengths.max() <= SETTINGS.bend_px


def test_a_slice_that_is_not_bent_is_left_alone() -> None:
    assert found(False).bend is None
    assert found(False).gain < 0
    assert found(False).greatest_px == 0


@pytest.mark.parametrize("what", ["small", "blank", "noise"])
def test_no_bend_is_kept_where_there_is_nothing_to_go_by(what: str) -> None:
    fixed, moving = slices(True)
    if what == "small":
        fixed, moving = fixed[:60], moving[:60]
    elif what == "blank":
        moving = np.full_like(moving, 7)
    else:
        moving = np.random.default_rng(5).permuted(moving)
    assert find_bend(Slice(fixed), Slice(moving), np.eye(3), SETTINGS).bend is None


def test_the_stage_bends_images_masks_and_labels_alike(tmp_path: Path) -> None:
    fixed, moving = slices(True)
    charge = np.where(moving > 150, 255, 0).astype(np.uint8)
    labels = (moving // 100 + 1).astype(np.uint8)
    files = {"txm": fixed, "sem": moving, "charge": charge, "labels": labels}
    for name, image in files.items():
        io.write_tiff(tmp_path / f"{name}.tif", image)
    pair = RawPair("000", 4, *(tmp_path / f"{name}.tif" for name in ("txm", "sem", "charge")))
    other = replace(pair, pair="001", sem=tmp_path / "flat.tif", charge=None)
    io.write_tiff(other.sem, slices(False)[1])
    register_pairs([pair, other], SETTINGS, tmp_path / "out")

    quality = io.read_csv(tmp_path / "out/quality.csv").set_index("pair")
    assert quality["accepted"].all()
    assert 2 < quality.loc["000", "bend_max_px"] <= 6
    assert 0.5 < quality.loc["000", "bend_median_px"] < quality.loc["000", "bend_max_px"]
    assert quality.loc["000", "bend_gain"] > 0 > quality.loc["001", "bend_gain"]
    assert quality.loc["001", ["bend_max_px", "bend_median_px"]].tolist() == [0, 0]
    assert "bent by up to" in quality.loc["000", "found"]

    placed = io.read_json(tmp_path / "out/transforms.json")
    assert "bend" not in placed["001"]
    bend, matrix = bend_of_record(placed["000"]["bend"]), np.array(placed["000"]["matrix"])
    crop = Crop(**placed["000"]["crop"])
    assert_array_equal(
        io.read_image(tmp_path / "out/pairs/000_sem.tif"), crop.of(warp(moving, matrix, SHAPE, bend=bend))
    )
    bent_charge = crop.of(warp(charge, matrix, SHAPE, order=0, bend=bend)) > 0
    assert (io.read_image(tmp_path / "out/pairs/000_charge.tif") > 0)[bent_charge].all()
    place_labels([pair], {"000": tmp_path / "labels.tif"}, tmp_path / "out", tmp_path / "placed")
    usable = io.read_image(tmp_path / "out/pairs/000_mask.tif") > 0
    expected = np.where(usable, crop.of(warp(labels, matrix, SHAPE, order=0, bend=bend)), 0)
    assert_array_equal(io.read_image(tmp_path / "placed/pairs/000_labels.tif"), expected)


def test_one_slice_by_itself_is_bent_too(tmp_path: Path) -> None:
    fixed, moving = slices(True)
    for name, image in (("txm", fixed), ("sem", moving)):
        io.write_tiff(tmp_path / f"{name}.tif", image)
    register_files(tmp_path / "txm.tif", tmp_path / "sem.tif", tmp_path / "out", SETTINGS)
    record = io.read_json(tmp_path / "out/transform.json")
    bend = bend_of_record(record["bend"])
    assert bend is not None
    assert_allclose(np.hypot(*bend.displacement(SHAPE)).max(), record["bend_max_px"], atol=0.7)
    expected = warp(moving, np.array(record["matrix"]), SHAPE, bend=bend)
    assert_array_equal(io.read_image(tmp_path / "out/registered.tif"), expected)


def test_where_nothing_can_be_bent_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bend_px must be 0 where transform is none"):
        parse_settings(RegisterSettings, "{}", transform="none", bend_px=1)
    with pytest.raises(ConfigError, match=r"register\.bend_px: only the workflow"):
        register_in_volume(tmp_path, tmp_path / "sem.tif", tmp_path / "out", SETTINGS)
