"""What `txm2sem evaluate` says of the rock."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from small_data import sharp

from txm2sem_core import io
from txm2sem_core.evaluation import RockOptions, evaluate_files, readable
from txm2sem_core.metrics import multi_otsu_thresholds, thresholds_of_slices
from txm2sem_core.metrics.connectivity import connected_porosity
from txm2sem_core.metrics.permeability import permeability

SIZE = (30.0, 10.0, 10.0)


def files(folder: Path, prediction: np.ndarray, target: np.ndarray) -> tuple[Path, Path]:
    io.write_tiff(folder / "p.tif", prediction, SIZE)
    io.write_tiff(folder / "t.tif", target, SIZE)
    return folder / "p.tif", folder / "t.tif"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_thresholds_of_slices_are_those_of_the_whole(dtype: type) -> None:
    volume = sharp((3, 40, 44), 0, dtype)
    found = thresholds_of_slices(lambda: iter(volume), 3)
    assert found == pytest.approx(multi_otsu_thresholds(volume, 3), rel=1e-12)
    few = np.array([[[0, 10]], [[10, 30]]], np.uint16)
    assert thresholds_of_slices(lambda: iter(few), 3) == (5.0, 20.0)


def test_volumes(tmp_path: Path) -> None:
    target = sharp((18, 24, 26), 3)
    prediction = np.roll(target, 1, axis=2)
    rock = RockOptions(phases=2, flow=True, cube_px=0)
    result = evaluate_files(*files(tmp_path, prediction, target), None, None, tmp_path / "m.json", rock=rock)
    (level,) = result["thresholds"]
    for suffix, volume in (("", prediction), ("_truth", target)):
        pore = volume <= level
        assert result[f"porosity{suffix}"] == pytest.approx(pore.mean())
        assert result[f"fraction_1{suffix}"] == pytest.approx(1 - pore.mean())
        assert result[f"porosity_connected_x{suffix}"] == pytest.approx(connected_porosity(pore, 2))
        assert result[f"permeability_y_m2{suffix}"] == pytest.approx(permeability(pore, SIZE, 1))
    both = np.mean((prediction <= level) & (target <= level))
    assert result["dice_0"] == pytest.approx(2 * both / (result["porosity"] + result["porosity_truth"]))
    written = io.read_json(tmp_path / "m.json")
    assert written["porosity"] == result["porosity"]
    shown = {line.split("  ")[0]: line for line in readable(result).splitlines()}
    assert shown["porosity"].split()[1:3] == [f"{result['porosity']:.6g}", f"{result['porosity_truth']:.6g}"]
    assert "m^2" not in shown["porosity"]
    assert "Stokes" in shown["permeability_y_m2"]


def test_without_flow_or_voxel_size_less_is_said(tmp_path: Path) -> None:
    target = sharp((18, 24, 26), 3)
    io.write_tiff(tmp_path / "t.tif", target)
    result = evaluate_files(tmp_path / "t.tif", tmp_path / "t.tif", None, None, tmp_path / "m.json")
    assert {"porosity", "porosity_connected_z", "fraction_3", "dice_3"} <= result.keys()
    assert not any(key.startswith(("permeability", "euler", "mean_chord")) for key in result)
    sized = evaluate_files(tmp_path / "t.tif", tmp_path / "t.tif", None, None, tmp_path / "m.json", SIZE)
    assert {"euler_per_um3", "mean_chord_z_nm", "pore_diameter_nm_median"} <= sized.keys()
    assert not any(key.startswith("permeability") for key in sized)


def test_images_have_shares_and_dice(tmp_path: Path) -> None:
    target = sharp((40, 44), 1)
    levels = RockOptions(thresholds=(100.0,))
    paths = files(tmp_path, 255 - target, target)
    result = evaluate_files(*paths, None, None, tmp_path / "m.json", rock=levels)
    assert result["fraction_0_truth"] == pytest.approx(np.mean(target <= 100))
    assert result["fraction_0"] == pytest.approx(np.mean(255 - target <= 100.0))
    assert result["dice_0"] < 0.1
    assert "porosity" not in result
    none = evaluate_files(*paths, None, None, tmp_path / "m.json", rock=RockOptions(phases=0))
    assert not any(key.startswith(("fraction", "dice", "thresholds")) for key in none)


def test_a_constant_target_has_no_phases_and_says_so(tmp_path: Path) -> None:
    target = np.full((20, 20), 7, np.uint8)
    with pytest.warns(UserWarning, match="no figures of the rock"):
        result = evaluate_files(*files(tmp_path, target, target), None, None, tmp_path / "m.json")
    assert "dice_0" not in result
    assert math.isinf(result["psnr"])
