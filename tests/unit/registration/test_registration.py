"""Known transforms are found again, pixels land where another implementation puts them, and chance is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from skimage.metrics import normalized_mutual_information as nmi
from skimage.transform import AffineTransform
from skimage.transform import warp as skimage_warp

from txm2sem_core import io
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import InputError, RegistrationError
from txm2sem_core.geometry import (
    Crop,
    centred_similarity,
    common_crop,
    corner_error_px,
    coverage,
    rotation_deg,
    scale,
    shift_xy_px,
    warp,
)
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration import estimate_transform, judge, register_files, register_pairs, stage
from txm2sem_core.registration.similarity import similarity
from txm2sem_core.samples.raw_pairs import RawPair

DATA = Path(os.environ.get("TXM2SEM_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "shale").is_dir(), reason=f"no real images in {DATA} (TXM2SEM_DATA)")
SHAPE = (150, 180)


def rock(seed: int, shape: tuple[int, int] = (300, 340)) -> np.ndarray:
    """Blobs of three grey levels in [0, 1]."""
    rng = np.random.default_rng(seed)
    grains = ndimage.gaussian_filter(rng.normal(size=shape), 5)
    pores = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    image = np.where(grains > np.quantile(grains, 0.7), 0.6, 0.3)
    return np.where(pores > np.quantile(pores, 0.93), 1.0, image)


def pair_of(scene: np.ndarray, matrix: np.ndarray, moving_shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, ...]:
    """A blurred, inverted, noisy 16-bit fixed image, and a noisy 8-bit moving one that `matrix` brings onto it."""
    rng = np.random.default_rng(7)
    window = np.array([[1, 0, 75], [0, 1, 80], [0, 0, 1]], dtype=float)  # fixed (x, y) to scene (x, y)
    blurred = ndimage.gaussian_filter(scene, 1.5)
    fixed = skimage_warp(blurred, AffineTransform(window), output_shape=SHAPE, order=3)
    moving = skimage_warp(scene, AffineTransform(window @ matrix), output_shape=moving_shape, order=1)
    fixed = 50000 - 30000 * fixed + rng.normal(0, 2500, SHAPE)
    moving = 40 + 150 * moving + rng.normal(0, 15, moving_shape)
    return fixed.astype(np.uint16), moving.clip(0, 255).astype(np.uint8)


def truth_of(transform: str) -> np.ndarray:
    angle = {"translation": 0.0}.get(transform, 9.0)
    factor = {"translation": 1.0, "rigid": 1.0}.get(transform, 1.08)
    matrix = centred_similarity(angle, factor, (17.3, -12.6), SHAPE, SHAPE)
    return matrix @ np.array([[1, 0.02, 0], [0, 0.98, 0], [0, 0, 1]]) if transform == "affine" else matrix


@pytest.mark.parametrize("transform", ["translation", "rigid", "similarity", "affine"])
def test_known_transform_is_found_through_inverted_contrast_blur_and_noise(transform: str) -> None:
    truth = truth_of(transform)
    fixed, moving = pair_of(rock(1), truth)
    chosen = RegisterSettings(transform=transform)
    found = estimate_transform(Slice(fixed), Slice(moving), chosen)
    assert corner_error_px(found.matrix, truth, SHAPE) < 0.35
    assert judge(found, chosen, fixed.shape) == []
    assert found.similarity_after > found.similarity_before
    assert found.correlation_after < -0.5 < found.correlation_before  # the contrast is inverted


def test_slices_of_different_shape_are_registered() -> None:
    shape = (170, 140)
    truth = centred_similarity(-4.0, 0.97, (5.5, 3.25), shape, SHAPE)
    fixed, moving = pair_of(rock(2), truth, shape)
    found = estimate_transform(Slice(fixed), Slice(moving), RegisterSettings())
    assert corner_error_px(found.matrix, truth, shape) < 0.35
    assert (found.shift_x_px, found.shift_y_px) == pytest.approx((5.5, 3.25), abs=0.2)
    assert found.rotation_deg == pytest.approx(-4.0, abs=0.1)
    assert found.scale == pytest.approx(0.97, abs=0.002)


def test_the_same_slices_give_the_same_bytes() -> None:
    fixed, moving = pair_of(rock(3), truth_of("rigid"))
    chosen = RegisterSettings(transform="rigid")
    first, second = (estimate_transform(Slice(fixed), Slice(moving), chosen) for _ in range(2))
    assert first.matrix.tobytes() == second.matrix.tobytes()


def test_unrelated_slices_are_refused_with_value_bound_and_key() -> None:
    fixed, _ = pair_of(rock(1), np.eye(3))
    _, moving = pair_of(rock(99), np.eye(3))
    chosen = RegisterSettings(transform="rigid")
    reasons = judge(estimate_transform(Slice(fixed), Slice(moving), chosen), chosen, fixed.shape)
    assert any("register.min_similarity 0.02" in reason for reason in reasons)
    assert any("register.max_disagreement_px 2" in reason for reason in reasons)


def test_more_is_asked_of_slices_that_share_few_pixels() -> None:
    """Chance grows with fewer pixels: unrelated pieces of 45 x 50 pixels were 0.028 above it."""
    fixed, moving = pair_of(rock(0), truth_of("rigid"))
    chosen = RegisterSettings(transform="rigid")
    found = estimate_transform(Slice(fixed), Slice(moving), chosen)
    found = replace(found, similarity_after=found.similarity_chance + 0.028, fixed_measured=1.0)
    few = replace(found, overlap=45 * 50 / fixed.size)
    bounded = chosen.model_copy(update={"min_overlap": 0.01})
    (reason,) = judge(few, bounded, fixed.shape)
    assert reason == (
        "similarity above chance 0.028 < 0.0337, which register.min_similarity 0.02 asks of slices that share 2,250 "
        "pixels only"
    )
    assert judge(replace(few, similarity_after=few.similarity_chance + 0.034), bounded, fixed.shape) == []
    assert judge(replace(found, overlap=80 * 80 / fixed.size), bounded, fixed.shape) == []


def test_more_is_asked_of_a_scale_that_the_pixel_sizes_contradict() -> None:
    """A piece of 62 x 62 pixels was accepted at 0.94, 83 pixels off, where the pixel sizes rightly stated 0.67."""
    fixed, moving = pair_of(rock(0), truth_of("rigid"))
    chosen = RegisterSettings(transform="rigid")
    found = estimate_transform(Slice(fixed), Slice(moving), chosen)
    found = replace(found, similarity_after=found.similarity_chance + 0.03, scale=0.94)
    assert judge(found, chosen, fixed.shape) == judge(found, chosen, fixed.shape, 0.9) == []
    (reason,) = judge(found, chosen, fixed.shape, 0.665)
    assert reason == (
        "similarity above chance 0.03 < 0.04, which is asked where slices fit at the scale 0.94, and the pixel sizes "
        "state 0.665"
    )
    assert judge(replace(found, similarity_after=found.similarity_chance + 0.041), chosen, fixed.shape, 0.665) == []


def test_results_outside_the_bounds_are_refused() -> None:
    fixed, moving = pair_of(rock(1), truth_of("similarity"))
    found = estimate_transform(Slice(fixed), Slice(moving), RegisterSettings())
    narrow = {"max_rotation_deg": 5, "max_scale_percent": 5, "max_shift_fraction": 0.05, "min_overlap": 0.99}
    tight = RegisterSettings(**narrow, scales=(1, 1))
    assert len(judge(found, tight, fixed.shape)) == 4


@pytest.mark.parametrize("blank", ["fixed", "moving"])
def test_a_blank_slice_is_an_error_that_says_which(blank: str) -> None:
    images = dict(zip(("fixed", "moving"), pair_of(rock(1), np.eye(3)), strict=True))
    images[blank] = np.full_like(images[blank], 7)
    with pytest.raises(RegistrationError, match=rf"{blank} .* blank"):
        estimate_transform(Slice(images["fixed"]), Slice(images["moving"]), RegisterSettings())


@pytest.mark.parametrize("order", [0, 1])
def test_warp_puts_pixel_centres_where_itk_puts_them(order: int) -> None:
    moving = np.random.default_rng(0).random((40, 50))
    matrix = centred_similarity(12.0, 1.1, (2.3, -1.7), moving.shape, (45, 44))
    inverse = np.linalg.inv(matrix)
    transform = sitk.AffineTransform(inverse[:2, :2].ravel().tolist(), inverse[:2, 2].tolist())
    interpolator = sitk.sitkLinear if order else sitk.sitkNearestNeighbor
    grid = sitk.Image(44, 45, sitk.sitkFloat64)
    other = sitk.GetArrayFromImage(sitk.Resample(sitk.GetImageFromArray(moving), grid, transform, interpolator, -1.0))
    covered = coverage(matrix, moving.shape, (45, 44))  # ITK also fills half a pixel beyond the outermost centres
    ours = warp(moving, matrix, (45, 44), order=order, fill=-1)
    assert_allclose(ours[covered], other[covered], atol=1e-9)
    assert (ours[~covered] == -1).all()
    assert 0.5 < covered.mean() < 1


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.bool_])
def test_identity_changes_nothing_and_whole_shifts_move_pixels(dtype: type, order: int) -> None:
    image = (np.random.default_rng(1).random((20, 30)) * 40000).astype(dtype)
    same = warp(image, np.eye(3), image.shape, order=order)
    assert same.dtype == dtype
    assert_allclose(same.astype(float), image.astype(float), rtol=1e-6)
    shifted = warp(image, centred_similarity(0, 1, (3, -2), image.shape, image.shape), image.shape, order=order)
    assert_allclose(shifted[:-2, 3:].astype(float), image[2:, :-3].astype(float), rtol=1e-6)
    assert not shifted[-2:].any()
    assert not shifted[:, :3].any()


def test_sixteen_bits_stay_and_a_spline_does_not_overshoot() -> None:
    image = np.zeros((20, 20), dtype=np.uint16)
    image[:, 10:] = 65535
    half = warp(image, centred_similarity(0, 1, (0.5, 0), image.shape, image.shape), image.shape, order=3)
    assert half.dtype == np.uint16
    assert half[:, 1:9].max() < 30000  # a wrapped overshoot would be near 65535
    assert half[:, 13:].min() > 40000


@given(
    st.floats(-170, 170),
    st.floats(0.5, 2),
    st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)
def test_turn_scale_and_shift_are_read_off_the_matrix(angle: float, factor: float, shift: tuple[float, float]) -> None:
    matrix = centred_similarity(angle, factor, shift, (30, 40), (50, 20))
    assert rotation_deg(matrix) == pytest.approx(angle, abs=1e-9)
    assert scale(matrix) == pytest.approx(factor)
    assert shift_xy_px(matrix, (30, 40), (50, 20)) == pytest.approx(shift, abs=1e-9)


def brute_force_area(covered: np.ndarray) -> int:
    height, width = covered.shape
    boxes = ((a, b, c, d) for a in range(height) for b in range(a + 1, height + 1) for c in range(width)
             for d in range(c + 1, width + 1))  # fmt: skip
    return max(((b - a) * (d - c) for a, b, c, d in boxes if covered[a:b, c:d].all()), default=0)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_common_crop_is_the_largest_covered_rectangle(covered: np.ndarray) -> None:
    crop = common_crop(covered)
    assert crop.of(covered).all()
    assert crop.of(covered).size == brute_force_area(covered)


def test_corner_error_of_a_shift_and_of_a_turn() -> None:
    shift = centred_similarity(0, 1, (3, 4), (11, 21), (11, 21))
    assert corner_error_px(shift, np.eye(3), (11, 21)) == pytest.approx(5)
    half_turn = centred_similarity(180, 1, (0, 0), (11, 21), (11, 21))
    assert corner_error_px(half_turn, np.eye(3), (11, 21)) == pytest.approx(np.hypot(10, 20))


def test_similarity_is_two_for_an_inverted_copy_and_near_one_for_noise() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 16, (200, 200))
    everywhere = np.ones(levels.shape, dtype=bool)
    assert similarity(levels, 15 - levels, everywhere) == pytest.approx(2)
    assert similarity(levels, rng.integers(0, 16, (200, 200)), everywhere) == pytest.approx(1, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["uint8", "uint16", "float32", "clipped"]), st.floats(0.05, 1))
def test_similarity_is_that_of_scikit_image(seed: int, kind: str, share: float) -> None:
    rng = np.random.default_rng(seed)
    one = rng.normal(size=(40, 50))
    two = rng.normal() * one + rng.normal(size=one.shape)
    if kind == "clipped":
        one, two = np.clip(one, -1, 1), np.clip(two, -1, 1)
    elif kind != "float32":
        one, two = (np.rint(120 + 40 * each).clip(0, 255) for each in (one, two))
        one.flat[:2] = two.flat[:2] = 0, 255  # then no grey level lies on an edge of two bins
    one, two = (each.astype("float32" if kind == "clipped" else kind) for each in (one, two))
    mask = rng.random(one.shape) < share
    mask.flat[:2] = True
    assert similarity(one, two, mask) == pytest.approx(nmi(one[mask], two[mask], bins=32), abs=1e-4)


def write_pair(folder: Path, name: str, fixed: np.ndarray, moving: np.ndarray, charge: np.ndarray) -> RawPair:
    files = {kind: folder / f"{kind}{name}.tif" for kind in ("txm", "sem", "charge")}
    for path, image in zip(files.values(), (fixed, moving, charge), strict=True):
        io.write_tiff(path, image, (40.0, 32.0, 32.0))
    return RawPair(name, int(name), files["txm"], files["sem"], files["charge"], "train", {"highdensity": files["sem"]})


@pytest.fixture
def without_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints take long, and are tried elsewhere."""
    monkeypatch.setattr(stage, "explain", lambda *_: "")


@pytest.fixture(scope="module")
def good_and_bad(tmp_path_factory: pytest.TempPathFactory) -> list[RawPair]:
    folder = tmp_path_factory.mktemp("raw")
    fixed, moving = pair_of(rock(1), truth_of("translation"))
    charge = np.zeros(moving.shape, dtype=np.uint8)
    charge[70:80, 60:90] = 255
    good = write_pair(folder, "000", fixed, moving, charge)
    bad = write_pair(folder, "001", fixed, pair_of(rock(99), np.eye(3))[1], charge)
    return [good, bad]


@pytest.mark.usefixtures("without_hints")
def test_stage_writes_accepted_pairs_and_names_the_refused(good_and_bad: list[RawPair], tmp_path: Path) -> None:
    register_pairs(good_and_bad, RegisterSettings(transform="translation"), tmp_path, workers=2)
    index, quality = io.read_csv(tmp_path / "index.csv"), io.read_csv(tmp_path / "quality.csv")
    assert index["pair"].tolist() == ["000"]
    assert quality["accepted"].tolist() == [True, False]
    assert "register.min_similarity" in quality["reasons"][1]
    assert sorted(p.name for p in (tmp_path / "pairs").glob("[!.]*")) == [
        f"000_{kind}.tif" for kind in ("charge", "highdensity", "mask", "sem", "txm")
    ]
    row = index.iloc[0]
    crop = Crop(row.y0, row.y1, row.x0, row.x1)
    assert_array_equal(io.read_image(tmp_path / row.txm), crop.of(io.read_image(good_and_bad[0].txm)))
    sem, mask = io.read_image(tmp_path / row["sem"]), io.read_image(tmp_path / row["mask"])
    assert sem.dtype == np.uint8
    assert sem.shape == mask.shape == (row.height, row.width)
    assert (mask == 0).sum() == pytest.approx(10 * 30, abs=40)
    assert row.sem_sha256 == io.sha256_file(tmp_path / row["sem"])
    assert io.read_voxel_size_nm(tmp_path / row["sem"]) == pytest.approx((40, 32, 32))
    transforms = io.read_json(tmp_path / "transforms.json")
    assert corner_error_px(np.array(transforms["000"]["matrix"]), truth_of("translation"), SHAPE) < 0.35
    assert Crop(**transforms["000"]["crop"]) == crop


@pytest.mark.usefixtures("without_hints")
def test_stage_stops_and_writes_nothing_when_asked_to(good_and_bad: list[RawPair], tmp_path: Path) -> None:
    chosen = RegisterSettings(transform="translation", refused="stop")
    with pytest.raises(RegistrationError, match=r"1 of 2 pairs(.|\n)*sem001\.tif"):
        register_pairs(good_and_bad, chosen, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.usefixtures("without_hints")
def test_stage_stops_when_every_pair_is_refused(good_and_bad: list[RawPair], tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match=r"1 of 1 pairs(.|\n)*sem001\.tif"):
        register_pairs(good_and_bad[1:], RegisterSettings(transform="translation"), tmp_path / "out")


def test_registered_pairs_pass_through_untouched(good_and_bad: list[RawPair], tmp_path: Path) -> None:
    register_pairs(good_and_bad, RegisterSettings(transform="none"), tmp_path)
    assert io.read_csv(tmp_path / "quality.csv")["accepted"].all()
    for pair in good_and_bad:
        for kind, source in (("txm", pair.txm), ("sem", pair.sem)):
            kept, given_ = io.read_image(tmp_path / "pairs" / f"{pair.pair}_{kind}.tif"), io.read_image(source)
            assert kept.dtype == given_.dtype
            assert_array_equal(kept, given_)


@pytest.mark.parametrize(("sem_size", "expected"), [((None, 16.0, 16.0), 0.5), (None, np.nan)])
def test_the_scale_that_the_files_state(
    good_and_bad: list[RawPair], tmp_path: Path, sem_size: io.VoxelSize | None, expected: float
) -> None:
    pair = good_and_bad[0]
    for name, size in (("txm", (None, 32.0, 32.0)), ("sem", sem_size)):
        io.write_tiff(tmp_path / f"{name}.tif", io.read_image(getattr(pair, name)), size)
    pair = RawPair("000", 0, tmp_path / "txm.tif", tmp_path / "sem.tif")
    register_pairs([pair], RegisterSettings(transform="none"), tmp_path)
    assert io.read_csv(tmp_path / "quality.csv")["stated_scale"].tolist() == pytest.approx([expected], nan_ok=True)


def test_registered_pairs_must_have_one_shape(good_and_bad: list[RawPair], tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.tif"
    io.write_tiff(narrow, np.zeros((150, 170), np.uint8))
    pair = RawPair("000", 0, good_and_bad[0].txm, narrow)
    with pytest.raises(InputError, match=r"txm000\.tif is \(150, 180\) and .*narrow\.tif is \(150, 170\)"):
        register_pairs([pair], RegisterSettings(transform="none"), tmp_path / "out")


def test_a_charge_mask_must_fit_its_slice(good_and_bad: list[RawPair], tmp_path: Path) -> None:
    io.write_tiff(tmp_path / "charge.tif", np.zeros((10, 10), np.uint8))
    pair = RawPair("000", 0, good_and_bad[0].txm, good_and_bad[0].sem, tmp_path / "charge.tif")
    with pytest.raises(InputError, match=r"charge\.tif is \(10, 10\)"):
        register_pairs([pair], RegisterSettings(), tmp_path / "out")


@pytest.mark.usefixtures("without_hints")
def test_one_slice_by_itself(good_and_bad: list[RawPair], tmp_path: Path) -> None:
    pair, other = good_and_bad
    sem = io.read_image(pair.sem)
    bright = np.where(sem > np.median(sem), 255, 0).astype(np.uint8)
    io.write_tiff(tmp_path / "bright.tif", bright, None)
    chosen = RegisterSettings(transform="translation")
    register_files(pair.txm, pair.sem, tmp_path, chosen, tmp_path / "bright.tif")
    matrix = np.array(io.read_json(tmp_path / "transform.json")["matrix"])
    assert corner_error_px(matrix, truth_of("translation"), SHAPE) < 0.35
    assert_array_equal(io.read_image(tmp_path / "registered.tif"), warp(sem, matrix, SHAPE))
    assert_array_equal(io.read_image(tmp_path / "mask.tif"), warp(bright, matrix, SHAPE, order=0))
    with pytest.raises(RegistrationError, match=r"sem001\.tif on .*txm001\.tif: refused"):
        register_files(other.txm, other.sem, tmp_path / "refused", chosen)
    assert not (tmp_path / "refused").exists()


@needs_data
def test_a_shale_slice_and_its_halves_agree() -> None:
    """The truth is not known here: the left and the right part, registered apart, must give the same place."""
    txm, sem = io.read_image(DATA / "shale/txm/TXM003.tif"), io.read_image(DATA / "shale/sem/SEM003.tif")
    chosen = RegisterSettings(max_rotation_deg=5, max_scale_percent=5)
    parts = [estimate_transform(Slice(txm[:, x : x + 512]), Slice(sem[:, x : x + 512]), chosen) for x in (0, 512)]
    assert all(judge(part, chosen, (720, 512)) == [] for part in parts)
    offset = np.array([[1, 0, 512], [0, 1, 0], [0, 0, 1]], dtype=float)
    right = offset @ parts[1].matrix @ np.linalg.inv(offset)
    assert corner_error_px(parts[0].matrix, right, (720, 1024)) < 1.0  # extrapolated to twice the width


@needs_data
def test_real_noisy_and_clean_sem_pairs_come_into_register(tmp_path: Path) -> None:
    names = [path.name for path in io.list_images(DATA / "sem_pairs/hr")[2::60]]
    pairs = [RawPair(n[:-4], None, DATA / "sem_pairs/lr" / n, DATA / "sem_pairs/hr" / n) for n in names]
    register_pairs(pairs, RegisterSettings(transform="translation"), tmp_path)
    quality = io.read_csv(tmp_path / "quality.csv")
    assert quality["accepted"].all()
    assert quality["correlation_before"].median() < 0.85
    assert quality["correlation_after"].median() > 0.9
