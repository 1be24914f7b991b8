"""Slices of the TXM volume beside the pairs: from where, reproducibly, oriented as one; and penalties now and then."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_data import make_store, tiny, volume_beside

from txm2sem_core import io
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families import Batch, learner_of
from txm2sem_core.intensity import Preparation
from txm2sem_core.io import PatchStore, Volume
from txm2sem_core.training import train_model
from txm2sem_core.training.batches import epoch_batches
from txm2sem_core.training.slice_stacks import SliceStacks
from txm2sem_core.training.volume_fit import check_volume

CPU = torch.device("cpu")


def numbered(depth: int, size: int = 40) -> Volume:
    """Every voxel holds its place: z in the thousands, then y and x."""
    z, y, x = np.indices((depth, size, size))
    return Volume.of_array((z * 10000 + y * 100 + x).astype(np.float32))


def store_with(folder: Path, splits: dict[int, str], **options: int) -> PatchStore:
    store = make_store(folder, **options)
    rows = [{"patch": i, "split": s, "pair": f"{i}", "z": z, "y": 0, "x": 0} for i, (z, s) in enumerate(splits.items())]
    return replace(store, index=pd.DataFrame(rows))


def test_slices_near_held_out_pairs_are_left_out(tmp_path: Path) -> None:
    store = store_with(tmp_path, {2: "train", 6: "train", 10: "validation", 14: "test"})
    assert SliceStacks(numbered(20), store, 0).positions.tolist() == list(range(7))  # 8 is as near to 6 as to 10
    assert SliceStacks(numbered(20), store, 2).positions.tolist() == [2, 3, 4, 5, 6]


def test_without_places_all_slices_serve(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    unplaced = replace(store, index=store.index.assign(z=np.nan))
    assert SliceStacks(numbered(5), unplaced, 0).positions.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("context", [0, 1])
def test_patches_are_consecutive_slices_of_one_position_turned_as_one(tmp_path: Path, context: int) -> None:
    store = store_with(tmp_path, dict.fromkeys(range(0, 20, 4), "train"), context=context)
    drawn = list(SliceStacks(numbered(20), store, context).of_epoch(60, seed=1, epoch=2))
    orientations = set()
    for patch in drawn:
        assert patch.shape == (2 * context + 2, 32, 32)
        positions = np.rint(store.txm_range.from_unit(patch)).astype(int)
        depth = positions // 10000
        assert (depth == depth[:, :1, :1]).all()
        assert (np.diff(depth[:, 0, 0]) == 1).all()
        plane = positions % 10000
        assert (plane == plane[0]).all()  # one place in the plane, turned alike
        orientations.add((int(np.sign(plane[0, 1, 0] - plane[0, 0, 0])), int(np.sign(plane[0, 0, 1] - plane[0, 0, 0]))))
    assert len(orientations) == 4


def test_an_epoch_repeats_itself_and_differs_from_the_next(tmp_path: Path) -> None:
    store = store_with(tmp_path, dict.fromkeys(range(0, 40, 4), "train"))
    slice_stacks = SliceStacks(numbered(40), store, 0)

    def drawn(seed: int, epoch: int) -> bytes:
        return np.stack(list(slice_stacks.of_epoch(5, seed, epoch))).tobytes()

    assert drawn(0, 0) == drawn(0, 0)
    assert len({drawn(0, 0), drawn(0, 1), drawn(1, 0)}) == 3


def test_the_batches_of_pairs_stay_the_same(tmp_path: Path) -> None:
    store = make_store(tmp_path, pair_every=4)
    settings = tiny("feedforward")
    stacks = SliceStacks(numbered(9), store, 0).of_epoch(12, 0, 0)
    with_stacks = epoch_batches(store, settings, 0, 0, stacks)
    for plain, beside in zip(epoch_batches(store, settings, 0, 0), with_stacks, strict=True):
        assert torch.equal(plain.txm, beside.txm)
        assert plain.stack is None
        assert beside.stack is not None
        assert beside.stack.shape == (len(plain.txm), 2, 32, 32)


def test_volumes_that_cannot_serve_are_named(tmp_path: Path) -> None:
    store = store_with(tmp_path, {2: "train", 6: "test"})
    with pytest.raises(InputError, match=r"slices of 20 x 20 pixels are smaller than a patch of 32"):
        SliceStacks(numbered(8, 20), store, 0)
    with pytest.raises(InputError, match=r"none of its 8 slices .* 8 consecutive slices are needed"):
        SliceStacks(numbered(8), store, 3)
    make_store(tmp_path / "p")
    with pytest.raises(ConfigError, match=r"z_penalty\.stack: .* Give --volume"):
        train_model(tmp_path / "p", tiny("feedforward", z_penalty={"stack": 1}), 0, tmp_path / "m", device="cpu")


@pytest.mark.parametrize("context", [1, 3])
@pytest.mark.parametrize("family", ["feedforward", "pix2pix", "srcnn", "srgan"])
def test_every_family_trains_with_context_and_all_penalties(tmp_path: Path, family: str, context: int) -> None:
    penalties = {"projection": 0.1, "perturbation": 0.1, "stack": 0.1, "every": 2}
    settings = tiny(family, context=context, z_penalty=penalties)
    store = make_store(tmp_path / "p", factor=settings.factor, context=context, pair_every=24)
    io.write_volume_tiff(tmp_path / "txm.tif", iter(volume_beside(store)), None)
    for name in ("a", "b"):
        train_model(tmp_path / "p", settings, 0, tmp_path / name, device="cpu", volume=tmp_path / "txm.tif")
    assert (tmp_path / "a/generator.safetensors").read_bytes() == (tmp_path / "b/generator.safetensors").read_bytes()
    history = io.read_csv(tmp_path / "a/history.csv")
    assert (history[["loss_z_projection", "loss_z_perturbation", "loss_z_stack"]] > 0).all(axis=None)


def test_a_penalty_now_and_then_has_the_weight_of_the_steps_between() -> None:
    """`every` of 3: nothing in two of three steps, three times the weight in the third; projection at every step."""
    settings = tiny("feedforward", z_penalty={"projection": 0.1, "perturbation": 0.1, "every": 3})
    learner = learner_of(settings, 0, CPU)
    rng = torch.Generator().manual_seed(0)
    txm, sem = (torch.rand((2, 1, 16, 16), generator=rng) for _ in range(2))
    batch = Batch(txm, sem, torch.ones_like(sem, dtype=torch.bool))
    terms = [learner.step(batch) for _ in range(7)]
    assert [float(t["loss_z_perturbation"]) > 0 for t in terms] == [True, False, False] * 2 + [True]
    assert all(float(t["loss_z_projection"]) > 0 for t in terms)

    often = learner_of(tiny("feedforward", z_penalty={"perturbation": 0.1, "every": 1}), 0, CPU).step(batch)
    seldom = learner_of(tiny("feedforward", z_penalty={"perturbation": 0.1, "every": 3}), 0, CPU).step(batch)
    assert float(seldom["loss_z_perturbation"]) == pytest.approx(3 * float(often["loss_z_perturbation"]), rel=1e-5)


def test_what_was_not_measured_is_filled(tmp_path: Path) -> None:
    """A network that is given NaN learns nothing any more."""
    store = store_with(tmp_path, dict.fromkeys(range(0, 20, 4), "train"), context=1)
    voxels = numbered(20).read(0, 20).copy()
    y, x = np.indices(voxels.shape[1:])
    voxels[:, np.hypot(y - 19.5, x - 19.5) > 19] = np.nan
    voxels[7] = np.nan
    drawn = np.stack(list(SliceStacks(Volume.of_array(voxels), store, 1).of_epoch(40, seed=1, epoch=2)))
    assert np.isfinite(drawn).all()


# --- the volume beside the patches


def beside(folder: Path, **options: int) -> tuple[PatchStore, np.ndarray]:
    store = make_store(folder / "p", pair_every=3, **options)
    return store, volume_beside(store)


def test_the_volume_of_the_patches_gives_no_warning(tmp_path: Path) -> None:
    store, voxels = beside(tmp_path, context=1)
    assert check_volume(store, Volume.of_array(voxels)) == []
    assert check_volume(store, Volume.of_array(voxels, store.voxel_size_nm)) == []


def test_another_grey_scale_of_the_volume_is_reported_and_stands_in_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, voxels = beside(tmp_path)
    flat = (voxels * 0.6 + 20).astype(np.uint8)
    (warning,) = check_volume(store, Volume.of_array(flat))
    assert "3 of 3 pairs have another grey scale" in warning
    assert "contrast is 1.6" in warning
    io.write_volume_tiff(tmp_path / "txm.tif", iter(flat), None)
    settings = tiny("feedforward", z_penalty={"stack": 0.1})
    train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu", volume=tmp_path / "txm.tif", name="net")
    assert "train net: warning: The TXM slices of 3 of 3 pairs have another grey scale" in capsys.readouterr().err
    assert any("another grey scale" in text for text in io.read_json(tmp_path / "m/model.json")["warnings"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.astype(np.uint16), "its voxels are uint16, but the patches' TXM slices are uint8"),
        (lambda v: v[1:], "its TXM slice of 72 x 80 pixels is nowhere in slice z = 0"),
        (lambda v: np.random.default_rng(1).integers(0, 255, v.shape).astype(np.uint8), "nowhere in slice z = 0"),
        (lambda v: v[:4], "it is at z = 6, but array has 4 slices"),
        (lambda v: v[:, ::-1], "nowhere in slice z = 0"),
    ],
)
def test_another_volume_than_that_of_the_patches_is_refused(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    store, voxels = beside(tmp_path)
    with pytest.raises(InputError, match=re.escape(words)):
        check_volume(store, Volume.of_array(change(voxels)))


def test_a_slice_that_is_its_neighbour_to_the_last_bit_is_refused(tmp_path: Path) -> None:
    store, voxels = beside(tmp_path)
    smooth = np.stack([voxels[0] // 2 + voxels[0] // 2 // 30 * z for z in range(len(voxels))])
    for z in (0, 3, 6):
        smooth[z + 1] = voxels[z]
        smooth[z] = np.clip(voxels[z] + np.random.default_rng(z).normal(0, 4, voxels[z].shape), 0, 255)
    with pytest.raises(InputError, match="is slice z = 1 of array, not z = 0"):
        check_volume(store, Volume.of_array(smooth.astype(np.uint8)))


def test_sizes_that_differ_are_reported_for_a_coarser_volume_too(tmp_path: Path) -> None:
    store, voxels = beside(tmp_path, factor=2)
    assert check_volume(store, Volume.of_array(voxels, (40.0, 40.0, 20.0))) == []
    (warning,) = check_volume(store, Volume.of_array(voxels, (40.0, 20.0, 10.0)))
    assert "y: 40 and 20 nm" in warning
    other = np.random.default_rng(1).integers(0, 255, voxels.shape).astype(np.uint8)
    assert check_volume(store, Volume.of_array(other)) == []  # made coarser apart, with noise: not comparable


def test_prepared_slices_are_not_compared_with_raw_ones(tmp_path: Path) -> None:
    store, voxels = beside(tmp_path)
    prepared = replace(store, preparation=Preparation(equalise=True))
    assert check_volume(prepared, Volume.of_array(255 - voxels)) == []
