"""What was not measured has no part in a registration; where all was measured, nothing is other than without masks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import InputError, RegistrationError
from txm2sem_core.figures.registration import _registration_view
from txm2sem_core.geometry import centred_similarity, common_crop, corner_error_px, coverage, warp
from txm2sem_core.intensity.measured import Slice, measured
from txm2sem_core.registration import (
    Registration,
    estimate_transform,
    judge,
    place,
    register_files,
    register_pairs,
    stage,
)
from txm2sem_core.registration.numbering import find_numbering
from txm2sem_core.registration.search import shrink_slice
from txm2sem_core.registration.similarity import DISPLACEMENTS, correlation, similarity
from txm2sem_core.samples.raw_pairs import RawPair

QUICK = RegisterSettings(transform="rigid", max_rotation_deg=5)  # few starts: for tests that register many pairs
SIDE = 160
Y, X = np.mgrid[:SIDE, :SIDE]
MIDDLE = (SIDE - 1) / 2
TRUTH = centred_similarity(3.0, 1.0, (4.0, -3.0), (SIDE, SIDE), (SIDE, SIDE))
Slices = tuple[np.ndarray, np.ndarray]

OUTSIDE = {
    "circle": np.hypot(Y - MIDDLE, X - MIDDLE) > 0.485 * SIDE,
    "larger circle": np.hypot(Y - MIDDLE, X - MIDDLE) > 0.6 * SIDE,
    "circle off the middle": np.hypot(Y - MIDDLE + 8, X - MIDDLE - 10) > 0.47 * SIDE,
    "border": (Y < 14) | (Y >= SIDE - 6) | (X < 10),
    "turned border": np.abs((Y - MIDDLE) * np.cos(0.12) + (X - MIDDLE) * np.sin(0.12)) > 0.44 * SIDE,
}  # fmt: skip
FILLS = ("zero", "greatest", "grey", "NaN")


@lru_cache
def pair_of(seed: int) -> Slices:
    """A TXM slice of low contrast (standard deviation some 7 % of the mean, as in a shale) and a FIB-SEM slice."""
    rng = np.random.default_rng(seed)
    scene = ndimage.gaussian_filter(rng.normal(size=(SIDE + 40, SIDE + 40)), 3)
    scene = (scene - scene.min()) / np.ptp(scene)
    window = np.array([[1, 0, 20], [0, 1, 20], [0, 0, 1]], dtype=float)
    fixed = ndimage.gaussian_filter(scene, 1)[20:-20, 20:-20]
    moving = warp(scene, np.linalg.inv(window @ TRUTH), (SIDE, SIDE))
    txm = 36000 - 12000 * fixed + rng.normal(0, 300, fixed.shape)
    return txm.astype(np.uint16), np.rint(20 + 200 * moving + rng.normal(0, 5, moving.shape)).astype(np.uint8)


def filled_up(image: np.ndarray, outside: np.ndarray, fill: str) -> np.ndarray:
    """`image` as a program leaves it: zero, the greatest or a grey value of its type, or NaN, where not measured."""
    if fill == "NaN":
        return np.where(outside, np.float32(np.nan), image.astype(np.float32))
    values = {"zero": 0, "greatest": np.iinfo(image.dtype).max, "grey": int(np.median(image))}
    return np.where(outside, values[fill], image).astype(image.dtype)


@lru_cache
def control(seed: int) -> Registration:
    return estimate_transform(*map(Slice, pair_of(seed)), QUICK)


@pytest.mark.parametrize(
    ("view", "fill", "which"),
    [
        *(("circle", fill, "TXM") for fill in FILLS),
        *((view, "zero", which) for view in OUTSIDE for which in ("TXM", "FIB-SEM")),
        *(("turned border", fill, "FIB-SEM") for fill in ("greatest", "NaN")),
        ("circle", "zero", "both"),
    ],
)
def test_what_was_not_measured_does_not_move_a_slice(view: str, fill: str, which: str) -> None:
    txm, sem = pair_of(2)
    if which != "FIB-SEM":
        txm = filled_up(txm, OUTSIDE[view], fill)
    if which != "TXM":
        sem = filled_up(sem, OUTSIDE["border" if which == "both" else view], fill)
    found = estimate_transform(Slice(txm), Slice(sem), QUICK)
    assert judge(found, QUICK, txm.shape) == []
    assert corner_error_px(found.matrix, control(2).matrix, sem.shape) < 0.6
    assert corner_error_px(found.matrix, TRUTH, sem.shape) < 0.6
    assert (found.fixed_measured, found.moving_measured) == (measured(txm).mean(), measured(sem).mean())


@pytest.mark.parametrize("seed", [2, 3])
def test_where_all_was_measured_the_figures_are_those_without_masks(seed: int) -> None:
    """To the last bit: the same formulas, written without masks."""

    def seen(image: np.ndarray) -> np.ndarray:
        image = ndimage.median_filter(image.astype(np.float32), size=QUICK.median_px, mode="nearest")
        image = ndimage.gaussian_filter(image, QUICK.smooth_px, mode="nearest")
        low, high = np.percentile(image, (0.5, 99.5))
        return np.clip((image - low) / (high - low), 0, 1).astype(np.float32)

    (txm, sem), found = pair_of(seed), control(seed)
    after = coverage(found.matrix, sem.shape, txm.shape)
    first, second = seen(txm), warp(seen(sem), found.matrix, txm.shape, order=1)
    crop = common_crop(after)
    inner, other = crop.of(first), crop.of(second)
    steps = [(y, x) for y in range(DISPLACEMENTS) for x in range(DISPLACEMENTS) if y or x]
    displaced = [
        np.roll(other, [round(step * n / DISPLACEMENTS) for step, n in zip(by, inner.shape, strict=True)], (0, 1))
        for by in steps
    ]
    everywhere = np.ones(inner.shape, dtype=bool)
    assert (found.fixed_measured, found.moving_measured) == (1, 1)
    assert found.overlap == after.mean()
    assert found.similarity_after == similarity(first, second, after)
    assert found.similarity_chance == max(similarity(inner, image, everywhere) for image in displaced)
    assert found.correlation_after == correlation(txm, warp(sem, found.matrix, txm.shape), after)
    assert_array_equal(
        shrink_slice(Slice(txm), 4).image, txm.reshape(40, 4, 40, 4).astype(np.float64).mean((1, 3)).astype("f4")
    )


def test_the_numbers_of_what_was_not_measured_do_not_matter() -> None:
    """Only where it is: noise under the same mask would be another thing, but one constant is as good as another."""
    txm, sem = pair_of(2)
    slices = [Slice(filled_up(txm, OUTSIDE["circle"], fill)) for fill in ("zero", "greatest")]
    found = [estimate_transform(txm, Slice(sem), QUICK) for txm in slices]
    assert found[0].matrix.tobytes() == found[1].matrix.tobytes()
    assert found[0].similarity_after == found[1].similarity_after


def test_a_mirrored_slice_within_a_circle_is_found_mirrored() -> None:
    txm, sem = pair_of(2)
    txm = filled_up(txm, OUTSIDE["circle"], "zero")
    mirrored = np.ascontiguousarray(filled_up(sem, OUTSIDE["turned border"], "zero")[:, ::-1])
    placed = place(Slice(txm), Slice(mirrored), QUICK)
    assert placed.accepted
    assert placed.found is not None
    assert placed.found.mirrored


def write(
    folder: Path, txm: np.ndarray, sem: np.ndarray, name: str = "000", charge: np.ndarray | None = None
) -> RawPair:
    files = {kind: folder / kind / f"{kind}{name}.tif" for kind in ("txm", "sem", "charge")}
    io.write_tiff(files["txm"], txm)
    io.write_tiff(files["sem"], sem)
    if charge is not None:
        io.write_tiff(files["charge"], charge)
    return RawPair(name, int(name), files["txm"], files["sem"], files["charge"] if charge is not None else None)


def test_wrong_numbers_of_slices_with_a_circle_are_named(tmp_path: Path) -> None:
    pairs = [
        write(tmp_path, filled_up(pair_of(10 + i)[0], OUTSIDE["circle"], "zero"), pair_of(13 - i)[1], f"{i:03d}")
        for i in range(4)
    ]
    assert "numbered from the other end" in str(find_numbering(pairs, [None] * 4, QUICK))


@pytest.mark.parametrize("fill", ["zero", "NaN"])
def test_a_refused_pair_reports_how_much_was_not_measured(
    fill: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "explain", lambda *_: "hint")  # takes long, and is tried elsewhere
    monkeypatch.setattr(stage, "place_anywhere", lambda *_, **__: None)
    pair = write(tmp_path, filled_up(pair_of(2)[0], OUTSIDE["circle"], fill), pair_of(7)[1])
    with pytest.raises(RegistrationError, match=r"2\d(\.\d)? % of the TXM slice was not measured \(one value"):
        register_files(pair.txm, pair.sem, tmp_path / "out", QUICK)
    with pytest.raises(RegistrationError, match=r"2\d(\.\d)? % of the TXM slice was not measured \(one value"):
        register_pairs([pair], QUICK, tmp_path / "out")


@pytest.mark.parametrize("transform", ["rigid", "none"])
@pytest.mark.parametrize("fill", ["zero", "NaN"])
def test_masks_leave_out_what_was_not_measured_of_either_slice(
    fill: str, transform: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    txm, sem = (
        filled_up(image, OUTSIDE[view], fill) for image, view in zip(pair_of(2), ("circle", "border"), strict=True)
    )
    charge = ((Y - 80) ** 2 + (X - 80) ** 2 < 100).astype(np.uint8)
    chosen = QUICK.model_copy(update={"transform": transform})
    register_pairs([write(tmp_path, txm, sem, charge=charge)], chosen, tmp_path / "out")
    said = capsys.readouterr().err
    assert f"register: {100 * (1 - measured(txm).mean()):.3g} % of the TXM slices" in said
    assert f"register: {100 * (1 - measured(sem).mean()):.3g} % of the FIB-SEM slices" in said
    row = io.read_csv(tmp_path / "out/index.csv").iloc[0]
    quality = io.read_csv(tmp_path / "out/quality.csv").iloc[0]
    assert (quality.fixed_measured, quality.moving_measured) == pytest.approx(
        (measured(txm).mean(), measured(sem).mean())
    )
    matrix = np.array(io.read_json(tmp_path / "out/transforms.json")["000"]["matrix"])
    crop = (slice(row.y0, row.y1), slice(row.x0, row.x1))
    usable = warp(measured(sem) & (charge == 0), matrix, txm.shape) & measured(txm)
    mask = io.read_mask(tmp_path / "out" / row["mask"])
    assert_array_equal(mask, usable[crop])
    assert 0.3 < mask.mean() < 0.8
    charged = io.read_mask(tmp_path / "out" / row["charge"])  # and not what was not measured
    assert_array_equal(charged, warp(charge, matrix, txm.shape, order=0)[crop] > 0)
    kept_txm, kept_sem = (io.read_image(tmp_path / "out" / row[kind]) for kind in ("txm", "sem"))
    assert_array_equal(kept_txm[mask], txm[crop][mask])
    clean = warp(pair_of(2)[1], matrix, txm.shape)[crop]
    inner = ndimage.binary_erosion(mask, iterations=4, border_value=True)
    assert np.abs(kept_sem[inner].astype(float) - clean[inner]).max() <= 1.5  # rounding; a spline reaches some pixels
    if fill == "NaN":
        assert kept_sem.min() > 10  # the nearest of the rock's grey levels
        later = {kind: io.read_registered(tmp_path / "out", row.to_dict(), kind).mask for kind in ("txm", "sem")}
        assert_array_equal(later["txm"], measured(txm)[crop])  # which nobody could find any more
        assert_array_equal(later["txm"] & later["sem"] & ~charged, mask)
    else:
        assert "txm_measured" not in row
    if fill == "zero":
        assert_array_equal(kept_txm, txm[crop])
        assert kept_sem[mask].min() > 10  # nothing between the rock's grey levels and 0
        assert (kept_sem == 0).any() or transform == "rigid"


def test_one_slice_by_itself_keeps_its_outside_and_says_its_share(tmp_path: Path) -> None:
    txm, sem = pair_of(2)[0], filled_up(pair_of(2)[1], OUTSIDE["turned border"], "NaN")
    pair = write(tmp_path, txm, sem)
    found = register_files(pair.txm, pair.sem, tmp_path / "out", QUICK)
    registered = io.read_slice(tmp_path / "out/registered.tif")
    reached = coverage(found.matrix, sem.shape, txm.shape)
    assert_array_equal(np.isfinite(registered)[reached], warp(measured(sem), found.matrix, txm.shape)[reached])
    record = io.read_json(tmp_path / "out/transform.json")
    assert (record["fixed_measured"], record["moving_measured"]) == (1, measured(sem).mean())


def test_an_image_registered_with_itself_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = write(tmp_path, pair_of(2)[1], pair_of(2)[1])
    register_files(pair.txm, pair.sem, tmp_path / "out", QUICK)
    assert "are the same image to the last bit" in capsys.readouterr().err


def test_the_picture_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    txm, sem = (
        filled_up(image, OUTSIDE[view], "zero") for image, view in zip(pair_of(2), ("circle", "border"), strict=True)
    )
    pair = write(tmp_path, txm, sem)
    register_pairs([pair], QUICK, tmp_path / "out")
    row = io.read_csv(tmp_path / "out/quality.csv").iloc[0]
    view = _registration_view(row, pair, io.read_json(tmp_path / "out/transforms.json"), None, tmp_path)
    assert_array_equal(np.isfinite(view.fixed), measured(txm))
    assert_array_equal(np.isfinite(view.before), measured(sem))
    assert f"{100 * measured(txm).mean():.0f} % of the TXM measured" in view.quality
    assert np.nanmin(view.before) > 10


def test_not_a_number_is_refused_of_what_is_no_slice_to_register(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    io.write_tiff(path, filled_up(pair_of(2)[0], OUTSIDE["circle"], "NaN"))
    assert np.isnan(io.read_slice(path)).any()
    with pytest.raises(InputError, match=r"a\.tif: \d+ pixels are NaN or infinite\. Fill"):
        io.read_image(path)
    io.write_tiff(path, np.full((40, 40), np.nan, np.float32))
    with pytest.raises(InputError, match=r"a\.tif: 1600 pixels are NaN or infinite, which is all"):
        io.read_slice(path)
