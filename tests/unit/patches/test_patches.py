"""Splits that share nothing, acceptance against brute force, repeatable patches, and slices that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_data import blurred, sharp

from txm2sem_core import io
from txm2sem_core.config import PatchesSettings, parse_settings
from txm2sem_core.errors import InputError
from txm2sem_core.patches.extract import SPLITS, acceptable_positions, extract_patches, split_pairs, without_overlap
from txm2sem_core.samples.warnings import adjacent_slices, registration_warnings

SIZE_NM = (40.0, 20.0, 10.0)


def options(**values: object) -> PatchesSettings:
    return parse_settings(PatchesSettings, "{}", **{"size_px": 16, "train": 20, "grid_px": 4, **values})


def table(z: list[float], split: list[str] | None = None) -> pd.DataFrame:
    names = [f"{i:03d}" for i in range(len(z))]
    return pd.DataFrame({"pair": names, "z": z, "split": split or [np.nan] * len(z)})


# --- splits


@given(
    st.lists(st.integers(0, 400), min_size=3, max_size=40, unique=True),
    st.integers(0, 3),
    st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.9, 0.05, 0.05)]),
)
def test_no_two_splits_share_a_slice(z: list[int], context: int, shares: tuple[float, float, float]) -> None:
    chosen = options(context=context, split=dict(zip(SPLITS, shares, strict=True)))
    try:
        splits = split_pairs(table([float(value) for value in z]), chosen)
    except InputError:
        assert context > 0  # without context three pairs are enough
        return
    seen: dict[str, set[int]] = {
        name: {s + d for s, own in zip(z, splits, strict=True) if own == name for d in range(-context, context + 1)}
        for name in SPLITS
    }
    assert all(seen.values())
    assert sum(map(len, seen.values())) == len(set.union(*seen.values()))
    if context == 0:
        assert splits.notna().all()  # nothing is lost without need
        ordered = [split for _, split in sorted(zip(z, splits, strict=True))]
        assert ordered == sorted(ordered, key=SPLITS.index)  # blocks in z


def test_shares_of_the_splits() -> None:
    splits = split_pairs(table([float(z) for z in range(20)]), options())
    assert splits.value_counts().to_dict() == {"train": 14, "validation": 3, "test": 3}


def test_given_splits_are_kept() -> None:
    given_splits = ["test", "train", "validation", "train"]
    assert list(split_pairs(table([np.nan] * 4, given_splits), options())) == given_splits


@pytest.mark.parametrize("z", [[], [1.0], [1.0, 2.0]])
def test_too_few_pairs(z: list[float]) -> None:
    with pytest.raises(InputError, match=f"no pair is left for it, of {len(z)} accepted pairs"):
        split_pairs(table(z), options())


def test_neighbouring_pairs_leave_nothing_with_context() -> None:
    with pytest.raises(InputError, match=r"patches\.context = 3"):
        split_pairs(table([0.0, 1.0, 2.0, 3.0]), options(context=3))


@pytest.mark.parametrize(("test_z", "warned"), [(5.0, True), (6.0, False), (np.nan, False)])
def test_a_test_slice_beside_a_training_slice_is_reported(test_z: float, warned: bool) -> None:
    found = adjacent_slices(table([0.0, 4.0, test_z], ["train", "train", "test"]))
    assert len(found) == warned
    assert all("test pairs 002 lie directly" in text for text in found)


def test_a_doubtful_registration_goes_into_the_store(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "registered")
    quality = pd.DataFrame({"pair": ["000", "001"], "accepted": True, "similarity_after": [1.2, 1.01]})
    io.write_csv(folder / "quality.csv", quality.assign(similarity_chance=1.0, disagreement_px=0.1))
    store = extract_patches(folder, volume, options(), SIZE_NM, tmp_path / "patches")
    (warning,) = store.warnings
    assert "1 of 2 pairs is doubtful, though it passed: 001" in warning
    assert io.read_patch_store(tmp_path / "patches").warnings == store.warnings


@pytest.mark.parametrize(("stated", "warned"), [(np.nan, False), (0.98, False), (2.0, True), (0.5, True)])
def test_pixel_sizes_that_do_not_fit_the_slices_are_reported(stated: float, warned: bool) -> None:
    quality = pd.DataFrame({"pair": ["000", "001"], "accepted": True, "scale": 1.01, "stated_scale": [1.0, stated]})
    assert [text[:30] for text in registration_warnings(quality)] == ["The files of 1 of 2 pairs stat"] * warned


# --- positions


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 9), st.integers(0, 9), st.sampled_from([1, 2, 4]))
def test_acceptable_positions_against_brute_force(seed: int, more_y: int, more_x: int, step: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = options(size_px=8, grid_px=step, min_uncharged=0.85, min_nonzero=0.7)
    shape = (8 + more_y, 8 + more_x)
    usable, nonzero = (rng.random(shape) < share for share in rng.uniform(0.8, 1.0, 2))
    expected = [
        (y, x)
        for y in range(0, more_y + 1, step)
        for x in range(0, more_x + 1, step)
        if usable[y : y + 8, x : x + 8].mean() > 0.85 and (usable & nonzero)[y : y + 8, x : x + 8].mean() > 0.7
    ]
    assert [tuple(p) for p in acceptable_positions(usable, nonzero, chosen)] == expected


@given(st.integers(16, 120), st.integers(16, 120))
def test_the_evaluation_grid_neither_overlaps_nor_leaves_the_image(height: int, width: int) -> None:
    every = acceptable_positions(np.ones((height, width), bool), np.ones((height, width), bool), options())
    chosen = without_overlap(every, 16, 4, (height, width))
    counts = np.zeros((height, width), int)
    for y, x in chosen:
        counts[y : y + 16, x : x + 16] += 1
    assert counts.max() == 1
    assert counts.sum() == len(chosen) * 256
    assert len(chosen) == (height // 16) * (width // 16)


# --- the stage


def registered(
    root: Path, *, pairs: int = 8, shape: tuple[int, int] = (50, 62), crop: tuple[int, int] = (3, 5), every: int = 4
) -> tuple[Path, io.Volume]:
    """What the registration leaves: cropped pairs, masks, an index; and the TXM volume that they come from."""
    y0, x0 = crop
    depth = pairs * every
    sem = sharp((depth, shape[0] + 10, shape[1] + 10), seed=1)
    volume = blurred(sem)
    rows = []
    for number in range(pairs):
        z = number * every
        window = (z, slice(y0, y0 + shape[0]), slice(x0, x0 + shape[1]))
        mask = np.full(shape, 255, np.uint8)
        mask[:4, :4] = 0
        files = {kind: f"{kind}{number}.tif" for kind in ("txm", "sem", "mask")}
        for kind, image in (("txm", volume[window]), ("sem", sem[window]), ("mask", mask)):
            io.write_tiff(root / files[kind], image)
        box = {"y0": y0, "y1": y0 + shape[0], "x0": x0, "x1": x0 + shape[1]}
        rows.append({"pair": f"{number:03d}", "z": z, "split": np.nan, **files, **box})
    io.write_csv(root / "index.csv", pd.DataFrame(rows))
    return root, io.Volume.of_array(volume, SIZE_NM)


def rewrite(root: Path, column: str, values: list[object]) -> None:
    index = io.read_csv(root / "index.csv")
    index[column] = values
    index.to_csv(root / "index.csv", index=False)


def test_patches_of_the_stage(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "r")
    chosen = options(evaluation_count=7)
    store = extract_patches(folder, volume, chosen, SIZE_NM, tmp_path / "p")
    index = store.index
    assert list(index["patch"]) == list(range(len(index)))
    assert index["split"].value_counts().to_dict() == {"train": 20, "validation": 7, "test": 7}
    assert (index[["y", "x"]] % 4 == 0).all(axis=None)
    for row in index.itertuples():
        patch = store.mask_patch(str(row.pair), int(row.y), int(row.x))
        assert patch.shape == (16, 16)
        assert patch.mean() > 0.95
    by_split = index.groupby("split")["pair"].agg(set)
    assert not by_split["train"] & by_split["test"]
    assert store.voxel_size_nm == SIZE_NM


def test_the_same_seed_gives_the_same_patches_and_another_seed_others(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "r")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        extract_patches(folder, volume, options(seed=seed), SIZE_NM, tmp_path / name)
    files = ["store.safetensors", "index.csv", "store.json"]
    assert [(tmp_path / "a" / f).read_bytes() for f in files] == [(tmp_path / "b" / f).read_bytes() for f in files]
    assert (tmp_path / "a/index.csv").read_bytes() != (tmp_path / "c/index.csv").read_bytes()


@pytest.mark.parametrize("context", [1, 2])
def test_neighbours_in_z_are_the_slices_of_the_volume(tmp_path: Path, context: int) -> None:
    folder, volume = registered(tmp_path / "r", every=6)
    store = extract_patches(folder, volume, options(context=context), SIZE_NM, tmp_path / "p")
    assert len(store.pairs) >= 3
    for name, images in store.pairs.items():
        z = int(name) * 6
        wanted = np.clip(np.arange(z - context, z + context + 1), 0, volume.shape[0] - 1)
        expected = np.stack([volume.read(int(i), int(i) + 1)[0] for i in wanted])[:, 3:51, 5:65]  # cut to the grid
        np.testing.assert_array_equal(images.txm, expected)


@pytest.mark.parametrize("context", [0, 1, 2])
def test_slices_beyond_the_context_are_those_of_the_volume(
    tmp_path: Path, context: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of training pairs whose neighbours lie within the volume; the middle of them."""
    for module in (io, io.patch_store):
        monkeypatch.setattr(module, "MIDDLE_PX", 52)
    folder, volume = registered(tmp_path / "r", every=6)
    store = extract_patches(folder, volume, options(context=context), SIZE_NM, tmp_path / "p")
    training, kept = set(store.of_split("train")["pair"]), 0
    assert set(io.read_patch_store(tmp_path / "p").pairs) == set(store.pairs)
    for name, images in store.pairs.items():
        z = int(name) * 6
        steps = [d for d in range(-io.REACH_Z, io.REACH_Z + 1) if abs(d) > context]
        inside = io.REACH_Z <= z < volume.shape[0] - io.REACH_Z
        if not (steps and inside and name in training):
            assert images.beyond is None
            continue
        kept += 1
        assert images.beyond is not None
        expected = np.stack([volume.read(z + d, z + d + 1)[0] for d in steps])[:, 3:51, 5:65]
        np.testing.assert_array_equal(images.beyond, expected[:, :, 4:56])
    assert bool(kept) == (context < io.REACH_Z)


def test_intensity_ranges_are_percentiles_of_the_usable_training_pixels(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "r")
    store = extract_patches(folder, volume, options(percentiles=(2, 98)), SIZE_NM, tmp_path / "p")
    names = store.of_split("train")["pair"].unique()
    pixels = np.concatenate([store.pairs[n].sem[store.pairs[n].mask > 0] for n in names])
    assert (store.sem_range.low, store.sem_range.high) == tuple(np.percentile(pixels, [2, 98]))


def test_random_evaluation_patches(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "r")
    store = extract_patches(folder, volume, options(evaluation="random", evaluation_count=9), SIZE_NM, tmp_path / "p")
    assert store.index["split"].value_counts().to_dict() == {"train": 20, "validation": 9, "test": 9}


def test_a_patch_larger_than_the_image(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "r")
    with pytest.raises(InputError, match=r"txm0\.tif: patches\.size_px = 56 is larger than this image of 50 x 62"):
        extract_patches(folder, volume, options(size_px=56), SIZE_NM, tmp_path / "p")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("kind", ["mask", "sem", "txm"])
def test_a_slice_without_a_good_patch_is_left_out_and_named(tmp_path: Path, kind: str) -> None:
    folder, _ = registered(tmp_path / "r")
    io.write_tiff(folder / f"{kind}3.tif", np.full((50, 62), 0 if kind == "mask" else 7, np.uint8))
    store = extract_patches(folder, None, options(), SIZE_NM, tmp_path / "p")
    (warning,) = (text for text in store.warnings if "left out" in text and "003" in text)
    assert ("0% of the slice is measured and uncharged" if kind == "mask" else "blank") in warning
    assert "003" not in store.pairs
    assert "003" not in set(store.index["pair"])
    assert len(store.of_split("train")) == options().train


@pytest.mark.parametrize("least", [0.95, 0.0])
def test_a_split_that_no_pair_is_left_for_is_refused_with_a_remedy_that_helps(tmp_path: Path, least: float) -> None:
    folder, _ = registered(tmp_path / "r")
    io.write_tiff(folder / "mask6.tif", np.zeros((50, 62), np.uint8))  # the only pair of validation
    with pytest.raises(InputError, match=r"split validation: no pair is left.*pair 006.*inverted.*remove"):
        extract_patches(folder, None, options(min_uncharged=least), SIZE_NM, tmp_path / "p")
    assert not (tmp_path / "p").exists()
    io.write_tiff(folder / "mask6.tif", np.full((50, 62), 255, np.uint8))
    extract_patches(folder, None, options(min_uncharged=least), SIZE_NM, tmp_path / "p")


def test_patches_have_pixels_that_scores_by_windows_can_use() -> None:
    usable = np.zeros((96, 96), bool)
    usable[::32] = usable[:, ::32] = True  # lines along the borders of the grid of patches
    usable[1::32] = usable[:, 1::32] = True
    chosen = options(size_px=32, min_uncharged=0.1)
    found = acceptable_positions(usable, usable, chosen)
    assert len(found)
    assert all(usable[y + 5 : y + 27, x + 5 : x + 27].any() for y, x in found)


@pytest.mark.parametrize("change", ["standardised", "less a constant", "signed"])
def test_grey_levels_below_zero_are_levels_as_others(tmp_path: Path, change: str) -> None:
    folder, _ = registered(tmp_path / "r")
    plain = extract_patches(folder, None, options(), SIZE_NM, tmp_path / "plain")
    for number in range(8):
        for kind in ("txm", "sem"):
            image = io.read_image(folder / f"{kind}{number}.tif").astype(np.float32)
            changed = {
                "standardised": (image - 100) / 40,
                "less a constant": image - np.float32(np.percentile(image, 20)),
                "signed": image.astype(np.int16) - 128,
            }[change]
            io.write_tiff(folder / f"{kind}{number}.tif", changed)
    other = extract_patches(folder, None, options(), SIZE_NM, tmp_path / "other")
    pd.testing.assert_frame_equal(other.index, plain.index)


def test_what_was_not_measured_makes_no_range_and_no_patch(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "r")
    plain = extract_patches(folder, volume, options(), SIZE_NM, tmp_path / "plain")
    y, x = np.mgrid[:50, :62]
    outside = np.hypot((y - 24.5) / 25, (x - 30.5) / 31) > 1
    whole = volume.read(0, volume.shape[0])
    round_ = np.zeros_like(whole)
    round_[:, 3:53, 5:67] = np.where(outside, 0, whole[:, 3:53, 5:67])
    for number in range(8):
        image = io.read_image(folder / f"txm{number}.tif")
        io.write_tiff(folder / f"txm{number}.tif", np.where(outside, 0, image).astype(image.dtype))
    store = extract_patches(folder, io.Volume.of_array(round_), options(context=1), SIZE_NM, tmp_path / "p")
    assert abs(store.txm_range.low - plain.txm_range.low) < 5
    assert any("of the TXM slices" in text and "was not measured" in text for text in store.warnings)
    assert not any(
        (images.mask & outside[: images.mask.shape[0], : images.mask.shape[1]]).any() for images in store.pairs.values()
    )
    for row in store.index.itertuples():
        assert not store.mask_patch(row.pair, row.y, row.x).mean() < options().min_uncharged


@pytest.mark.parametrize("mask_given", [True, False])
def test_charged_is_what_the_charge_mask_says_and_not_what_was_not_measured(tmp_path: Path, mask_given: bool) -> None:
    folder, _ = registered(tmp_path / "r")
    y, x = np.mgrid[:50, :62]
    outside = np.hypot((y - 24.5) / 25, (x - 30.5) / 31) > 1
    charged = (abs(y - 20) < 3) & (abs(x - 30) < 5)
    for number in range(8):
        image = np.where(outside, 0, io.read_image(folder / f"txm{number}.tif")).astype(np.uint8)
        io.write_tiff(folder / f"txm{number}.tif", image)
        io.write_tiff(folder / f"mask{number}.tif", np.where(outside | charged, 0, 255).astype(np.uint8))
        io.write_tiff(folder / f"charge{number}.tif", np.where(charged, 255, 0).astype(np.uint8))
    if mask_given:
        rewrite(folder, "charge", [f"charge{number}.tif" for number in range(8)])
    extract_patches(folder, None, options(), SIZE_NM, tmp_path / "p")
    for images in io.read_patch_store(tmp_path / "p").pairs.values():
        height, width = images.sem.shape
        np.testing.assert_array_equal(images.charged, charged[:height, :width])
        assert not images.mask[outside[:height, :width]].any()


@pytest.mark.parametrize("offset", [-1, 1])
def test_a_place_one_off_is_refused_where_the_slice_is_its_neighbour(tmp_path: Path, offset: int) -> None:
    folder, volume = registered(tmp_path / "r")
    noise = np.random.default_rng(0).integers(0, 20, volume.shape).astype(np.uint8)
    noisy = np.clip(volume.read(0, 32), 0, 230) + noise
    for number in range(8):
        io.write_tiff(folder / f"txm{number}.tif", noisy[4 * number, 3:53, 5:67])
    extract_patches(folder, io.Volume.of_array(noisy), options(), SIZE_NM, tmp_path / "right")
    rewrite(folder, "z", [4 * n + offset if n else max(offset, 0) for n in range(8)])
    with pytest.raises(InputError, match=r"is slice z = \d+ of array, not z = \d+ as pair_z .*Change pair_z by"):
        extract_patches(folder, io.Volume.of_array(noisy), options(), SIZE_NM, tmp_path / "p")


@pytest.mark.parametrize("wrong", [2, 31])
def test_a_pair_that_is_not_the_slice_it_is_said_to_be(tmp_path: Path, wrong: int) -> None:
    folder, volume = registered(tmp_path / "r", every=16)
    rewrite(folder, "z", [16 * n + wrong for n in range(8)])
    with pytest.raises(InputError, match=r"pair 00\d: its TXM slice and slice z = \d+ .*correlate|is outside"):
        extract_patches(folder, volume, options(), SIZE_NM, tmp_path / "p")


def test_a_place_beyond_the_volume(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "r")
    rewrite(folder, "z", [4 * n for n in range(7)] + [32])
    with pytest.raises(InputError, match=r"pair 007: z = 32 is outside .* of 32 slices"):
        extract_patches(folder, volume, options(), SIZE_NM, tmp_path / "p")


def test_a_volume_of_another_bit_depth(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "r")
    other = io.Volume.of_array(volume.read(0, volume.shape[0]).astype(np.uint16) * 257)
    with pytest.raises(InputError, match="its voxels are uint16, but pair 000's TXM slice is uint8"):
        extract_patches(folder, other, options(), SIZE_NM, tmp_path / "p")


@pytest.mark.parametrize(("kind", "name"), [("txm", "TXM"), ("sem", "FIB-SEM")])
def test_one_slice_of_another_bit_depth(tmp_path: Path, kind: str, name: str) -> None:
    folder, _ = registered(tmp_path / "r")
    image = io.read_image(folder / f"{kind}3.tif")
    io.write_tiff(folder / f"{kind}3.tif", image.astype(np.uint16) * 257)
    with pytest.raises(InputError, match=f"pair 003: its {name} slice is uint16, but that of pair 000 is uint8"):
        extract_patches(folder, None, options(), SIZE_NM, tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_volume_smaller_than_its_slices(tmp_path: Path) -> None:
    folder, volume = registered(tmp_path / "r")
    small = io.Volume.of_array(volume.read(0, volume.shape[0])[:, :40])
    with pytest.raises(InputError, match="do not cover pair 000's slice"):
        extract_patches(folder, small, options(), SIZE_NM, tmp_path / "p")


def test_context_without_a_volume(tmp_path: Path) -> None:
    folder, _ = registered(tmp_path / "r")
    with pytest.raises(InputError, match=r"patches\.context = 1 needs the TXM volume"):
        extract_patches(folder, None, options(context=1), SIZE_NM, tmp_path / "p")
    extract_patches(folder, None, options(), SIZE_NM, tmp_path / "p")


def test_training_pairs_of_one_grey_level(tmp_path: Path) -> None:
    folder, _ = registered(tmp_path / "r")
    for number in range(8):
        io.write_tiff(folder / f"sem{number}.tif", np.full((50, 62), 9, np.uint8))
    with pytest.raises(InputError, match=r"no pair is left.*its FIB-SEM slice is blank, all pixels have the value 9"):
        extract_patches(folder, None, options(), SIZE_NM, tmp_path / "p")


def test_a_copy_of_a_slice_in_another_split_goes_into_the_store(tmp_path: Path) -> None:
    folder, _ = registered(tmp_path / "r")
    for kind in ("txm", "sem"):
        io.write_tiff(folder / f"{kind}7.tif", io.read_image(folder / f"{kind}1.tif"))
    store = extract_patches(folder, None, options(), SIZE_NM, tmp_path / "p")
    said = [text for text in store.warnings if "pairs 001 (train) and 007 (test) are the same slice" in text]
    assert len(said) == 2


def test_neighbours_that_were_not_measured_are_masked_and_finite(tmp_path: Path) -> None:
    """NaN in the volume beside a pair's slice: no score counts it, and no network is given it."""
    folder, volume = registered(tmp_path / "r", every=6)
    voxels = volume.read(0, volume.shape[0]).astype(np.float32)
    for name in io.read_csv(folder / "index.csv")["txm"]:
        io.write_tiff(folder / name, io.read_image(folder / name).astype(np.float32))
    voxels[1::2, :, :20] = np.nan  # the pairs stand at even z
    store = extract_patches(folder, io.Volume.of_array(voxels), options(context=1), SIZE_NM, tmp_path / "p")
    for images in store.pairs.values():
        assert np.isfinite(images.txm).all()
        assert not images.mask[:, :10].any()
        assert images.mask.any()


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ((40, 120, 200), ["3 different grey levels, 40 to 200", "segmentation"]),
        ((1, 2, 3), ["3 different grey levels, 1 to 3", "refer to 255 grey levels", "48 dB", "Set it to 2"]),
        (tuple(range(100, 140)), ["With measure.data_range = auto", "Set it to "]),
        (tuple(range(100, 220)), []),
    ],
)
def test_few_grey_levels_are_reported(tmp_path: Path, levels: tuple[int, ...], words: list[str]) -> None:
    root, _ = registered(tmp_path / "r")
    choices = np.array(levels, np.uint8)
    for number in range(8):
        sem = io.read_image(root / f"sem{number}.tif")
        io.write_tiff(root / f"sem{number}.tif", choices[sem.astype(int) * len(levels) // 256], overwrite=True)
    store = extract_patches(root, None, options(), (None, None, None), tmp_path / "patches")
    said = [text for text in store.warnings if "different grey levels" in text]
    assert len(said) == bool(words)
    assert all(word in said[0] for word in words)
