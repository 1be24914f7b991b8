"""Masks that say what was measured: they stand in the place of what is found, and what cannot be is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from small_data import blurred, sharp
from small_volumes import digests, make_model, make_source
from typer.testing import CliRunner

from txm2sem_core import io
from txm2sem_core.cli import app
from txm2sem_core.config import RegisterSettings, load_config
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.figures.registration import _registration_view
from txm2sem_core.inference import predict_volume
from txm2sem_core.intensity.measured import Slice, measured
from txm2sem_core.io import Volume
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.io.given_masks import LEAST_MEASURED
from txm2sem_core.phases import place_labels
from txm2sem_core.provenance import volume_digest
from txm2sem_core.provenance.record import COLUMNS
from txm2sem_core.registration import register_files, register_pairs
from txm2sem_core.samples.feasibility import check_sample
from txm2sem_core.samples.pairs import list_pairs, pair_files
from txm2sem_core.samples.pixel_checks import check_pixels
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.stated_sizes import check_sizes
from txm2sem_core.samples.table import Sample, read_samples
from txm2sem_core.samples.volume import open_sample_volume

RAW = Path("raw")
CONFIG = load_config({"variants": {"net": {"family": "feedforward"}}})
QUICK = RegisterSettings(transform="translation")
SHAPE = (4, 48, 56)
SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE]
CIRCLE = np.hypot(Y - 47.5, X - 47.5) < 52
BAND = X < 88
SEEN = np.hypot(*(np.mgrid[: SHAPE[1], : SHAPE[2]] - 24)) < 30


def junk(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Nothing that would be found: no constant, and of grey levels of the rock's."""
    return np.random.default_rng(seed).integers(1, 256, shape).astype(np.uint8)


# what a mask says of an image and of a volume


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.floats(0, 1),
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.sampled_from([0, 7, math.nan, None]),
)
def test_a_mask_stands_in_the_place_of_what_is_found(
    seed: int, share: float, dtype: str, outside: float | None
) -> None:
    """Whatever stands outside and inside: constants up to the corners, too; NaN alone was never measured."""
    rng = np.random.default_rng(seed)
    image, mask = rng.integers(0, 9, (20, 24)).astype(dtype), rng.random((20, 24)) < share
    if outside is not None and (dtype == "float32" or not math.isnan(outside)):
        image[:, 12:] = outside
    known = mask & np.isfinite(image)
    expected = known if known.any() and np.ptp(image[known]) else np.zeros_like(mask)
    found = Slice(image, mask)
    assert_array_equal(found.mask, expected)
    volume = replace(Volume.of_array(image[None]), mask=Volume.of_array(mask[None]))
    of_field = FieldOfView(volume).of(image, 0)
    assert_array_equal(np.ones_like(mask) if of_field is None else of_field, expected)
    if expected.any():
        assert set(found.filled[~expected].tolist()) <= set(image[expected].tolist())


def test_a_mask_of_everything_keeps_what_would_be_found() -> None:
    image = sharp((96, 96), 3)
    image[:20] = 0
    assert not measured(image)[:20].any()
    assert Slice(image, np.ones(image.shape, dtype=bool)).mask.all()
    volume = Volume.of_array(np.stack([image] * 3))
    assert not Measured.of(FieldOfView(volume)).is_whole
    assert Measured.of(FieldOfView(replace(volume, mask=Volume.of_array(np.ones((3, 96, 96), dtype=bool))))).is_whole


@pytest.mark.parametrize("name", ["m.tif", "m.png", "m.ome.zarr", "stack.tif", "folder"])
def test_a_mask_is_one_image_or_a_volume_of_any_format(tmp_path: Path, name: str) -> None:
    """Not zero is measured; one image counts for all slices."""
    each = np.stack([np.roll(SEEN, z, axis=1) for z in range(SHAPE[0])])
    path = tmp_path / name
    if name == "m.png":
        from PIL import Image

        Image.fromarray(SEEN.astype(np.uint8)).save(path)
    elif name == "m.tif":
        io.write_tiff(path, np.where(SEEN, -1, 0).astype(np.int16))
    elif name == "m.ome.zarr":
        io.write_ome_zarr(path, iter(each.astype(np.uint8)), SHAPE, np.dtype(np.uint8), None)
    elif name == "stack.tif":
        io.write_tiff(path, np.where(each, 0.5, 0).astype(np.float32))
    else:
        for z, mask in enumerate(each):
            io.write_tiff(path / f"{z:03d}.tif", mask.astype(np.uint8))
    volume = io.with_mask(Volume.of_array(sharp(SHAPE, 1)), path)
    assert volume.mask is not None
    expected = np.stack([SEEN] * SHAPE[0]) if name in ("m.tif", "m.png") else each
    assert_array_equal(volume.mask.read(0, SHAPE[0]), expected)
    assert_array_equal(volume.mask.read_around(3, 2), volume.mask.read(0, 4)[[1, 2, 3, 3, 3]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([2, 4]), st.integers(0, 3), st.integers(0, 3))
def test_a_coarser_voxel_was_measured_where_all_of_it_was(seed: int, factor: int, more_y: int, more_x: int) -> None:
    coarse = Volume.of_array(np.zeros((3, 5, 6), np.uint8))
    fine = np.random.default_rng(seed).random((3, 5 * factor + more_y % factor, 6 * factor + more_x % factor)) < 0.9
    expected = np.ones(coarse.shape, dtype=bool)
    for y in range(factor):
        for x in range(factor):
            expected &= fine[:, y : 5 * factor : factor, x : 6 * factor : factor]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("txm2sem_core.io.given_masks.open_volume", lambda _: Volume.of_array(fine))
        volume = io.with_mask(coarse, "mask", factor)
        assert volume.mask is not None
        assert_array_equal(volume.mask.read(0, 3), expected)
        with pytest.raises(InputError, match="mask has the shape"):
            io.with_mask(coarse, "mask")  # nobody said that the volume was made coarser


@pytest.mark.parametrize("shape", [(48, 55), (3, 48, 56), (4, 56, 48), (4, 96, 112)])
def test_a_mask_of_another_shape_is_refused_with_both_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    io.write_tiff(tmp_path / "mask.tif", np.ones(shape, np.uint8))
    with pytest.raises(InputError, match=r"mask\.tif has the shape \(.*\) and rock \(4, 48, 56\) \(Z, Y, X\)"):
        io.with_mask(Volume.of_array(sharp(SHAPE, 1), source="rock"), tmp_path / "mask.tif")


def test_a_mask_with_nan_is_refused(tmp_path: Path) -> None:
    io.write_tiff(tmp_path / "mask.tif", np.where(np.arange(4)[:, None, None] % 2, np.nan, np.ones(SHAPE)).astype("f4"))
    volume = io.with_mask(Volume.of_array(sharp(SHAPE, 1)), tmp_path / "mask.tif")
    with pytest.raises(InputError, match="it holds NaN"):
        Measured.of(FieldOfView(volume))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.floats(0, 0.3))
def test_the_share_of_a_volumes_mask_is_judged_as_if_all_of_it_were_read(seed: int, depth: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((depth, 8, 9)) < share) & (rng.random(depth) < 0.5)[:, None, None]
    mask[:, 4, 4] = mask[:, 0, 0]  # a middle that is as the corners: not the inverse of a circle
    read: list[int] = []

    def planes(z0: int, z1: int) -> np.ndarray:
        read.append(z0)
        return mask[z0:z1]

    shape = (depth, 8, 9)
    volume = Volume.of_array(np.zeros(shape, np.uint8), source="rock")
    volume = replace(volume, mask=Volume(shape, np.dtype(bool), None, "mask.tif", planes))
    if mask.mean() < LEAST_MEASURED:
        with pytest.raises(InputError, match=r"mask\.tif: it marks (nothing|only .*%) of rock as measured.*inverted"):
            io.check_share(volume)
        assert sorted(read) == list(range(depth))
    else:
        io.check_share(volume)
        assert len(set(read)) == len(read)


def test_a_digest_of_a_volume_distinguishes_masks() -> None:
    volume = Volume.of_array(sharp(SHAPE, 1))
    masks = [np.stack([each] * SHAPE[0]) for each in (SEEN, ~SEEN)]
    found = [volume_digest(volume), *(volume_digest(replace(volume, mask=Volume.of_array(mask))) for mask in masks)]
    assert len(set(found)) == 3


# the sample table


def table(path: Path, header: str, row: str) -> Path:
    path.write_text(f"{header}\n{row}\n")
    return path


@pytest.mark.parametrize("column", ["txm_measured", "sem_measured", "txm_volume_measured"])
@pytest.mark.parametrize("source", ["phantom", "reference"])
def test_a_source_without_folders_of_its_own_takes_no_mask(tmp_path: Path, column: str, source: str) -> None:
    path = table(tmp_path / "s.tsv", f"sample\tsource\ttxm\ttxm_volume\t{column}", f"a\t{source}\tx\tv.tif\tmasks")
    with pytest.raises(ConfigError, match=rf"row 2, column {column}: source {source} takes no mask"):
        read_samples(path)


def test_a_mask_of_no_volume_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "s.tsv", "sample\tsource\ttxm\tsem\ttxm_volume_measured", "a\tpairs\tx\ty\tmask.tif")
    with pytest.raises(ConfigError, match="column txm_volume_measured: there is no volume"):
        read_samples(path)


def write_sample(folder: Path, size: io.VoxelSize | None = (9.0, 9.0, 9.0), **masks: np.ndarray | None) -> Sample:
    """Pairs at z = 0, 2, 4 of a volume, with masks of everything but those that are given; None leaves one out."""
    sem = sharp((3, 48, 56), 1)
    deep = np.repeat(blurred(sem), 2, axis=0)
    for z in range(3):
        for kind, image in (("txm", deep[2 * z]), ("sem", sem[z])):
            io.write_tiff(folder / kind / f"{kind}{z:03d}.tif", image, size)
            mask = masks.get(kind, np.ones(image.shape, np.uint8)) if z == 1 else np.ones(image.shape, np.uint8)
            if mask is not None:
                io.write_tiff(folder / f"{kind}-masks" / f"m{z}.tif", mask, masks.get("size", size))  # type: ignore[arg-type]
    io.write_tiff(folder / "v.tif", deep, size)
    io.write_tiff(folder / "m.tif", masks.get("volume", np.ones(deep.shape[1:], np.uint8)), masks.get("size", size))  # type: ignore[arg-type]
    columns: dict[str, Any] = {kind: str(folder / kind) for kind in ("txm", "sem")}
    columns |= {f"{kind}_measured": str(folder / f"{kind}-masks") for kind in ("txm", "sem")}
    columns |= {"txm_volume": str(folder / "v.tif"), "txm_volume_measured": str(folder / "m.tif"), "pair_z": "0:6:2"}
    return Sample(sample="shale", source="pairs", **columns)


def check(sample: Sample) -> None:
    check_sample(sample, RAW)
    check_pixels(CONFIG, sample, RAW)


def test_masks_are_matched_by_number_and_are_files_of_the_sample(tmp_path: Path) -> None:
    sample = write_sample(tmp_path)
    check(sample)
    for pair in list_pairs(sample, RAW):
        assert pair.txm_measured == tmp_path / "txm-masks" / f"m{int(pair.pair)}.tif"
        assert {pair.txm_measured, pair.sem_measured} <= set(pair_files(sample, RAW))
    volume = open_sample_volume(sample, RAW)
    assert volume is not None
    assert volume.mask is not None
    columns = {"txm_measured", "sem_measured", "txm_volume_measured"}
    assert {getattr(sample, column) for column in columns} <= set(sample.raw_paths())
    assert columns <= set(COLUMNS)


@pytest.mark.parametrize("kind", ["txm", "sem"])
def test_a_pair_without_its_mask_is_named(tmp_path: Path, kind: str) -> None:
    sample = write_sample(tmp_path, **{kind: None})
    with pytest.raises(InputError, match=rf"{kind}001\.tif: there is no mask of what was measured with the number 001"):
        check(sample)


EDGE = np.zeros((48, 56), np.uint8)
EDGE[0] = 1  # 2 % of the image
OUTSIDE = np.hypot(*(np.mgrid[:48, :56] - np.array([23.5, 27.5])[:, None, None])) > 23
WRONG = {
    "the outside of a circle": (OUTSIDE.astype(np.uint8), "marks the corners of .* as if it were inverted"),
    "another shape": (np.ones((48, 55), np.uint8), r"(48, 55).*(48, 56)"),
    "nothing": (np.zeros((48, 56), np.uint8), "marks nothing of"),
    "next to nothing": (EDGE, r"marks only 2\.08% of .*inverted"),
}


@pytest.mark.parametrize("kind", ["txm", "sem", "volume"])
@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_a_mask_that_cannot_be_is_refused_before_a_job(tmp_path: Path, kind: str, wrong: str) -> None:
    mask, words = WRONG[wrong]
    words = words.replace("(", r"\(").replace(")", r"\)")
    if kind == "volume":
        words = words.replace(r"\(48, 55\)", r"\(1, 48, 55\)").replace(r"\(48, 56\)", r"\(6, 48, 56\)")
    sample = write_sample(tmp_path, **{kind: mask})
    name = "m.tif" if kind == "volume" else "m1.tif"
    with pytest.raises(InputError, match=rf"{name}.*{words}"):
        check(sample)


@pytest.mark.parametrize("kind", ["txm", "sem", "volume"])
@pytest.mark.parametrize("hole", [4, 12])
def test_a_circle_and_a_hole_in_the_middle_are_no_inverted_masks(tmp_path: Path, kind: str, hole: int) -> None:
    burnt = np.ones((48, 56), np.uint8)
    burnt[24 - hole : 24 + hole, 28 - hole : 28 + hole] = 0
    for name, mask in (("circle", ~OUTSIDE), ("hole", burnt)):
        check(write_sample(tmp_path / name, **{kind: mask.astype(np.uint8)}))


def test_thresholds_are_judged_by_what_was_measured(tmp_path: Path) -> None:
    """A level that parts only what a mask leaves out parts nothing."""
    sample = write_sample(tmp_path)
    config = load_config({"measure": {"thresholds": [251]}, "variants": {"net": {"family": "feedforward"}}})
    for z in range(3):
        path = tmp_path / "sem" / f"sem{z:03d}.tif"
        image = io.read_image(path)
        image[:, 50:] = 251 + junk((48, 6), z) % 5
        io.write_tiff(path, image, (9.0, 9.0, 9.0))
        io.write_tiff(tmp_path / "sem-masks" / f"m{z}.tif", (np.arange(56) < 50) * np.ones((48, 1), np.uint8))
    with pytest.raises(ConfigError, match="separate nothing"):
        check_pixels(config, sample, RAW)
    check_pixels(config, sample.model_copy(update={"sem_measured": None}), RAW)


@pytest.mark.parametrize("kind", ["txm", "sem", "volume", "none"])
def test_a_mask_of_another_pixel_size_is_reported_and_never_refused(tmp_path: Path, kind: str) -> None:
    sample = write_sample(tmp_path)
    ones = np.ones((48, 56), np.uint8)
    if kind == "volume":
        io.write_tiff(tmp_path / "m.tif", ones, (9.0, 90.0, 90.0))
    elif kind != "none":
        io.write_tiff(tmp_path / f"{kind}-masks" / "m1.tif", ones, (9.0, 90.0, 90.0))
    warnings = check_sizes(CONFIG, sample, RAW)
    assert len(warnings) == (kind != "none")
    assert all("90, 90 nm" in text for text in warnings)


# registration


@lru_cache
def slices() -> tuple[np.ndarray, np.ndarray]:
    sem = sharp((SIDE + 6, SIDE + 6), 5)
    return blurred(sem)[:-6, :-6], sem[3:-3, 4:-2]


def write_pair(folder: Path, seed: int) -> RawPair:
    """A pair with junk where the masks say that nothing was measured."""
    txm, sem = slices()
    for name, image, mask in (("txm", txm, CIRCLE), ("sem", sem, BAND)):
        io.write_tiff(folder / f"{name}.tif", np.where(mask, image, junk(image.shape, seed)))
        io.write_tiff(folder / f"{name}-mask.tif", mask.astype(np.uint8))
    masks = {f"{name}_measured": folder / f"{name}-mask.tif" for name in ("txm", "sem")}
    return RawPair("0", None, folder / "txm.tif", folder / "sem.tif", **masks)


def test_registration_does_not_see_what_a_mask_leaves_out(tmp_path: Path) -> None:
    for seed in (1, 2):
        pair = write_pair(tmp_path / str(seed), seed)
        register_pairs([pair], QUICK, tmp_path / str(seed) / "out")
    one, two = (tmp_path / name / "out" for name in ("1", "2"))
    for name in ("quality.csv", "transforms.json", "pairs/0_mask.tif", "pairs/0_txm_measured.tif"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    mask = io.read_mask(one / "pairs/0_mask.tif")
    own = [io.read_mask(one / f"pairs/0_{kind}_measured.tif") for kind in ("txm", "sem")]
    assert_array_equal(mask, np.all(own, axis=0))
    for kind in ("txm", "sem"):
        first, second = (io.read_image(each / "pairs" / f"0_{kind}.tif") for each in (one, two))
        assert_array_equal(first[mask], second[mask])
        assert (first[~mask] != second[~mask]).any()


def test_a_forest_does_not_see_what_a_mask_leaves_out(tmp_path: Path) -> None:
    """Its features reach over the borders of what was measured."""
    io.write_tiff(tmp_path / "labels0.tif", (1 + X // 48).astype(np.uint8))
    for seed in (1, 2):
        pair = write_pair(tmp_path / str(seed), seed)
        register_pairs([pair], QUICK, tmp_path / str(seed) / "out")
        place_labels([pair], {"0": tmp_path / "labels0.tif"}, tmp_path / str(seed) / "out", tmp_path / f"labels{seed}")
    assert digests(tmp_path / "labels1") == digests(tmp_path / "labels2")
    usable = io.read_mask(tmp_path / "1/out/pairs/0_mask.tif")
    assert not io.read_image(tmp_path / "labels1/pairs/0_labels.tif")[~usable].any()


def test_the_figure_of_a_registration_shows_what_a_mask_leaves_out_as_such(tmp_path: Path) -> None:
    import pandas as pd

    pair = write_pair(tmp_path, 1)
    row = pd.Series({"pair": "0", "accepted": True, "correlation_before": 0.0, "correlation_after": 1.0})
    view = _registration_view(row, pair, {"0": {"matrix": np.eye(3).tolist()}}, None, tmp_path)
    assert_array_equal(np.isnan(view.fixed), ~CIRCLE)
    assert np.isnan(view.after[~BAND]).all()


def test_the_command_register_takes_masks(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 1)
    options = ["register", "--fixed", str(pair.txm), "--moving", str(pair.sem), "--output", str(tmp_path / "out")]
    options += ["--settings", QUICK.canonical_json()]
    masks = ["--fixed-measured", str(pair.txm_measured), "--moving-measured", str(pair.sem_measured)]
    result = CliRunner().invoke(app, [*options, *masks])
    assert result.exit_code == 0, result.output
    record = io.read_json(tmp_path / "out" / "transform.json")
    assert record["fixed_measured"] == pytest.approx(CIRCLE.mean())
    assert record["moving_measured"] == pytest.approx(BAND.mean())
    inputs = {"fixed": pair.txm, "moving": pair.sem, "output": tmp_path / "in", "settings": QUICK}
    io.write_tiff(tmp_path / "in" / "registered.tif", CIRCLE.astype(np.uint8))
    with pytest.raises(InputError, match=r"registered\.tif.*input"):
        register_files(**inputs, measured=(tmp_path / "in" / "registered.tif", None))


# prediction


def test_a_prediction_does_not_see_what_a_mask_leaves_out(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    rock = io.open_volume(make_source(tmp_path / "txm.tif", SHAPE)).read(0, SHAPE[0])
    io.write_tiff(tmp_path / "mask.tif", SEEN.astype(np.uint8))
    for seed in (1, 2):
        source = Volume.of_array(np.where(SEEN, rock, junk(SHAPE, seed)), (9.0, 9.0, 9.0), "rock")
        predict_volume(model, io.with_mask(source, tmp_path / "mask.tif"), tmp_path / str(seed) / "sem.ome.zarr")
    assert digests(tmp_path / "1") == digests(tmp_path / "2")
    found = io.open_volume(tmp_path / "1" / "sem.ome.zarr")
    seen = Measured.of(FieldOfView(found))
    assert seen.share == pytest.approx(SEEN.mean())
    assert (found.read(0, SHAPE[0])[:, ~SEEN] == found.unmeasured).all()


def test_the_command_predict_takes_a_mask_and_predicts_again_with_another(tmp_path: Path) -> None:
    model, source = make_model(tmp_path / "model"), make_source(tmp_path / "txm.tif", SHAPE)
    target = tmp_path / "sem.tif"
    base = ["predict", "--model", str(model), "--input", str(source), "--output", str(target)]

    def run(mask: np.ndarray, *more: str) -> Any:
        io.write_tiff(tmp_path / "mask.tif", mask.astype(np.uint8))
        return CliRunner().invoke(app, [*base, "--measured", str(tmp_path / "mask.tif"), *more])

    first = run(SEEN)
    assert first.exit_code == 0, first.output
    made = digests(target)
    assert run(SEEN).exit_code == 0  # it is there already
    assert digests(target) == made
    assert isinstance(run(SEEN[::-1]).exception, InputError)  # another is not replaced unasked
    assert run(SEEN[::-1], "--overwrite").exit_code == 0
    assert digests(target) != made
    for mask, words in ((~SEEN & False, "marks nothing"), (SEEN[1:], "has the shape")):
        refused = run(mask, "--overwrite").exception
        assert isinstance(refused, InputError)
        assert words in str(refused)
