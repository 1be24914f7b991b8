"""The benchmark of starts from a model: fewer pairs with as many patches, every way once, and its table."""

from __future__ import annotations

import argparse
from pathlib import Path

import fine_tuning
import numpy as np
import pandas as pd
import pytest
from small_data import make_store, tiny

from txm2sem_core.io import read_patch_store
from txm2sem_core.training import train_model


def test_fewer_pairs_have_as_many_patches_within_them_and_ranges_of_their_own(tmp_path: Path) -> None:
    store = make_store(tmp_path / "p", train=9, evaluation=2)
    store.index.loc[store.index["patch"].isin([5, 6]), "pair"] = "001"  # so that there are two pairs to choose from
    fewer = fine_tuning.fewer_pairs(store, 1, seed=0)
    train = fewer.of_split("train")
    assert len(train) == 9
    assert train["pair"].nunique() == 1
    assert list(fewer.index["patch"]) == list(range(13))
    pair = store.pairs[train["pair"][0]]
    assert (train["y"] <= pair.sem.shape[0] - 32).all()
    assert (train["x"] <= pair.sem.shape[1] - 32).all()
    assert fewer.sem_range.low == pytest.approx(np.percentile(pair.sem, 0.5), abs=1)
    pd.testing.assert_frame_equal(
        fewer.of_split("test")[["pair", "y", "x"]], store.of_split("test")[["pair", "y", "x"]]
    )
    assert fine_tuning.counts(store) == [1, 2]
    with pytest.raises(SystemExit, match="3 are asked for, but the store has 2"):
        fine_tuning.fewer_pairs(store, 3, seed=0)


def test_it_trains_every_way_once_and_starts_from_the_model(tmp_path: Path) -> None:
    make_store(tmp_path / "p", train=8, evaluation=2)
    settings = tiny("feedforward", schedule={"epochs": 4, "decay_epochs": 2})
    train_model(tmp_path / "p", settings, 0, tmp_path / "model", device="cpu")
    given = {"patches": tmp_path / "p", "model": tmp_path / "model", "output": tmp_path / "out", "device": "cpu"}
    arguments = argparse.Namespace(pairs=[1], seeds=[0], **given)
    rows = fine_tuning.measure(arguments)
    assert list(rows["way"]) == list(fine_tuning.WAYS)
    assert (rows["phase_error"] >= 0).all()
    assert rows["psnr"][1] > rows["psnr"][0] - 1  # dB: it went on from where the model was
    assert fine_tuning.settings_for(tmp_path / "model", "from the model, a third").schedule.total_epochs == 2
    (tmp_path / "out" / "models").rename(tmp_path / "moved")
    pd.testing.assert_frame_equal(fine_tuning.measure(arguments), rows)
    assert not (tmp_path / "out" / "models").exists()  # nothing was trained again
    assert len(read_patch_store(tmp_path / "out" / "patches_1_0").of_split("train")) == 8


def test_the_table_has_mean_and_spread_over_the_seeds() -> None:
    scores = {"ssim": 0.5, "phase_error": 0.01, "minutes": 1.0}
    rows = [{"pairs": 1, "seed": seed, "way": "from nothing", "psnr": 20.0 + seed, **scores} for seed in range(3)]
    assert "| 1 | from nothing | 21.00 ± 1.00 | 0.500 ± 0.000 |" in fine_tuning.table(pd.DataFrame(rows))
