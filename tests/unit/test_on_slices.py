"""The benchmark on measured slices: predictions that are the slices themselves have no error and are not told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import on_slices
import pandas as pd
import pytest
import tell_apart
from small_data import make_store, tiny

from txm2sem_core.training import train_model


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tell_apart, "STEPS", 40)
    monkeypatch.setattr(tell_apart, "PATCHES", 256)
    monkeypatch.setattr(tell_apart, "FIRST_WEIGHTS", (0,))


def pores(width: int) -> np.ndarray:
    """In each tile of 16 x 16 pixels one pore 8 pixels high; around them three greys in turns."""
    rows, columns = np.indices((128, 128))
    greys = np.array([100, 160, 220])[columns // 16 % 3]
    return np.where((columns % 16 < width) & (rows % 16 < 8), 20, greys)[4:].astype(np.float32)


def test_errors_are_those_that_are_counted_by_hand() -> None:
    thresholds = (60.0, 130.0, 190.0)
    assert on_slices.rock_errors(pores(4), pores(4), thresholds) == {"shares": 0, "chord": 0, "two-point": 0}
    found = on_slices.rock_errors(pores(2), pores(4), thresholds)
    assert found["shares"] == pytest.approx(2 / 4 / 16, rel=0.1)  # a sixteenth of all pixels is of another phase
    assert found["chord"] == pytest.approx((0.5 + 0) / 2)  # 2 instead of 4 pixels along x, 8 along y
    assert 0 < found["two-point"] < 1 / 8


def test_what_is_the_same_is_told_apart_by_guessing() -> None:
    rng = np.random.default_rng(0)
    slices = [on_slices.together([rng.normal(128, 40, (64, 64))]) for _ in ("validation", "test")]
    assert tell_apart.area_of_judges(*[(one, one) for one in slices]) == pytest.approx(0.5, abs=0.1)
    assert tell_apart.area_of_judges(*[(one, one - 60) for one in slices]) > 0.95


def test_each_model_of_a_sample_has_its_rows(tmp_path: Path) -> None:
    make_store(tmp_path / "rock/patches", train=8, evaluation=2)
    train_model(tmp_path / "rock/patches", tiny("feedforward"), 0, tmp_path / "rock/models/net/seed0", device="cpu")
    rows = on_slices.measure(tmp_path / "rock")
    assert list(rows["against"]) == ["denoised", "as measured"]
    assert 0.4 <= rows["AUC"][0] <= 1
    assert pd.isna(rows["AUC"][1])
    assert (rows["shares"] >= 0).all()
    assert "| net | as measured | 0." in on_slices.table(rows)
