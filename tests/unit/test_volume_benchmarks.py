"""The arithmetic of the benchmarks of whole volumes."""

from __future__ import annotations

from pathlib import Path

import ceiling
import numpy as np
import pytest
import tell_apart
from means import grid_db

from txm2sem_core import io
from txm2sem_core.phantom.txm import Scale, to_uint16


def test_the_area_under_the_curve_is_the_share_of_pairs_that_are_in_order() -> None:
    rng = np.random.default_rng(0)
    scores, label = rng.integers(0, 6, 40).astype(np.float32), (rng.random(40) < 0.4).astype(np.float32)
    real, made = scores[label > 0], scores[label == 0]
    in_order = np.mean((real[:, None] > made) + 0.5 * (real[:, None] == made))
    assert np.isclose(tell_apart.area_under_curve(scores, label), in_order)


def test_a_brighter_volume_is_told_apart_and_one_of_the_same_kind_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in {"STEPS": 25, "PATCHES": 256, "FIRST_WEIGHTS": (0,)}.items():
        monkeypatch.setattr(tell_apart, name, small)
    rng = np.random.default_rng(1)
    truth, same = rng.uniform(0, 200, (2, 40, 48, 48)).astype(np.float32)
    assert tell_apart.told_apart(truth + 40, truth, "yx") > 0.9
    assert abs(tell_apart.told_apart(same, truth, "zx") - 0.5) < 0.15


def test_a_grid_is_seen_and_a_smooth_plane_has_none() -> None:
    rng = np.random.default_rng(2)
    planes = rng.normal(0, 1, (8, 128, 96))
    assert grid_db(planes) < 2
    planes[:, :, ::4] += 1.0
    assert grid_db(planes) > 5


def phantom_folder(folder: Path, attenuation: np.ndarray, truth: np.ndarray) -> ceiling.Phantom:
    """What the ceiling reads of a phantom, without the rock."""
    scale = Scale(float(attenuation.min()), float(attenuation.max()) + 1.0)
    for z, plane in enumerate(attenuation):
        io.write_tiff(folder / "txm_volume" / f"txm_{z:03d}.tif", to_uint16(plane, scale), (32.0, 32.0, 32.0))
    io.write_tiff(folder / "truth" / "sem.tif", truth, (32.0, 32.0, 32.0))
    levels = {"low_per_cm": scale.low_per_cm, "high_per_cm": scale.high_per_cm, "stored_maximum": 65535}
    io.write_json(folder / "phantom.json", {"txm_scale": levels})
    return ceiling.Phantom(folder)


def test_rocks_are_learnt_from_in_attenuation_whatever_they_were_stored_in(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for number, spread in enumerate((50.0, 200.0)):
        attenuation = rng.uniform(-5, spread, (9, 16, 16)).astype(np.float32)
        truth = rng.integers(0, 255, (9, 16, 16)).astype(np.uint8)
        rock = phantom_folder(tmp_path / f"rock{number}", attenuation, truth)
        pairs = dict(ceiling.stored_pairs([rock]))
        assert [name[-3:] for name in pairs] == ["003", "005"]
        for name, pair in pairs.items():
            z = int(name[-3:])
            np.testing.assert_allclose(pair.txm, attenuation[z - 3 : z + 4], atol=spread / 60000)
            np.testing.assert_array_equal(pair.sem, truth[z])
