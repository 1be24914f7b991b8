"""What `txm2sem evaluate` says of the rock."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from small_data import sharp

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.measure.evaluate import evaluate_files, readable
from txm2sem_core.measure.evaluate_rock import RockOptions
from txm2sem_core.metrics import multi_otsu_thresholds, thresholds_of_slices
from txm2sem_core.metrics.pores.connectivity import connected_porosity
from txm2sem_core.metrics.pores.permeability import permeability

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
    with pytest.warns(UserWarning, match="no metrics of the rock"):
        result = evaluate_files(*files(tmp_path, target, target), None, None, tmp_path / "m.json")
    assert "dice_0" not in result
    assert math.isinf(result["psnr"])


def masked_and_cropped(tmp_path: Path, depth: int, outside: float, dtype: type) -> tuple[dict, dict]:
    """Figures under a mask, whose outside holds something else, and of the part that it leaves."""
    target = sharp((depth, 48, 96), 3).astype(dtype)
    prediction = np.roll(target, 1, axis=2)
    charged, mask = target.copy(), np.full(target.shape, -1, np.int8)
    charged[:, :, 48:], mask[:, :, 48:] = outside, 0
    prediction[:, :, 48:] = outside
    rock = RockOptions(phases=3)
    whole = slice(None) if depth > 1 else 0
    io.write_tiff(tmp_path / "mask.tif", mask[whole])
    paths = files(tmp_path, prediction[whole], charged[whole])
    under = evaluate_files(*paths, tmp_path / "mask.tif", 255, tmp_path / "m.json", rock=rock)
    paths = files(tmp_path, prediction[whole][..., :48], target[whole][..., :48])
    return under, evaluate_files(*paths, None, 255, tmp_path / "m.json", rock=rock)


@pytest.mark.filterwarnings("ignore:.*need whole volumes:UserWarning")
@pytest.mark.parametrize(("outside", "dtype"), [(255, np.uint8), (0, np.uint8), (1e30, np.float32)])
@pytest.mark.parametrize("depth", [1, 6])
def test_a_mask_means_the_same_in_all_figures(tmp_path: Path, depth: int, outside: float, dtype: type) -> None:
    """What does not count changes nothing: scores without windows, phases, Dice, thresholds and changes are exact."""
    under, cropped = masked_and_cropped(tmp_path, depth, outside, dtype)
    assert under["counted_share"] == 0.5
    near = {"ssim", "ms_ssim", "structure", "gmsd"} | {key for key in under if key.startswith("resolution")}
    exact = set(under) - near - {"shape", "counted_share"} - set(io.MARK)
    assert {"psnr", "mae", "histogram_distance", "fraction_0_truth", "dice_2", "thresholds"} <= exact
    assert ("continuity_ratio" in exact) == (depth > 1)
    for key in exact:
        assert under[key] == pytest.approx(cropped[key], rel=1e-6), key
    for key in ("ssim", "gmsd") if outside < 300 else ():  # windows at the edge see over it
        assert under[key] == pytest.approx(cropped[key], rel=0.35), key


def test_a_mask_that_leaves_all_changes_nothing_and_one_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    target = sharp((18, 24, 26), 3)
    paths = files(tmp_path, np.roll(target, 1, axis=2), target)
    io.write_tiff(tmp_path / "all.tif", np.full(target.shape, -1, np.int16))
    io.write_tiff(tmp_path / "none.tif", np.zeros(target.shape, np.uint8))
    without = evaluate_files(*paths, None, None, tmp_path / "m.json")
    assert evaluate_files(*paths, tmp_path / "all.tif", None, tmp_path / "m.json") == without
    with pytest.raises(InputError, match=r"none\.tif.*0 everywhere"):
        evaluate_files(*paths, tmp_path / "none.tif", None, tmp_path / "m.json")


def test_slices_that_do_not_count_and_what_needs_whole_volumes(tmp_path: Path) -> None:
    target = sharp((18, 24, 26), 3)
    prediction, mask = np.roll(target, 1, axis=2), np.ones(target.shape, np.uint8)
    mask[7] = 0
    paths = files(tmp_path, prediction, target)
    io.write_tiff(tmp_path / "mask.tif", mask)
    rock = RockOptions(phases=2)
    with pytest.warns(UserWarning, match="chords, pore sizes and flow need whole volumes"):
        under = evaluate_files(*paths, tmp_path / "mask.tif", None, tmp_path / "m.json", rock=rock)
    assert under["slices"] == 17
    assert not any(key.startswith(("euler", "mean_chord", "porosity_connected", "self_", "jitter")) for key in under)
    kept = np.arange(18) != 7
    assert under["porosity_truth"] == pytest.approx(np.mean(target[kept] <= under["thresholds"][0]))
    assert under["mae"] == pytest.approx(np.abs(prediction[kept] - target[kept].astype(float)).mean() / 255)


def test_hot_pixels_are_said_in_the_output(tmp_path: Path) -> None:
    target = sharp((64, 80), 3).astype(np.uint16) * 10
    usual = evaluate_files(*files(tmp_path, target, target), None, 65535, tmp_path / "m.json")
    target[3, 4] = 65535
    with pytest.warns(UserWarning, match="1 of 5120 pixels lie outside"):
        found = evaluate_files(*files(tmp_path, target, target), None, 65535, tmp_path / "m.json")
    assert found["thresholds"] == pytest.approx(usual["thresholds"], abs=10)
    assert (usual["pixels_outside_range"], found["pixels_outside_range"]) == (0, 1)
    assert found["threshold_range"][1] < 65535


@pytest.mark.parametrize("shape", [(20, 24), (6, 20, 24)])
def test_voxel_sizes_that_differ_are_refused_unless_one_is_given(tmp_path: Path, shape: tuple[int, ...]) -> None:
    target = sharp(shape, 3)
    paths = tmp_path / "p.tif", tmp_path / "t.tif"
    io.write_tiff(paths[0], target, (20.0, 20.0, 20.0))
    io.write_tiff(paths[1], target, (20.0, 10.0, 10.0))
    with pytest.raises(InputError, match=r"p\.tif.*t\.tif.*y: 20 and 10 nm; along x.*--voxel-size-nm"):
        evaluate_files(*paths, None, None, tmp_path / "m.json")
    assert not (tmp_path / "m.json").exists()
    given = evaluate_files(*paths, None, None, tmp_path / "m.json", (20.0, 10.0, 10.0))
    assert given["voxel_size_nm"] == [20.0, 10.0, 10.0]
    io.write_tiff(paths[0], target, (20.0, 10.02, 10.0))  # what formats round
    near = evaluate_files(*paths, None, None, tmp_path / "m.json")
    assert near["voxel_size_nm"] == pytest.approx([20.0, 10.0, 10.0])
    io.write_tiff(paths[0], target)
    assert evaluate_files(*paths, None, None, tmp_path / "m.json") == near


def test_a_mask_of_a_volume_may_be_one_image_and_may_not_hold_nan(tmp_path: Path) -> None:
    target = sharp((6, 24, 26), 3)
    compared = files(tmp_path, np.roll(target, 1, axis=2), target)
    mask = np.zeros(target.shape, np.float32)
    mask[:, :, :14] = 1
    io.write_tiff(tmp_path / "volume.tif", mask)
    io.write_tiff(tmp_path / "image.tif", mask[0])
    with pytest.warns(UserWarning, match="need whole volumes"):
        whole, one = (
            evaluate_files(*compared, tmp_path / f"{name}.tif", None, tmp_path / "m.json")
            for name in ("volume", "image")
        )
    assert one == whole
    assert one["counted_share"] == pytest.approx(14 / 26)
    io.write_tiff(tmp_path / "nan.tif", np.where(mask == 0, np.float32(np.nan), mask))
    with pytest.raises(InputError, match=r"nan\.tif: .*holds NaN. Write 0 there"):
        evaluate_files(*compared, tmp_path / "nan.tif", None, tmp_path / "n.json")


def test_thresholds_that_separate_nothing_are_reported(tmp_path: Path) -> None:
    target = sharp((6, 24, 26), 3)
    rock = RockOptions(thresholds=(12000.0, 25000.0))  # of 16-bit images
    with pytest.warns(UserWarning, match=r"12000, 25000 separate nothing: all that counts of .*t\.tif is of one phase"):
        evaluate_files(*files(tmp_path, target + 1, target), None, None, tmp_path / "m.json", rock=rock)


def test_other_trainings_give_intervals_and_the_truth_that_of_its_rock(tmp_path: Path) -> None:
    target, rock = sharp((24, 32, 36), 3), RockOptions(phases=2)
    paths = files(tmp_path, np.roll(target, 1, axis=2), target)
    alone = evaluate_files(*paths, None, None, tmp_path / "m.json", rock=rock)["intervals"]
    assert {"rock_low", "rock_high"} <= alone["porosity_truth"].keys()
    assert alone["porosity"].keys() == {"mean", "volumes", "finite_size"}  # of one training
    shown = readable(evaluate_files(*paths, None, None, tmp_path / "m.json", rock=rock))
    assert "porosity_truth" in shown.split("90 % intervals")[1]
    other = np.where(np.arange(36) < 18, target, 255 - target).astype(np.uint8)
    io.write_tiff(tmp_path / "other.tif", other, SIZE)
    several = RockOptions(phases=2, others=(tmp_path / "other.tif",))
    result = evaluate_files(*paths, None, None, tmp_path / "m.json", rock=several)
    found = result["intervals"]["porosity"]
    second = np.mean(other <= result["thresholds"][0])
    assert (found["volumes"], found["mean"]) == (2, pytest.approx((result["porosity"] + second) / 2))
    assert found["low"] < found["mean"] < found["high"]
    assert found["rock_high"] >= found["high"]
    assert io.read_json(tmp_path / "m.json")["intervals"]["porosity"] == found
    assert "another training" in readable(result)


def test_samples_of_one_training_count_as_one(tmp_path: Path) -> None:
    target = sharp((24, 32, 36), 3)
    paths = files(tmp_path, np.roll(target, 1, axis=2), target)
    for name, until in (("sample", 18), ("other", 9), ("another", 12)):
        changed = np.where(np.arange(36) < until, target, 255 - target).astype(np.uint8)
        io.write_tiff(tmp_path / f"{name}.tif", changed, SIZE)
    made = [tmp_path / f"{name}.tif" for name in ("sample", "other", "another")]
    one = RockOptions(phases=2, samples=tuple(made[:1]))
    result = evaluate_files(*paths, None, None, tmp_path / "m.json", rock=one)
    porosity = [np.mean(io.open_volume(path).read(0, 24) <= result["thresholds"][0]) for path in (paths[0], *made)]
    found = result["intervals"]["porosity"]
    assert found["samples"] == pytest.approx(np.std(porosity[:2], ddof=1))
    assert "low" not in found
    assert "trainings" not in found
    assert "samples differ by" in readable(result)
    two = RockOptions(phases=2, samples=tuple(made[:1]), others=tuple(made[1:]))
    found = evaluate_files(*paths, None, None, tmp_path / "m.json", rock=two)["intervals"]["porosity"]
    of_trainings = [np.mean(porosity[:2]), *porosity[2:]]
    assert found["mean"] == pytest.approx(np.mean(of_trainings))
    assert found["low"] < found["mean"] < found["high"]


def test_other_trainings_of_another_shape_are_refused(tmp_path: Path) -> None:
    target = sharp((18, 24, 26), 3)
    io.write_tiff(tmp_path / "other.tif", target[:, 1:], SIZE)
    rock = RockOptions(phases=2, others=(tmp_path / "other.tif",))
    paths = files(tmp_path, target, target)
    with pytest.raises(InputError, match="must be of the same shape"):
        evaluate_files(*paths, None, None, tmp_path / "m.json", rock=rock)
