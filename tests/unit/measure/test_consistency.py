"""Whether a volume would show the TXM that was measured: true, wrong and partly unknown volumes, and gaps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_data import blurred, make_store, sharp

from txm2sem_core import io
from txm2sem_core.config.families import built_in
from txm2sem_core.errors import InputError
from txm2sem_core.intensity import Preparation
from txm2sem_core.io.slice_pairs import DENOISE, training_slices
from txm2sem_core.measure.consistency import (
    MAP_PX,
    in_blocks,
    learn_forward_model,
    measure_consistency,
    residuals,
    summarise_consistency,
)
from txm2sem_core.metrics.forward_model import fit_forward_model
from txm2sem_core.metrics.point_spread import Spacing

SHAPE = (24, 72, 80)
VOXEL_SIZE_NM = (20.0, 20.0, 20.0)  # the rock of `small_data` is alike along all axes of its voxels


def noisy(txm: np.ndarray) -> np.ndarray:
    """With noise of the TXM."""
    return (txm + 6 * np.random.default_rng(7).standard_normal(txm.shape)).clip(1, 255).astype(np.uint8)


def txm_of(sem: np.ndarray) -> np.ndarray:
    return noisy(blurred(sem))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a patch store and what was learnt from it."""
    folder = tmp_path_factory.mktemp("learnt")
    store = make_store(folder / "own", context=2)
    for seed, pair in enumerate(store.pairs.values()):  # slices of a rock that goes on above and below them
        sem = sharp(SHAPE, 20 + seed)
        pair.sem[:], pair.txm[:] = sem[12], txm_of(sem)[10:15]
    io.write_patch_store(folder / "patches", replace(store, voxel_size_nm=VOXEL_SIZE_NM))
    learn_forward_model(folder / "patches", folder / "model.json")
    return folder


def measured(folder: Path, learnt: Path, volume: np.ndarray, txm: np.ndarray) -> dict[str, float]:
    here = folder / str(len(list(folder.iterdir())))
    io.write_volume_tiff(here / "sem.tif", iter(volume), VOXEL_SIZE_NM)
    io.write_volume_tiff(here / "txm.tif", iter(txm), VOXEL_SIZE_NM)
    files = here / "sem.tif", here / "txm.tif", learnt / "patches", learnt / "model.json", here / "found.json"
    measure_consistency(*files, here / "map.ome.zarr")
    return dict(io.read_json(here / "found.json"))


def test_slices_are_denoised_as_the_targets_of_samples_are() -> None:
    assert built_in()["flow"].settings["denoise"] == DENOISE


def test_the_true_volume_fits_and_another_does_not(tmp_path: Path, learnt: Path) -> None:
    model = io.read_json(learnt / "model.json")
    widths = np.array(model["sigma_px"]) * VOXEL_SIZE_NM * np.sqrt(8 * np.log(2))
    assert model["fwhm_nm"] == pytest.approx(widths)
    assert model["slices"] == 1
    sem = sharp(SHAPE, 5)
    true = measured(tmp_path, learnt, sem, txm_of(sem))
    wrong = measured(tmp_path, learnt, sharp(SHAPE, 6), txm_of(sem))
    assert true["txm_residual_rms"] < 3
    assert wrong["txm_residual_rms"] > 3 * true["txm_residual_rms"]
    assert wrong["txm_residual_beyond_3"] > 0.3 > true["txm_residual_beyond_3"]
    assert 0.5 < true["txm_residual_judged_share"] < 1


def test_the_residual_lies_where_the_error_is(learnt: Path) -> None:
    sem = sharp(SHAPE, 5)
    txm, other = txm_of(sem), sem.copy()
    other[8:16, 30:40, 30:40] = 240 - other[8:16, 30:40, 30:40]  # grains and ground change places
    store = io.read_patch_store(learnt / "patches")
    volumes = (io.Volume.of_array(array) for array in (other, txm))
    found = residuals(*volumes, store, io.read_json(learnt / "model.json"))
    residual, judged = (np.stack(parts) for parts in zip(*found, strict=True))
    assert residual.shape == SHAPE
    size = np.where(judged, np.abs(residual), 0)
    within = size[10:14, 32:38, 32:38].mean()
    size[4:20, 24:46, 24:46] = 0
    assert within > 4 * size[judged].mean()


def test_the_map_is_the_root_mean_square_of_blocks() -> None:
    random = np.random.default_rng(0)
    residual, judged = random.standard_normal((10, 13, 17)), random.random((10, 13, 17)) > 0.2
    judged[4:8, 4:8, 8:12] = False
    found = np.stack(list(in_blocks(zip(residual, judged, strict=True), (5, 5))))
    assert found.shape == (3, 5, 5)
    for z, y, x in np.ndindex(3, 4, 5):
        block = tuple(slice(MAP_PX * n, MAP_PX * n + MAP_PX) for n in (z, y, x))
        own = residual[block][judged[block]]
        assert found[z, y, x] == (
            pytest.approx(np.sqrt(np.mean(own**2))) if own.size else pytest.approx(np.nan, nan_ok=True)
        )
    assert np.isnan(found[1, 1, 2])
    assert np.isnan(found[:, 4]).all()


def test_the_map_shows_where_a_volume_is_wrong(tmp_path: Path, learnt: Path) -> None:
    sem = sharp(SHAPE, 5)
    other = sem.copy()
    other[8:16, 32:40, 32:40] = 240 - other[8:16, 32:40, 32:40]
    measured(tmp_path, learnt, other, txm_of(sem))
    found = io.open_volume(tmp_path / "0/map.ome.zarr")
    assert found.shape == (6, 18, 20)
    assert found.voxel_size_nm == pytest.approx((80.0, 80.0, 80.0))
    blocks = found.read(0, 6)
    highest = np.argwhere(blocks >= np.sort(blocks[np.isfinite(blocks)])[-4])
    assert ((highest >= (2, 8, 8)) & (highest < (4, 10, 10))).all()
    marks = json.loads((tmp_path / "0/map.ome.zarr/zarr.json").read_text())["attributes"]
    scale, translation = marks["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [MAP_PX * edge for edge in VOXEL_SIZE_NM]
    assert translation["translation"] == [(MAP_PX - 1) / 2 * edge for edge in VOXEL_SIZE_NM]  # the middle of a block
    assert marks["txm2sem"]["block_px"] == MAP_PX


def test_unmeasured_voxels_count_nowhere(tmp_path: Path, learnt: Path) -> None:
    sem = sharp(SHAPE, 5)
    txm = txm_of(sem).astype(np.float32)
    whole = measured(tmp_path, learnt, sem.astype(np.float32), txm)
    part = sem.astype(np.float32)
    part[:, :30] = np.nan
    txm[:, :30] = np.nan
    found = measured(tmp_path, learnt, part, txm)
    assert found["txm_residual_judged_share"] < 0.7 * whole["txm_residual_judged_share"]
    assert found["txm_residual_rms"] == pytest.approx(whole["txm_residual_rms"], rel=0.2)


def test_a_prediction_may_be_smaller_than_the_txm(tmp_path: Path, learnt: Path) -> None:
    """Of coarser images that do not fill the last pixels."""
    sem = sharp(SHAPE, 5)
    found = measured(tmp_path, learnt, sem[:, :-3, :-1], txm_of(sem))
    assert found["txm_residual_rms"] < 3


def test_the_txm_is_prepared_as_for_training(tmp_path: Path, learnt: Path) -> None:
    store = io.read_patch_store(learnt / "patches")
    sem = sharp(SHAPE, 5)
    stretched = replace(store, preparation=Preparation(contrast=2.0))
    model = io.read_json(learnt / "model.json")
    for own, factor in ((store, 1.0), (stretched, 2.0)):
        volumes = [io.Volume.of_array(array) for array in (sem, txm_of(sem))]
        first = next(iter(residuals(*volumes, own, model)))[0]
        assert first.shape == SHAPE[1:]
        if factor == 1:
            plain = first
    assert not np.allclose(plain, first)


def test_a_volume_too_thin_to_be_judged_is_a_gap(tmp_path: Path, learnt: Path) -> None:
    sem = sharp((2, 72, 80), 5)
    found = measured(tmp_path, learnt, sem, txm_of(sem))
    assert np.isnan(io.open_volume(tmp_path / "0/map.ome.zarr").read(0, 1)).all()
    assert "no voxel has 95%" in found["not_measured"]["consistency"]  # type: ignore[index]


def test_pairs_that_say_nothing_are_a_gap_for_all_volumes(tmp_path: Path) -> None:
    store = make_store(tmp_path / "own")
    for pair in store.pairs.values():
        pair.sem[:] = 90
    io.write_patch_store(tmp_path / "patches", store)
    learn_forward_model(tmp_path / "patches", tmp_path / "model.json")
    sem = sharp(SHAPE, 5)
    found = measured(tmp_path, tmp_path, sem, txm_of(sem))
    assert set(found) == {"not_measured"}
    assert "FIB-SEM grey levels" in found["not_measured"]["consistency"]  # type: ignore[index]


def test_a_txm_of_other_slices_is_refused(learnt: Path) -> None:
    store = io.read_patch_store(learnt / "patches")
    volumes = [io.Volume.of_array(sharp((n, 72, 80), 5)) for n in (20, 24)]
    with pytest.raises(InputError, match="does not cover it"):
        next(residuals(*volumes, store, io.read_json(learnt / "model.json")))


def test_slices_keep_away_from_what_cannot_be_used(tmp_path: Path) -> None:
    store = make_store(tmp_path / "p", context=1)
    (pair,) = training_slices(store)
    assert pair.txm.shape == (3, 72, 80)
    assert not pair.mask[:12, :12][np.add.outer(range(12), range(12)) < 12].any()
    assert not pair.mask[:6].any()
    assert not pair.mask[:, -6:].any()
    assert pair.mask[20:-6, 20:-6].all()


@pytest.mark.parametrize("having", [0, 1, 2, 3])
def test_the_blur_along_z_is_learnt_with_the_slices_beyond_the_context(tmp_path: Path, having: int) -> None:
    """Where half of the training pairs have them; the others' are not known, and do not tell of the blur."""
    store = make_store(tmp_path / "p", context=1)
    first = store.pairs["000"]
    beyond = np.random.default_rng(0).integers(1, 255, (2, 72, 80)).astype(np.uint8)
    names = ("000", "a", "b")
    pairs = {name: replace(first, beyond=beyond if at < having else None) for at, name in enumerate(names)}
    rows = store.index[store.index["pair"] == "000"].iloc[:1]
    index = pd.concat([rows.assign(pair=name) for name in names])
    found = training_slices(replace(store, pairs=pairs, index=index))
    if having < 2:
        assert [pair.txm.shape for pair in found] == [(3, 72, 80)] * 3
        return
    for at, pair in enumerate(found):
        np.testing.assert_array_equal(pair.txm[1:-1], first.txm)
        np.testing.assert_array_equal(pair.txm[[0, -1]], beyond if at < having else np.full((2, 72, 80), np.nan))
    whole, spacing = found[:having], Spacing(1.0, 1.0, 1.0)
    assert fit_forward_model(found, spacing).sigma_px == pytest.approx(fit_forward_model(whole, spacing).sigma_px)


def test_the_table_has_a_row_a_volume(tmp_path: Path) -> None:
    io.write_json(tmp_path / "truth.json", {"txm_residual_rms": 0.9})
    io.write_json(tmp_path / "a.json", {"not_measured": {"consistency": "too thin"}})
    summarise_consistency([("truth", ""), ("a", 0)], [tmp_path / "truth.json", tmp_path / "a.json"], tmp_path / "t.csv")
    table = io.read_csv(tmp_path / "t.csv")
    assert table["variant"].tolist() == ["truth", "a"]
    assert table["txm_residual_rms"].tolist()[0] == 0.9
    assert table["not_measured"].tolist()[1] == "consistency: too thin."
