"""A FIB-SEM slice is found whichever way it lies, of any scale, or as a part; and what is not there is not found."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from skimage.measure import block_reduce

from txm2sem_core import io
from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import (
    centred_similarity,
    corner_error_px,
    coverage,
    covered_by,
    rotation_deg,
    scale,
    touched_by,
    warp,
)
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration import place, register_files, register_pairs
from txm2sem_core.registration.frames import Scaled, frame_of, mirroring
from txm2sem_core.registration.poses import find_poses
from txm2sem_core.samples.raw_pairs import RawPair

SETTINGS = RegisterSettings()
SIDE = 192
NAN = float("nan")
Slices = tuple[np.ndarray, np.ndarray]


@lru_cache
def scene(seed: int) -> np.ndarray:
    """Blobs of several grey levels, on pixels four times finer than those of the TXM."""
    rng = np.random.default_rng(seed)
    fine = 4 * SIDE
    grains = ndimage.gaussian_filter(rng.normal(size=(fine, fine)), 14)
    pores = ndimage.gaussian_filter(rng.normal(size=(fine, fine)), 9)
    image = np.where(grains > np.quantile(grains, 0.7), 0.6, 0.3)
    return np.where(pores > np.quantile(pores, 0.9), 1.0, image)


@lru_cache
def txm_of(seed: int) -> np.ndarray:
    """Blurred, inverted, noisy, 16-bit."""
    blurred = block_reduce(ndimage.gaussian_filter(scene(seed), 5), (4, 4), np.mean)
    return (50000 - 30000 * blurred + np.random.default_rng(1).normal(0, 1500, blurred.shape)).astype(np.uint16)


def sem_of(seed: int, matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """What a FIB-SEM sees that `matrix` brings onto the TXM slice: 8-bit, noisy."""
    to_txm = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375], [0, 0, 1]])
    moving = warp(scene(seed), np.linalg.inv(matrix) @ to_txm, shape, order=1)
    noisy = 40 + 150 * moving + np.random.default_rng(2).normal(0, 12, shape)
    return noisy.clip(1, 255).astype(np.uint8)


def lying(turn: float, factor: float, shift: tuple[float, float], shape: tuple[int, int], *, flip: bool) -> np.ndarray:
    matrix = centred_similarity(turn, factor, shift, shape, (SIDE, SIDE))
    return matrix @ mirroring(shape[1]) if flip else matrix


WAYS: dict[str, tuple[tuple[int, int], float, float, tuple[float, float], bool, float]] = {
    # shape, turn, scale, shift, mirrored, stated scale
    "mirrored": ((176, 180), 2.0, 1.0, (3.2, -2.4), True, NAN),
    "a quarter turn": ((180, 176), 90.3, 1.0, (2.0, 1.0), False, NAN),
    "twenty degrees": ((120, 130), 20.4, 1.0, (4.0, 6.0), False, NAN),
    "finer, stated": ((440, 450), -3.0, 0.4, (1.0, 2.0), False, 0.41),
    "finer, not stated": ((420, 410), 3.0, 0.4, (1.0, -2.0), False, NAN),
    "coarser": ((100, 120), 40.0, 1.2, (5.0, 2.0), False, 1.2),
    "a part": ((90, 80), 1.0, 1.0, (-45.0, 40.0), False, NAN),
    "a small part, turned": ((52, 42), 45.0, 1.0, (20.0, -15.0), False, 1.0),
    "all at once": ((230, 280), 147.0, 0.35, (30.0, -35.0), True, 0.36),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_slice_is_found_whichever_way_it_lies(way: str) -> None:
    shape, turn, factor, shift, flip, stated = WAYS[way]
    truth = lying(turn, factor, shift, shape, flip=flip)
    placed = place(Slice(txm_of(1)), Slice(sem_of(1, truth, shape)), SETTINGS, stated)
    assert placed.accepted, placed.reasons
    assert placed.found is not None
    assert corner_error_px(placed.found.matrix, truth, shape) < 0.5
    assert placed.found.mirrored == flip
    assert placed.found.scale == pytest.approx(factor, rel=0.01)
    assert placed.found.rotation_deg == pytest.approx(turn, abs=0.5)
    assert placed.found.overlap == pytest.approx(coverage(truth, shape, (SIDE, SIDE)).mean(), abs=0.02)


@pytest.mark.parametrize("stated", [0.5, NAN])
def test_what_is_not_there_is_not_found(stated: float) -> None:
    truth = lying(30.0, 0.5, (5.0, 5.0), (200, 220), flip=True)
    assert not place(Slice(txm_of(1)), Slice(sem_of(7, truth, (200, 220))), SETTINGS, stated).accepted


def test_a_rigid_transform_keeps_the_stated_scale() -> None:
    truth = lying(65.0, 0.4, (1.0, 2.0), (300, 310), flip=False)
    rigid = RegisterSettings(transform="rigid")
    found = place(Slice(txm_of(1)), Slice(sem_of(1, truth, (300, 310))), rigid, 0.4).found
    assert found is not None
    assert found.scale == pytest.approx(0.4, abs=1e-9)
    assert corner_error_px(found.matrix, truth, (300, 310)) < 0.5


def test_the_search_does_not_depend_on_threads() -> None:
    truth = lying(-100.0, 1.0, (0.0, 0.0), (120, 120), flip=True)
    one, two = Scaled(Slice(txm_of(1))), Scaled(Slice(sem_of(1, truth, (120, 120))))
    first, second = (find_poses(one, two, [1.0, 1.08], 180, mirrored=True, threads=n) for n in (1, 2))
    for a, b in zip(first, second, strict=True):
        assert [(p.strength, p.matrix.tobytes()) for p in a] == [(p.strength, p.matrix.tobytes()) for p in b]


def test_poses_stay_within_the_bounds() -> None:
    one, two = Scaled(Slice(txm_of(1))), Scaled(Slice(sem_of(1, np.eye(3), (120, 120))))
    for pose in itertools.chain(*find_poses(one, two, [1.0], 30, mirrored=False)):
        assert not pose.mirrored
        assert abs(pose.turn_deg) <= 30
        assert rotation_deg(pose.matrix) == pytest.approx(pose.turn_deg, abs=1e-6)
        assert scale(pose.matrix) == pytest.approx(pose.scale)


def test_a_frame_leads_in_and_out_again() -> None:
    matrix = lying(147.0, 0.35, (30.0, -35.0), (230, 280), flip=True)
    frame = frame_of(Scaled(Slice(txm_of(1))), Scaled(Slice(sem_of(1, matrix, (230, 280)))), matrix, 2.0, exact=False)
    inner = frame.inward(matrix)
    assert scale(inner) == pytest.approx(1)
    assert_allclose(frame.outward(inner), matrix, atol=1e-9)


def stack(folder: Path, make: Callable[[np.ndarray], np.ndarray]) -> list[RawPair]:
    pairs = []
    for i in range(3):
        near = lying(2.0 * i, 1.0, (i, -i), (SIDE, SIDE), flip=False)
        io.write_tiff(folder / "txm" / f"TXM{i:03d}.tif", txm_of(i), (None, 32.0, 32.0))
        io.write_tiff(folder / "sem" / f"SEM{i:03d}.tif", make(sem_of(i, near, (SIDE, SIDE))), (None, 32.0, 32.0))
        pairs.append(RawPair(f"{i:03d}", i, folder / f"txm/TXM{i:03d}.tif", folder / f"sem/SEM{i:03d}.tif"))
    return pairs


def test_table_and_log_say_how_slices_lie_and_results_do_not_depend_on_workers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = stack(tmp_path, lambda a: np.ascontiguousarray(np.rot90(a[:, ::-1])))
    for workers in (1, 2):
        register_pairs(pairs, SETTINGS, tmp_path / f"out{workers}", workers=workers)
    first, second = (io.read_json(tmp_path / f"out{n}/transforms.json") for n in (1, 2))
    assert first == second
    quality = io.read_csv(tmp_path / "out1/quality.csv")
    assert quality["accepted"].all()
    assert quality["mirrored"].all()
    assert quality["found"].str.match(r"mirrored, turned by -?\d+\.\d degrees").all()
    assert "SEM001.tif on" in (said := capsys.readouterr().err)
    assert "mirrored, turned by" in said


def test_a_burnt_in_bar_is_cut_off_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def with_bar(image: np.ndarray) -> np.ndarray:
        image[-20:] = 0
        image[-14:-8, 10:60] = 255
        return image

    pairs = stack(tmp_path, with_bar)
    register_pairs(pairs, SETTINGS, tmp_path / "out")
    quality, index = io.read_csv(tmp_path / "out/quality.csv"), io.read_csv(tmp_path / "out/index.csv")
    assert quality["accepted"].all()
    assert (quality["found"] == "20 rows of data bar or empty border cut off at the bottom").all()
    assert "20 rows of data bar" in capsys.readouterr().err
    mask = io.read_image(tmp_path / "out" / index["mask"][0])
    assert (mask > 0).mean() > 0.97  # the crop leaves the bar out
    assert index["height"].max() <= SIDE - 19


def test_one_finer_slice_by_itself_is_a_mean_over_areas(tmp_path: Path) -> None:
    truth = lying(0.0, 0.25, (0.0, 0.0), (4 * SIDE, 4 * SIDE), flip=False)
    sem = sem_of(1, truth, (4 * SIDE, 4 * SIDE))
    io.write_tiff(tmp_path / "txm.tif", txm_of(1), None)
    io.write_tiff(tmp_path / "sem.tif", sem, None)
    register_files(tmp_path / "txm.tif", tmp_path / "sem.tif", tmp_path / "out", SETTINGS)
    record = io.read_json(tmp_path / "out/transform.json")
    assert corner_error_px(np.array(record["matrix"]), truth, sem.shape) < 0.5
    assert record["mirrored"] is False
    placed = io.read_image(tmp_path / "out/registered.tif").astype(float)
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(placed - block_reduce(sem, (4, 4), np.mean))[inner].mean() < 3  # single pixels: 12 of noise alone


def test_a_finer_image_is_averaged_and_its_masks_are_on_the_safe_side() -> None:
    fine = np.random.default_rng(0).random((40, 60))
    matrix = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375], [0, 0, 1]])
    assert_allclose(warp(fine, matrix, (10, 15)), block_reduce(fine, (4, 4), np.mean), atol=1e-12)
    mask = np.ones(fine.shape, dtype=bool)
    mask[5, 9] = False
    hole = np.zeros((10, 15), dtype=bool)
    hole[1, 2] = True
    assert_array_equal(covered_by(mask, matrix, (10, 15)), ~hole)
    assert_array_equal(touched_by(~mask, matrix, (10, 15)), hole)
    assert warp(mask, matrix, (10, 15)).all()  # most of each
    labels = np.repeat(np.repeat(np.array([[1, 3], [2, 3]], dtype=np.uint8), 20, 0), 30, 1)
    coarse = warp(labels, matrix, (10, 15), order=0)
    assert_array_equal(coarse[[0, 0, 9], [0, 14, 0]], [1, 3, 2])


def test_a_turned_mask_of_a_finer_image_covers_no_more_than_its_area() -> None:
    matrix = centred_similarity(33.0, 0.3, (0, 0), (100, 100), (60, 60))
    covered = coverage(matrix, (100, 100), (60, 60))
    assert covered.sum() == pytest.approx(30 * 30, rel=0.1)
    ones = warp(np.ones((100, 100)), matrix, (60, 60))
    assert_allclose(ones[covered], 1)
    assert not ones[~covered].any()
